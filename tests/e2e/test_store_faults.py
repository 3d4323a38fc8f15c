"""The daemons on a MongoDB that is cut off, stalls, swallows answers or is
killed: nothing acknowledged is lost, nothing is decided twice, senders are told
to try again meanwhile, and all of it heals by itself."""
import collections
import contextlib
import os
import re
import smtplib
import threading
import time

import pytest

import stores
from harness import (DOMAIN, Process, Stack, free_port, same_after_trace,
                     sample, transact, wait_for)
from load import Load, wait_registered
from test_nexthop import HostileHop, Relay

pytestmark = pytest.mark.mongodb
POINTS = int(os.environ.get("TURING_STORE_POINTS", "6"))
KILLS = int(os.environ.get("TURING_STORE_KILLS", "4"))
FAULTS = ["cut-before", "cut-after", "cut-middle", "swallow", "stall-before",
          "stall-after"]
# A stalled exchange waits longer than the driver does.
OPTIONS = "socketTimeoutMS=1500&serverSelectionTimeoutMS=2000"
FRIENDS = "friend.example"


@pytest.fixture(scope="module")
def server():
    """A server that may be hurt."""
    with stores.server_module().MongodbServer(private=True,
                                              members=1) as running:
        yield running


def proxied_store(server, proxy):
    """A store whose daemons reach the server through the proxy."""
    return stores.MongodbStore(proxy.uri + "&" + OPTIONS, server.uri)


def fault_proxy():
    stores.server_module()
    import fault_proxy as module  # pylint: disable=import-outside-toplevel
    return module


def welcome_friends(stack):
    stack.cloud_cli("entry", "add", "customer", "white", "domain", FRIENDS)
    wait_for(lambda: stack.metric("agent", "turing_agent_policy_entries")
             == 1, 20, "white entry")


class Letters:
    """Mails of strangers, who are challenged, of friends, whose mail is
    delivered at once, and of lists; some are large."""

    def __init__(self, stack):
        self.stack = stack
        self.acknowledged = {}
        self.refused = set()
        self.unknown = set()
        self.number = 0
        self.lock = threading.Lock()

    def next(self):
        with self.lock:
            self.number += 1
            number = self.number
        recipient = f"l{number}@{DOMAIN}"
        sender = (f"s{number}@stranger.example", f"f{number}@{FRIENDS}",
                  f"n{number}@list.example")[number % 3]
        lines = 5000 if number % 7 == 0 else 5
        headers = "List-Id: <x>\r\n" if number % 3 == 2 else ""
        return sender, recipient, sample(
            sender, recipient, f"letter {number}",
            ("y" * 70 + "\r\n") * lines, headers=headers)

    def send(self):
        """The reply's code; 0 when the session broke."""
        sender, recipient, data = self.next()
        try:
            with smtplib.SMTP("127.0.0.1", self.stack.smtp_port,
                              timeout=60) as client:
                client.ehlo("mx.example")
                code, text = transact(client, sender, [recipient], data)
        except (OSError, smtplib.SMTPException):
            self.unknown.add(recipient)
            return 0
        if code == 250:
            self.acknowledged[recipient] = (sender, data)
        else:
            assert 400 <= code < 500, (code, text)
            self.refused.add(recipient)
        return code

    def settle(self):
        """All held mail is released by solving or by the admin."""
        stack = self.stack
        held = [r for r, (sender, _) in self.acknowledged.items()
                if not sender.endswith(FRIENDS)]
        wait_for(lambda: registered(stack, held), 90, "all registered", 0.3)
        wait_for(lambda: not any(c["mail"] == "pending"
                                 for c in stack.challenges()), 120,
                 "challenge mails sent", 0.5)
        for sender in {c["sender"] for c in stack.challenges()
                       if c["state"] == "open"}:
            assert stack.solve(sender)[0] == 200
        wait_for(lambda: not any(c["state"] in ("open", "solved")
                                 for c in stack.challenges()), 90, "settled")
        wait_for(lambda: not any(
            r["state"] in ("released",) for m in stack.messages()
            for r in m["recipients"].values()), 90, "released at the agent",
            0.5)
        held = [m["id"] for m in stack.queue("--state", "held")]
        for start in range(0, len(held), 100):
            stack.agent_cli("queue", "release", *held[start:start + 100])
        wait_for(lambda: all(stack.delivered(r) for r in self.acknowledged),
                 120, "all delivered", 0.5)

    def check(self):
        """Counts; fails when something is lost, changed or decided twice."""
        stack = self.stack
        copies = {r: stack.delivered(r) for r in
                  [*self.acknowledged, *self.refused, *self.unknown]}
        lost = [r for r in self.acknowledged if not copies[r]]
        different = [r for r, (_, data) in self.acknowledged.items()
                     if not all(same_after_trace(c, data)
                                for c in copies[r])]
        twice = [r for r in copies if len(copies[r]) > 1]
        phantom = [r for r in self.refused if copies[r]]
        stored = collections.Counter(
            r["address"] for m in stack.queue() for r in m["recipients"])
        doubled = [r for r, count in stored.items() if count > 1]
        # Read once: the registration of what was delivered may still come.
        decisions = stack.decisions()
        made = collections.Counter((d["message"], d["recipient"])
                                   for d in decisions)
        assert not lost and not different and not doubled, \
            (lost, different, doubled)
        assert max(made.values(), default=1) == 1, "decided twice"
        assert [d["sequence"] for d in decisions] == \
            list(range(1, len(made) + 1))
        assert stack.count_messages() == len(
            {m["id"] for m in stack.messages()})
        return (f"acknowledged {len(self.acknowledged)}, refused"
                f" {len(self.refused)}, broken {len(self.unknown)}, lost 0,"
                f" decided {len(made)}, twice 0, delivered twice"
                f" {len(twice)}, delivered though refused {len(phantom)}"), \
            len(twice), len(phantom)


