"""Three clouds on one registry behind HAProxy: killed, drained and restarted
while mail comes in, and every promise kept."""
import collections
import json
import os
import random
import re
import signal
import socket
import ssl
import subprocess
import threading
import time

import pytest

import balancer
from harness import DOMAIN, Stack, sample, wait_for
from load import Load
from requesters import Requesters

ROUNDS = int(os.environ.get("TURING_CLOUDS_ROUNDS", "12"))
SENDERS = int(os.environ.get("TURING_CLOUDS_SENDERS", "40"))
RESTARTS = int(os.environ.get("TURING_CLOUDS_RESTARTS", "1"))
STRANGER = "marie@stranger.example"
JEAN = f"jean@{DOMAIN}"


class Correspondents:
    """Many strangers, each writing several mails at a time, so that their
    challenges are opened on different instances at once."""

    def __init__(self, stack, count, mails=4):
        self.stack = stack
        self.left = [(f"person{n}@stranger.example", f"r{n}-{m}@{DOMAIN}")
                     for n in range(count) for m in range(mails)]
        self.senders = sorted({sender for sender, _ in self.left})
        self.mails = len(self.left)
        self.refused = []
        self.threads = [threading.Thread(target=self.run, daemon=True)
                        for _ in range(8)]

    def run(self):
        while self.left:
            try:
                sender, recipient = self.left.pop(0)
            except IndexError:
                return
            data = sample(sender, recipient)
            code, text = self.stack.send(sender, recipient, data)
            if code != 250:
                self.refused.append((code, text))
            time.sleep(0.02)

    def start(self):
        for thread in self.threads:
            thread.start()
        return self

    def join(self):
        for thread in self.threads:
            thread.join(120)
        assert not self.left and not self.refused, self.refused[:3]


class Solver:
    """Answers each challenge as soon as its mail is there, through whatever
    instance is there; a try that fails is made again."""

    def __init__(self, stack, senders):
        self.stack = stack
        self.open = list(senders)
        self.solved = []
        self.over = threading.Event()
        self.thread = threading.Thread(target=self.run, daemon=True)

    def run(self):
        while self.open and not self.over.is_set():
            for sender in list(self.open):
                if self.stack.delivered(sender) and self.solve(sender):
                    self.open.remove(sender)
                    self.solved.append(sender)
            self.over.wait(0.1)

    def solve(self, sender):
        try:
            status, page = self.stack.solve(sender)
        except (OSError, AssertionError, IndexError):
            return self.is_solved(sender)
        return status == 200 and b"image.png" not in page

    def is_solved(self, sender):
        """Whether the answer that got no reply counted all the same."""
        return any(c["sender"] == sender and c["state"] in
                   ("solved", "settled") for c in self.stack.challenges())


def hurt(stack, rounds):
    """kill -9, SIGTERM, restart, in no order; gives the number of kills."""
    kills = 0
    for _ in range(rounds):
        instance = random.choice(stack.instances())
        if random.random() < 0.6:
            instance.kill()
            kills += 1
        else:
            assert instance.stop() == 0
        time.sleep(random.random() * 0.5)
        instance.start()
        time.sleep(random.random())
    return kills


def assert_each_decision_once(decisions):
    """One for each recipient of a message, in one row without a gap."""
    made = collections.Counter((d["message"], d["recipient"])
                               for d in decisions)
    assert max(made.values(), default=1) == 1, made.most_common(3)
    assert [d["sequence"] for d in decisions] == \
        list(range(1, len(decisions) + 1))


def test_killed_and_drained_under_load(capsys):
    with Stack(clouds=3, drain="1s") as stack:
        people = Correspondents(stack, SENDERS).start()
        solver = Solver(stack, people.senders)
        solver.thread.start()
        kills = hurt(stack, ROUNDS)
        people.join()
        # A claim of a killed cloud is another's after its lease.
        solver.thread.join(150)
        solver.over.set()
        assert not solver.open, f"not solved: {solver.open[:5]}"
        recipients = {r for m in stack.queue() for r in
                      (one["address"] for one in m["recipients"])}
        assert len(recipients) == people.mails
        for recipient in recipients:
            stack.wait_delivered(recipient, 1, 90)
        check_promises(stack, people, kills, capsys)


