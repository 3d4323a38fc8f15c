"""kill -9 in a loop while mail fails and its senders are told: nothing is lost,
and each sender has one DSN."""
import contextlib
import os
import random
import smtplib
import threading
import time

import stores
from harness import DOMAIN, Stack, wait_for
from hops import Hop

ROUNDS = int(os.environ.get("TURING_KILL_FAILING",
                            10 if stores.STORE == "mongodb" else 25))
SETTINGS = "queue { retry_min = 1s, retry_max = 1s, lease = 2s }\n"
FRIEND = "known.example"


class Sender(threading.Thread):
    """Sends mail of known senders, one address a mail, that will fail."""

    def __init__(self, stack):
        super().__init__(daemon=True)
        self.stack = stack
        self.acknowledged = []
        self.going = True

    def run(self):
        number = 0
        while self.going:
            number += 1
            sender = f"s{number}@{FRIEND}"
            with contextlib.suppress(OSError, smtplib.SMTPException):
                if self.stack.send(sender, f"bad@{DOMAIN}")[0] == 250:
                    self.acknowledged.append(sender)
            time.sleep(0.02)


def failed_and_dsns(stack):
    """{sender: how far he was told}, {sender: DSNs in the spool}."""
    told, dsns = {}, {}
    for message in stack.queue():
        for recipient in message["recipients"]:
            if message["sender"]:
                told[message["sender"]] = recipient["dsn"] \
                    if recipient["state"] == "failed" else recipient["state"]
            else:
                address = recipient["address"]
                dsns[address] = dsns.get(address, 0) + 1
    return told, dsns


def test_agent_killed_while_senders_are_told(capsys):
    with Hop() as hop, Stack(agent_settings=SETTINGS,
                             next_hop_port=hop.port) as stack:
        hop.answers = {"RCPT": {"bad": "550 5.1.1 no such user"}}
        stack.cloud_cli("entry", "add", "customer", "white", "domain", FRIEND)
        wait_for(lambda: stack.metric(
            "agent", "turing_agent_policy_entries") == 1, 20, "white entry")
        sender = Sender(stack)
        sender.start()
        for _ in range(ROUNDS):
            time.sleep(0.3 + random.random())
            stack.agent.kill()
            stack.start_agent()
        sender.going = False
        sender.join(60)
        names = set(sender.acknowledged)
        wait_for(lambda: set(failed_and_dsns(stack)[0].values()) == {"sent"},
                 90, "all are told", 0.5)
        told, dsns = failed_and_dsns(stack)
        copies = {name: hop.copies(name) for name in told}
        with capsys.disabled():
            print(f"\nagent killed {ROUNDS} times: acknowledged"
                  f" {len(names)}, failed and told {len(told)}, DSNs"
                  f" {sum(dsns.values())}, second copies of one"
                  f" {sum(copies.values()) - len(copies)}")
        assert names <= set(told), "nothing acknowledged is lost"
        assert min(copies.values()) >= 1
        assert dsns == {name: 1 for name in told}
        # Only between the next hop's 250 and the commit of it.
        assert sum(copies.values()) - len(copies) <= 4 * ROUNDS
