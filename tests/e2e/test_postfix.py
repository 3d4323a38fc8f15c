"""Postfix before and after the agent, as a customer runs it."""
import shutil
import smtplib

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


@pytest.mark.skipif(not shutil.which("postfix"), reason="no postfix")
def test_postfix_ends_sessions():
    """A next hop that says 421 after some refused recipients, as Postfix does
    (smtpd_hard_error_limit): what comes next in that session is delivered at
    once, by the first attempt that counts."""
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