def check_promises(stack, people, kills, capsys):
    messages = stack.messages()
    mails = {s: len(stack.delivered(s)) for s in people.senders}
    again = sum(count - 1 for count in mails.values())
    delivered = [len(stack.delivered(m["recipients"][0]["address"]))
                 for m in stack.queue()]
    decisions = stack.decisions()
    challenges = collections.Counter(
        c["sender"] for c in stack.challenges())
    with capsys.disabled():
        print(f"\n3 clouds on {stack.store.name}, killed {kills} of {ROUNDS}"
              f" times: {people.mails} mails of {len(mails)} senders,"
              f" registered {len(messages)}, challenges"
              f" {sum(challenges.values())}, challenge mails"
              f" {sum(mails.values())} (sent again {again}), decisions"
              f" {len(decisions)}, delivered {sum(delivered)}")
    assert len({m["id"] for m in messages}) == len(messages)
    assert stack.count_messages() <= people.mails
    assert all(mails.values()) and again <= kills
    assert set(challenges.values()) == {1} and \
        set(challenges) == set(people.senders)
    assert delivered == [1] * people.mails, "each mail delivered once"
    assert_each_decision_once(decisions)
    assert {d["verdict"] for d in decisions} == {"release"}


def test_no_request_fails_when_instances_are_replaced(capsys):
    """SIGTERM takes an instance out before it stops: nobody notices."""
    with Stack(clouds=3, drain="3s") as stack:
        assert stack.send(STRANGER, JEAN)[0] == 250
        link = stack.challenge_link(STRANGER)
        load = Load(stack.smtp_port, 2).start()
        requests = Requesters(stack, link).start()
        for _ in range(RESTARTS):
            for instance in stack.instances():
                assert instance.stop() == 0
                instance.start()
                stack.start_haproxy()
                time.sleep(0.5)
        requests.stop()
        load.stop()
        with capsys.disabled():
            print(f"\n3 clouds replaced one after another: pages"
                  f" {requests.pages}, agents' calls {requests.calls},"
                  f" long-polls {requests.polls}, failed"
                  f" {len(requests.failed)}; longest {requests.longest:.2f} s")
        assert not requests.failed, requests.failed[:5]
        assert min(requests.pages, requests.calls) > 50
        assert requests.polls >= 3
        assert not re.search(r"Z (error|warning) ", stack.agent.text()), \
            stack.agent.text()[-2000:]
        wait_for(lambda: stack.count_messages() ==
                 len(load.acknowledged) + 1, 60, "all registered", 0.2)


def test_draining_instance():
    """/readyz turns at once, long-polls end, the rest goes on; a second
    signal ends the wait."""
    with Stack(drain="3s", clouds=1) as stack:
        assert stack.send(STRANGER, JEAN)[0] == 250
        link = stack.challenge_link(STRANGER)
        answers = []
        poll = threading.Thread(target=lambda: answers.append(stack.get(
            f"{stack.api_url}/v1/agent/decisions?after=0&wait=30",
            headers={"Authorization": "Bearer " + stack.key})))
        poll.start()
        wait_for(lambda: stack.metric("cloud", "turing_http_waiting") >= 1,
                 10, "the poll waits")
        started = time.monotonic()
        child = stack.instances()[0].child
        child.send_signal(signal.SIGTERM)
        wait_for(lambda: stack.get(f"{stack.api_url}/readyz")[0] == 503, 1,
                 "not ready")
        poll.join(2)
        assert answers and answers[0][0] == 204
        status, headers, _ = stack.get(link)
        assert status == 200 and headers["Connection"] == "close"
        assert stack.get(f"{stack.api_url}/healthz")[0] == 200
        assert child.wait(20) == 0
        assert 2.5 < time.monotonic() - started < 9
        stack.start_cloud()
        child = stack.instances()[0].child
        child.send_signal(signal.SIGTERM)
        wait_for(lambda: stack.get(f"{stack.api_url}/readyz")[0] == 503, 1,
                 "not ready")
        started = time.monotonic()
        child.send_signal(signal.SIGTERM)
        assert child.wait(20) == 0
        assert time.monotonic() - started < 2


