"""Postfix before and after the agent, as a customer runs it."""
import shutil
import smtplib
import socketserver
import threading

import pytest

from harness import DOMAIN, Stack, sample, transact, wait_for
from postfix import Postfix


@pytest.mark.skipif(not shutil.which("postfix"), reason="no postfix")
def test_postfix_before_and_after():
    """MX Postfix -> agent -> mail server Postfix -> sandbox."""
    # The sample's stamp begins below the line that this MX writes.
    with Stack(agent_settings="policy { authres_position = below }") as probe:
        sandbox = probe.sandbox_port
        after = Postfix(f"""
relay_domains = {DOMAIN}
relay_transport = smtp:[127.0.0.1]:{sandbox}
default_transport = smtp:[127.0.0.1]:{sandbox}
""")
        with after:
            probe.agent.stop()
            probe.next_hop_port = after.port
            probe.write_configuration()
            probe.start_agent()
            before = Postfix(f"""
relay_domains = {DOMAIN}
relay_transport = smtp:[127.0.0.1]:{probe.smtp_port}
smtp_send_xforward_command = yes
smtpd_authorized_xforward_hosts = 127.0.0.0/8
""")
            with before:
                through(probe, before)


def through(stack, mx):
    sender, recipient = "lea@stranger.example", f"jean@{DOMAIN}"
    body = "Bonjour,\r\n.\r\n..deux points\r\n" + "z" * 900 + "\r\n"
    data = sample(sender, recipient, "par Postfix", body)
    with smtplib.SMTP("127.0.0.1", mx.port, timeout=30) as client:
        client.ehlo("stranger.example")
        client.docmd("XFORWARD", "NAME=mail.stranger.example ADDR=192.0.2.44"
                     " HELO=mail.stranger.example PROTO=ESMTP")
        assert transact(client, sender, [recipient], data)[0] == 250
    assert stack.solve(sender)[0] == 200
    stored = stack.wait_delivered(recipient)[0]
    # Two Postfix added their Received lines; what is under them is the same.
    assert stored.split(b"Authentication-Results", 1)[1] == \
        data.split(b"Authentication-Results", 1)[1]
    assert b"192.0.2.44" in stored, "the agent traces the first client"
    assert [m["client_address"] for m in stack.messages()] == ["192.0.2.44"]


class SessionLimit(socketserver.ThreadingTCPServer):
    """A policy server (SMTPD_POLICY_README of Postfix) that lets a session
    take so many recipients, and then has Postfix end it by a 421."""
    allow_reuse_address = True
    daemon_threads = True

    def __init__(self, limit):
        super().__init__(("127.0.0.1", 0), SessionLimit.Handler)
        self.limit = limit
        self.ended = 0
        self.sessions = {}
        threading.Thread(target=self.serve_forever, daemon=True).start()

    class Handler(socketserver.StreamRequestHandler):
        def handle(self):
            attributes = {}
            for line in self.rfile:
                name, _, value = line.decode().rstrip("\n").partition("=")
                if name:
                    attributes[name] = value
                    continue
                self.wfile.write(
                    f"action={self.server.judge(attributes)}\n\n".encode())
                attributes = {}

    def judge(self, attributes):
        port = attributes["client_port"]
        taken = self.sessions.get(port, 0)
        if taken >= self.limit:
            self.ended += 1
            return "421 4.7.0 Too many messages on this connection"
        self.sessions[port] = taken + 1
        return "DUNNO"


@pytest.mark.skipif(not shutil.which("postfix"), reason="no postfix")
@pytest.mark.parametrize("delayed", ["no", "yes"])
def test_postfix_ends_sessions(delayed):
    """A next hop that ends sessions by a 421, to MAIL or to RCPT, delays
    nobody: what met it goes out at once over another one."""
    with SessionLimit(3) as limit, Postfix(f"""
relay_domains = {DOMAIN}
relay_transport = discard:
default_transport = discard:
smtpd_delay_reject = {delayed}
smtpd_sender_restrictions =
  check_policy_service inet:127.0.0.1:{limit.server_address[1]}
""") as after, Stack(next_hop_port=after.port, agent_settings="""
next_hop { connections = 1 }""") as stack:
        stack.cloud_cli("entry", "add", "customer", "white", "domain",
                        "friend.example")
        wait_for(lambda: stack.metric(
            "agent", "turing_agent_policy_entries") == 1, 20, "white entry")
        for number in range(20):
            assert stack.send(f"ann-{number}@friend.example",
                              f"jean-{number}@{DOMAIN}")[0] == 250

        def outcomes():
            return [(r["state"], r["attempts"]) for m in stack.queue()
                    for r in m["recipients"]]
        wait_for(lambda: outcomes() == [("delivered", 1)] * 20, 15,
                 "all are delivered by one attempt")
        assert limit.ended >= 20 // 4, "it did end sessions"


@pytest.mark.skipif(not shutil.which("postfix"), reason="no postfix")
def test_postfix_refuses_recipients():
    """A next hop that ends sessions in which it refused recipients
    (smtpd_hard_error_limit) takes all others without a delay."""
    after = Postfix(f"""
relay_domains = {DOMAIN}
relay_transport = discard:
default_transport = discard:
smtpd_hard_error_limit = 2
smtpd_error_sleep_time = 0
smtpd_recipient_restrictions =
  check_recipient_access inline:{{ {{ gone@{DOMAIN} = 550 5.1.1 unknown }} }},
  permit_mynetworks, reject
""")
    with after, Stack(next_hop_port=after.port, agent_settings="""
next_hop { connections = 1 }
dsn { enabled = no }""") as stack:
        stack.cloud_cli("entry", "add", "customer", "white", "domain",
                        "friend.example")
        wait_for(lambda: stack.metric(
            "agent", "turing_agent_policy_entries") == 1, 20, "white entry")
        for number in range(30):
            name = "gone" if number % 3 == 0 else f"there-{number}"
            assert stack.send(f"ann-{number}@friend.example",
                              f"{name}@{DOMAIN}")[0] == 250

        def outcomes():
            return [(r["address"], r["state"], r["attempts"])
                    for m in stack.queue() for r in m["recipients"]]
        wait_for(lambda: {state for _, state, _ in outcomes()} ==
                 {"delivered", "failed"}, 10, "all are judged at once")
        assert {attempts for _, _, attempts in outcomes()} == {1}
        assert sum(state == "failed" for _, state, _ in outcomes()) == 10
        with open(after.path("log"), encoding="utf-8") as log:
            assert "too many errors" in log.read(), "it did end sessions"