def registered(stack, recipients):
    """Whether each is registered, and those of strangers have a challenge."""
    known = {address: m for m in stack.messages() for address in
             m["recipients"]}
    challenged = {c["sender"] for c in stack.challenges()}
    return all(r in known and (known[r]["challenge_reason"] or
                               known[r]["sender"] in challenged)
               for r in recipients)


@pytest.mark.parametrize("fault", FAULTS)
def test_fault_at_an_exchange(server, capsys, fault):
    with fault_proxy().FaultProxy(server.uri) as proxy, \
            Stack(store=proxied_store(server, proxy),
                  agent_settings="queue { retry_min = 1s }") as stack:
        welcome_friends(stack)
        letters = Letters(stack)
        fired, longest = 0, 0.0
        for point in range(POINTS):
            # Of every command that writes in turn, and then of any.
            command = ("insert", "update", "find", None)[point % 4]
            proxy.arm(fault, 1 + point // 4, command, seconds=2.5)
            started = time.monotonic()
            wait_for(lambda: [letters.send() for _ in range(4)] ==
                     [250] * 4, 60, "takes mail again")
            fired += proxy.disarm()
            longest = max(longest, time.monotonic() - started)
            assert not stack.agent.gone() and not stack.cloud.gone()
        letters.settle()
        told, twice, phantom = letters.check()
        with capsys.disabled():
            print(f"\n{fault} at {fired} exchanges: {told}; longest until all"
                  f" is taken again {longest:.1f} s")
        assert fired >= POINTS // 2
        assert twice <= fired and phantom <= fired


def test_server_cut_off(server, capsys):
    """Away for seconds: 4xx, never 5xx or 250; health tells; back at once."""
    with fault_proxy().FaultProxy(server.uri) as proxy, \
            Stack(store=proxied_store(server, proxy)) as stack:
        welcome_friends(stack)
        letters = Letters(stack)
        assert letters.send() == 250
        proxy.down()
        assert letters.send() in (0, 421, 451, 452)
        wait_for(lambda: stack.get(f"{stack.api_url}/readyz")[0] == 503, 20,
                 "the cloud is not ready")
        assert stack.get(f"{stack.api_url}/healthz")[0] == 200
        wait_for(lambda: stack.get(
            f"http://127.0.0.1:{stack.metrics_port}/readyz")[0] == 503, 20,
            "the agent is not ready")
        refused = [letters.send() for _ in range(3)]
        assert not set(refused) & {250}, refused
        proxy.up()
        started = time.monotonic()
        wait_for(lambda: letters.send() == 250, 30, "takes mail again")
        agent = time.monotonic() - started
        wait_for(lambda: stack.get(f"{stack.api_url}/readyz")[0] == 200, 20,
                 "the cloud is ready again")
        cloud = time.monotonic() - started
        letters.settle()
        told, _, _ = letters.check()
        with capsys.disabled():
            print(f"\nserver cut off and back: agent after {agent:.1f} s,"
                  f" cloud after {cloud:.1f} s; {told}")


def test_server_killed_under_load(server, capsys):
    store = stores.MongodbStore(server.uri if "?" in server.uri
                                else server.uri + "?" + OPTIONS, server.uri)
    with Stack(store=store) as stack:
        load = Load(stack.smtp_port, 4).start()
        away = []
        for _ in range(KILLS):
            load.wait_more(6, 60)
            server.kill9()
            time.sleep(1)
            server.restart()
            started = time.monotonic()
            load.wait_more(1, 60, "is back")
            away.append(time.monotonic() - started)
            assert not stack.agent.gone() and not stack.cloud.gone()
        stored, lost, told = load.settle(stack)
        with capsys.disabled():
            print(f"\n{server.name} killed {KILLS} times under load:"
                  f" {told}; mail is taken again after"
                  f" {', '.join(f'{s:.1f}' for s in away)} s")
        assert not lost and max(stored.values()) == 1
        assert all(400 <= code < 500 for code in load.refused)
        wait_registered(stack, stored)


class SecondAgent:
    """Another agent of the same customer on the same spool."""

    def __init__(self, stack):
        self.smtp_port, self.metrics_port = free_port(), free_port()
        conf = os.path.join(stack.folder, "turing-agent-2.conf")
        stack.write_agent(conf, "agent-2", self.smtp_port, self.metrics_port)
        self.process = Process(
            [stack.program("turing-agent"), "run", "-c", conf],
            os.path.join(stack.folder, "agent-2.log"), self.smtp_port)

    def __enter__(self):
        self.process.start()
        return self

    def __exit__(self, *_):
        self.process.kill()


@contextlib.contextmanager
def two_agents(settings, next_hop_port=None):
    with Stack(agent_settings=settings, store="mongodb",
               next_hop_port=next_hop_port) as stack:
        welcome_friends(stack)
        with SecondAgent(stack) as second:
            wait_for(lambda: send_to(second.smtp_port, "probe") == 250, 20,
                     "the second agent has its policy")
            yield stack, second


def send_to(port, name):
    sender, recipient = f"{name}@{FRIENDS}", f"{name}@{DOMAIN}"
    try:
        with smtplib.SMTP("127.0.0.1", port, timeout=30) as client:
            client.ehlo("mx.example")
            return transact(client, sender, [recipient],
                            sample(sender, recipient, name))[0]
    except (OSError, smtplib.SMTPException):
        return 0


def test_two_agents_share_a_spool(capsys):
    """Each mail is delivered by one of them, once; both take mail."""
    with two_agents("queue { retry_min = 1s }") as (stack, second):
        names = [f"two{number}" for number in range(60)]
        for number, name in enumerate(names):
            port = (stack.smtp_port, second.smtp_port)[number % 2]
            assert send_to(port, name) == 250
        counts = [len(stack.wait_delivered(f"{n}@{DOMAIN}", 1, 60))
                  for n in names]
        assert counts == [1] * 60
        for number in range(10):
            sender = f"h{number}@stranger.example"
            stack.send(sender, f"h{number}@{DOMAIN}")
        for number in range(10):
            assert stack.solve(f"h{number}@stranger.example")[0] == 200
        for number in range(10):
            assert len(stack.wait_delivered(f"h{number}@{DOMAIN}", 1,
                                            60)) == 1
        wait_for(lambda: stack.count_messages() == 10, 60, "registered once")
        with capsys.disabled():
            print("\n2 agents on one spool: 70 mails, delivered"
                  f" {sum(counts) + 10}, twice 0")


def test_claims_of_a_killed_agent_return(capsys):
    """Killed while its next hop keeps it waiting: the other one delivers."""
    hop_port = free_port()
    hop = HostileHop({"dot": "stall", "greeting": "220 hop ESMTP\r\n"})
    relay = Relay(hop_port, hop)
    try:
        with two_agents("queue { retry_min = 1s, lease = 4s }", hop_port) as \
                (stack, second):
            names = [f"gone{number}" for number in range(8)]
            for name in names:
                assert send_to(stack.smtp_port, name) == 250
            wait_for(lambda: hop.received >= 1, 30, "one is under way")
            stack.agent.kill()
            killed = time.monotonic()
            hop.good = True
            # What the other one lets lie is its lease, and half of it.
            wait_for(lambda: taken_over(hop, names), 30,
                     "the other agent delivers all", 0.2)
            took = time.monotonic() - killed
            copies = collections.Counter(
                name for content in hop.accepted for name in
                [subject_of(content)])
            with capsys.disabled():
                print(f"\nagent killed while it delivers {len(names)} mails:"
                      f" the other has delivered all after {took:.0f} s,"
                      f" lost 0, twice {sum(c > 1 for c in copies.values())}")
            assert not second.process.gone()
    finally:
        relay.close()
        hop.close()


def subject_of(content):
    return re.search(rb"^Subject: (\S+)\r$", content, re.M).group(1).decode()


def taken_over(hop, names):
    return set(names) <= {subject_of(c) for c in list(hop.accepted)}