def test_expiry_runs_once_for_one_message():
    hold = "policy { hold_for = 4s }"
    with Stack(clouds=3, agent_settings=hold) as stack:
        for number in range(60):
            sender = f"list{number}@stranger.example"
            stack.send(sender, f"e{number}@{DOMAIN}", sample(
                sender, f"e{number}@{DOMAIN}", headers="List-Id: <x>\r\n"))
        wait_for(lambda: len(stack.decisions()) == 60, 60, "all expired")
        assert_each_decision_once(stack.decisions())
        assert {d["verdict"] for d in stack.decisions()} == {"expire"}
        wait_for(lambda: {m["recipients"][0]["state"]
                          for m in stack.queue()} == {"expired"}, 20,
                 "the agent knows")
        logged = collections.Counter(re.findall(
            r"info (\S+): expired for", stack.cloud.text()))
        assert set(logged.values()) == {1} and len(logged) == 60


def test_client_address_is_the_real_one():
    forged = {"X-Forwarded-For": "203.0.113.66", "X-Real-IP": "203.0.113.66",
              "Forwarded": "for=203.0.113.66",
              "Content-Type": "application/x-www-form-urlencoded"}
    with Stack(clouds=2) as stack:
        stack.send(STRANGER, JEAN)
        link = stack.challenge_link(STRANGER)
        page = stack.get(link)[2]
        serial = re.search(rb'name="serial"\s+value="(\d+)"', page).group(1)
        stack.get(link, "POST", f"answer=nonono&serial={serial.decode()}",
                  forged, "127.0.0.77")
        assert "page: wrong answer from 127.0.0.77" in stack.cloud.text()
        assert "203.0.113.66" not in stack.cloud.text()
        # Straight to an instance nobody is believed but the proxy.
        stack.get(f"http://127.0.0.1:{stack.cloud_ports[0]}/c/x",
                  headers=forged, source="127.0.0.78")
        assert "203.0.113.66" not in stack.cloud.text()


def test_what_each_frontend_serves():
    with Stack(clouds=2) as stack:
        stack.send(STRANGER, JEAN)
        link = stack.challenge_link(STRANGER)
        key = {"Authorization": "Bearer " + stack.key}
        token = link.rsplit("/", 1)[1]
        assert stack.get(link)[0] == 200
        assert stack.get(link + "/image.png")[0] == 200
        assert stack.get(stack.pages_url + "/")[0] == 200
        assert stack.get(stack.pages_url + "/robots.txt", "HEAD")[0] == 200
        for path in ("/metrics", "/readyz", "/healthz", "/openapi.yaml",
                     "/v1/agent/decisions?after=0", "/v1/agent/policy",
                     "/c/../metrics", "/c/%2e%2e/metrics", "//metrics",
                     "/c/x/../../metrics", "/c/x/%2e%2e/%2e%2e/metrics",
                     "/C/../v1/agent/decisions", "/c/x;/metrics"):
            for method in ("GET", "POST", "HEAD"):
                assert stack.get(stack.pages_url + path, method,
                                 headers=key)[0] in (400, 404), path
        for path in ("/", "/metrics", "/readyz", "/healthz", "/openapi.yaml",
                     f"/c/{token}", "/v1/../metrics",
                     "/v1/agent/../../metrics", "/v1/agent/%2e%2e/metrics"):
            status, headers, _ = stack.get(stack.api_url + path, headers=key)
            assert status in (400, 404), path
        assert stack.get(stack.api_url + "/v1/agent/decisions?after=0",
                         headers=key)[0] == 204
        assert stack.get(stack.pages_url + "/c/x", "DELETE")[0] in (403, 405)
        status, headers, _ = stack.get(
            f"http://127.0.0.1:{stack.plain_port}/c/{token}")
        assert status == 301 and headers["Location"].startswith("https://")
        big = "answer=" + "x" * 5000
        assert stack.get(link, "POST", big)[0] == 413
        assert stack.solve(STRANGER, link)[0] == 200
        stack.wait_delivered(JEAN)
        log = wait_for(lambda: "GET /c/-" in stack.haproxy.text()
                       and stack.haproxy.text(), 10, "logged")
        assert token not in log and stack.key not in log


def test_slow_request_is_cut():
    settings = {"TURING_REQUEST_TIMEOUT": "1s"}
    with Stack(clouds=2, haproxy_settings=settings) as stack:
        for port, head in ((stack.pages_port, b"GET /c/x HTTP/1.1\r\nHost:"),
                           (stack.pages_port, b"POST /c/x HTTP/1.1\r\nHost: a"
                            b"\r\nContent-Length: 100\r\n\r\nanswer="),
                           (stack.api_port, b"GET /v1/agent/policy HT")):
            with raw_connection(port) as peer:
                peer.sendall(head)
                started = time.monotonic()
                answer = peer.recv(4096)
                assert answer.startswith(b"HTTP/1.1 408"), answer[:100]
                assert time.monotonic() - started < 5
                # HAProxy 3.0 waits some seconds for the rest of a body.
                read_all(peer)
                assert time.monotonic() - started < 20


def raw_connection(port, source="127.0.0.1"):
    context = ssl.create_default_context(cafile=balancer.certificate()[0])
    return context.wrap_socket(
        socket.create_connection(("127.0.0.1", port), 10, (source, 0)),
        server_hostname="127.0.0.1")


def read_all(peer, seconds=10):
    """All that comes until the other end closes, or says nothing more."""
    peer.settimeout(seconds)
    answer = b""
    try:
        while True:
            piece = peer.recv(65536)
            if not piece:
                return answer
            answer += piece
    except OSError:
        return answer


HIDDEN = b"GET /metrics HTTP/1.1\r\nHost: h\r\n\r\n"
LENGTH = b"Content-Length: %d\r\n" % len(HIDDEN)
CHUNKED = b"Transfer-Encoding: chunked\r\n"
SMUGGLING = {
    "two lengths": b"Content-Length: 0\r\n" + LENGTH,
    "two lengths, the larger first": LENGTH + b"Content-Length: 0\r\n",
    "two equal lengths": LENGTH + LENGTH,
    "a list of lengths": b"Content-Length: 0, %d\r\n" % len(HIDDEN),
    "space before the colon": b"Content-Length : %d\r\n" % len(HIDDEN),
    "tab before the colon": b"Content-Length\t: %d\r\n" % len(HIDDEN),
    "a length and chunked": LENGTH + CHUNKED,
    "chunked and a length": CHUNKED + b"Content-Length: 5\r\n",
    "chunked, space before the colon": LENGTH +
    b"Transfer-Encoding : chunked\r\n",
    "chunked with a vertical tab": LENGTH +
    b"Transfer-Encoding: \x0bchunked\r\n",
    "chunked twice": CHUNKED + CHUNKED,
    "chunked, identity": LENGTH +
    b"Transfer-Encoding: chunked, identity\r\n",
    "folded chunked": LENGTH + b"Transfer-Encoding:\r\n chunked\r\n",
    "length with a sign": b"Content-Length: +%d\r\n" % len(HIDDEN),
    "length in hex": b"Content-Length: 0x10\r\n",
    "negative length": b"Content-Length: -1\r\n",
    "length after a bare LF": b"X: y\n" + LENGTH,
    "length after a bare CR": b"X: y\r" + LENGTH,
    "NUL in a header": b"X: a\x00b\r\n" + LENGTH,
    "repeated Host": b"Host: other\r\n" + LENGTH,
    "repeated equal Host": b"Host: a\r\n" + LENGTH,
    "no colon": b"Content-Length\r\n" + LENGTH,
    "length in a name with a blank": b" Content-Length: 0\r\n" + LENGTH,
    "an empty chunk first": CHUNKED,
}
FORMS = {
    "as the body": lambda rule: rule + b"\r\n" + HIDDEN,
    "behind an empty chunk": lambda rule: rule + b"\r\n0\r\n\r\n" + HIDDEN,
}


def test_smuggled_requests(capsys):
    """Whatever the trick, the instances see one request at most for each
    one sent, and never the hidden one."""
    refused = harmless = 0
    with Stack(clouds=2, cloud_settings="log { level = debug }") as stack:
        for name, rule in SMUGGLING.items():
            for port, path in ((stack.pages_port, b"/c/x"),
                               (stack.api_port, b"/v1/agent/events")):
                for form in FORMS.values():
                    answer = smuggle(stack, name, port, path, form(rule))
                    refused += answer
                    harmless += not answer
        assert not re.search(r"GET /metrics from", stack.cloud.text())
    with capsys.disabled():
        print(f"\nsmuggling through HAProxy: {refused} refused by it,"
              f" {harmless} read as one request by both")
    assert refused > harmless


def smuggle(stack, name, port, path, rest):
    """Sends it; whether HAProxy refused it. Fails when more than one request
    arrived at the instances."""
    before = requests_seen(stack)
    with raw_connection(port) as peer:
        peer.sendall(b"POST " + path + b" HTTP/1.1\r\nHost: a\r\n"
                     b"Connection: close\r\n" + rest)
        answer = read_all(peer, 3)
    seen = requests_seen(stack) - before
    assert seen <= 1, (name, answer)
    # What is left over after the body is no request, as HAProxy says itself.
    answers = re.findall(rb"HTTP/1\.1 (\d+)", answer)
    assert len(answers) - answers[1:].count(b"400") <= 1, (name, answer)
    return seen == 0


def requests_seen(stack):
    """What the instances were asked but for health and by the agent."""
    return len(re.findall(
        r"(?:GET|POST) (?!/readyz|/v1/agent/(?:decisions|policy))\S+ from",
        stack.cloud.text()))


def test_configuration_as_it_is_shipped(tmp_path):
    """With nothing but a certificate, and with all four instances, in which
    every line is read."""
    for more in ({}, {f"TURING_CLOUD{n}": f"127.0.0.1:{n}"
                      for n in range(1, 5)}):
        done = subprocess.run(
            [balancer.PROGRAM, "-c", "-f", balancer.CONFIGURATION],
            capture_output=True, text=True, check=False, env=dict(
                more, TURING_CERTIFICATE=balancer.certificate()[1],
                TURING_SOCKET=str(tmp_path / "socket")))
        assert done.returncode == 0, done.stderr
        assert not re.search("ALERT|WARNING", done.stderr), done.stderr


def test_agent_key_is_asked_for_behind_the_proxy():
    with Stack(clouds=2) as stack:
        status, headers, body = stack.get(
            stack.api_url + "/v1/agent/decisions?after=0")
        assert status == 401 and json.loads(body)["status"] == 401
        assert headers["Content-Type"] == "application/problem+json"


def test_one_client_of_the_api_cannot_take_all():
    """Above its share of connections or requests an address is refused, others
    are served as before."""
    settings = {"TURING_API_CONNECTIONS": "5", "TURING_API_RATE": "40"}
    with Stack(clouds=2, haproxy_settings=settings) as stack:
        key = {"Authorization": "Bearer " + stack.key}
        path = stack.api_url + "/v1/agent/decisions?after=0"

        def ask():
            return stack.get(path, headers=key, source="127.0.0.77")

        held = [raw_connection(stack.api_port, "127.0.0.77")
                for _ in range(5)]
        with pytest.raises(OSError):
            ask()
        assert stack.get(path, headers=key, source="127.0.0.78")[0] == 204
        for peer in held:
            peer.close()

        def answers_again():
            try:
                return ask()[0] == 204
            except OSError:
                return False
        wait_for(answers_again, 20, "the connections are forgotten")
        answers = [ask() for _ in range(60)]
        assert answers[0][0] == 204
        status, headers, body = answers[-1]
        assert status == 429 and json.loads(body)["status"] == 429
        assert headers["Retry-After"] == "10"
        assert stack.get(path, headers=key, source="127.0.0.78")[0] == 204


def test_those_without_a_key_take_no_room():
    """200 connections that send nothing, or slowly, or large bodies: an agent
    registers as fast as without them, behind the proxy and straight at an
    instance; without a key the answer comes before the body."""
    body = b"POST /v1/agent/messages HTTP/1.1\r\nHost: a\r\n" \
        b"Content-Length: 8000000\r\n"
    with Stack(clouds=2) as stack:
        with socket.create_connection(
                ("127.0.0.1", stack.cloud_ports[0]), 10) as peer:
            peer.sendall(body + b"\r\n")
            started = time.monotonic()
            assert read_all(peer).startswith(b"HTTP/1.1 401 ")
            assert time.monotonic() - started < 2
        held = []
        for number in range(200):
            begin = (b"", b"GET /c/x HT", body, body + b"\r\n" + b"x" * 9,
                     b"POST /c/x HTTP/1.1\r\nHost: a\r\n"
                     b"Content-Length: 900\r\n\r\nanswer=")[number % 5]
            port = stack.cloud_ports[number % 2]
            peer = raw_connection(stack.api_port) if number % 4 == 0 else \
                socket.create_connection(("127.0.0.1", port), 10)
            peer.sendall(begin)
            held.append(peer)
        started = time.monotonic()
        stack.send(STRANGER, JEAN)
        wait_for(lambda: stack.challenges(), 10, "registered")
        assert time.monotonic() - started < 3
        for peer in held:
            peer.close()
