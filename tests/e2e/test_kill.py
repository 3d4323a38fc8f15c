"""kill -9 in a loop: what was acknowledged is there, once."""
import contextlib
import glob
import os
import random
import smtplib
import time

import pytest

import stores
from harness import DOMAIN, Stack, same_after_trace, wait_for
from load import Load, wait_registered

# A server that is asked over the network, and twice at each start, is slower.
FEWER = stores.STORE == "mongodb"
AGENT_ROUNDS = int(os.environ.get("TURING_KILL_AGENT", FEWER and 25 or 100))
CLOUD_ROUNDS = int(os.environ.get("TURING_KILL_CLOUD", FEWER and 8 or 30))
DELIVERY_ROUNDS = int(os.environ.get("TURING_KILL_DELIVERY",
                                     FEWER and 8 or 20))


def recipients_in_spool(stack):
    return [r["address"] for m in stack.queue() for r in m["recipients"]]


def test_agent_killed_under_load(stack, capsys):
    load = Load(stack.smtp_port).start()
    for _ in range(AGENT_ROUNDS):
        load.wait_more(4)
        time.sleep(random.random() * 0.05)
        stack.agent.kill()
        stack.start_agent()
    load.stop()
    acknowledged = [recipient for recipient, _ in load.acknowledged]
    stored = recipients_in_spool(stack)
    lost = set(acknowledged) - set(stored)
    doubled = len(stored) - len(set(stored))
    foreign = set(stored) - set(acknowledged) - set(load.unknown)
    with capsys.disabled():
        print(f"\nagent killed {AGENT_ROUNDS} times, 10 sessions:"
              f" acknowledged {len(acknowledged)}, recovered"
              f" {len(set(acknowledged) & set(stored))}, lost {len(lost)},"
              f" stored without an answer"
              f" {len(set(stored) & set(load.unknown))}, doubled {doubled}")
    assert not lost and not doubled and not foreign
    wait_for(lambda: stack.count_messages() == len(stored), 60,
             "each registered once", 0.5)


def incoming_folders(process):
    """The folders below /var/tmp that this process has."""
    found = []
    for link in glob.glob(f"/proc/{process.child.pid}/fd/*"):
        with contextlib.suppress(FileNotFoundError):
            found.append(os.readlink(link))
    return [path for path in found
            if path.startswith("/var/tmp/turing-incoming-")]


@pytest.mark.mongodb
def test_agent_killed_with_a_large_mail_half_received(stack):
    folder, = incoming_folders(stack.agent)
    client = smtplib.SMTP("127.0.0.1", stack.smtp_port, timeout=30)
    client.ehlo("load.example")
    for command in ("MAIL FROM:<a@load.example>", f"RCPT TO:<a@{DOMAIN}>"):
        assert client.docmd(command)[0] == 250
    assert client.docmd("DATA")[0] == 354
    client.send(b"Subject: large\r\n\r\n" + b"x" * 70 + b"\r\n")
    client.send((b"y" * 70 + b"\r\n") * 10000)
    wait_for(lambda: os.listdir(folder), 30, "it is being written")
    stack.agent.kill()
    client.close()
    assert os.listdir(folder)
    stack.start_agent()
    assert not os.path.exists(folder)
    own, = incoming_folders(stack.agent)
    stack.agent.stop()
    assert not os.path.exists(own)


def test_agent_killed_while_it_delivers(capsys):
    settings = "queue { retry_min = 1s }"
    with Stack(agent_settings=settings) as stack:
        stack.cloud_cli("entry", "add", "customer", "white", "domain",
                    "load.example")
        wait_for(lambda: stack.metric(
            "agent", "turing_agent_policy_entries") == 1, 20, "white entry")
        load = Load(stack.smtp_port, 5).start()
        for _ in range(DELIVERY_ROUNDS):
            load.wait_more(11)
            time.sleep(random.random() * 0.05)
            stack.agent.kill()
            stack.start_agent()
        load.stop()
        wait_for(lambda: all(stack.delivered(r)
                             for r, _ in load.acknowledged), 60,
                 "all delivered", 0.5)
        copies = [len(stack.delivered(r)) for r, _ in load.acknowledged]
        different = [r for r, data in load.acknowledged
                     if not same_after_trace(stack.delivered(r)[0], data)]
        with capsys.disabled():
            print(f"\nagent killed {DELIVERY_ROUNDS} times while it delivers:"
                  f" acknowledged {len(copies)}, delivered {sum(c > 0 for c in copies)},"
                  f" twice {sum(c > 1 for c in copies)},"
                  f" different {len(different)}")
        assert not different
        # What was open at each kill: little, so soon after a start.
        assert sum(c - 1 for c in copies) <= DELIVERY_ROUNDS * 10


def test_cloud_killed_while_mail_is_registered(stack, capsys):
    load = Load(stack.smtp_port, 4).start()
    for _ in range(CLOUD_ROUNDS):
        load.wait_more(4)
        time.sleep(random.random() * 0.1)
        stack.cloud.kill()
        stack.start_cloud()
    load.stop()
    stored = recipients_in_spool(stack)
    wait_registered(stack, stored)
    ids = [message["id"] for message in stack.messages()]
    with capsys.disabled():
        print(f"\ncloud killed {CLOUD_ROUNDS} times: acknowledged"
              f" {len(load.acknowledged)}, held {len(stored)}, registered"
              f" {len(ids)}, twice {len(ids) - len(set(ids))}")
    assert len(ids) == len(set(ids)) == len(stored)


def test_cloud_killed_around_solving(capsys):
    """Whatever moment the cloud dies at, a solved challenge releases."""
    with Stack() as stack:
        for number in range(10):
            sender = f"s{number}@stranger.example"
            stack.send(sender, f"r{number}@customer.example")
        for number in range(10):
            sender = f"s{number}@stranger.example"
            # A claim of a killed cloud is another's after its lease.
            link = stack.challenge_link(sender, 90)
            try:
                stack.solve(sender, link)
            finally:
                stack.cloud.kill()
            stack.start_cloud()
        for number in range(10):
            stack.wait_delivered(f"r{number}@customer.example", 1, 60)
        counts = [len(stack.delivered(f"r{n}@customer.example"))
                  for n in range(10)]
        assert counts == [1] * 10
        mails = [len(stack.delivered(f"s{n}@stranger.example"))
                 for n in range(10)]
        with capsys.disabled():
            print(f"\ncloud killed after each of 10 solutions: delivered"
                  f" {sum(counts)}, challenge mails {sum(mails)}, of these"
                  f" sent again {sum(mails) - 10}")
        # One killed between the smarthost's 250 and its own commit sends
        # that mail again: at most one for each kill.
        assert all(mails) and sum(mails) - 10 <= 10


def test_cloud_away_then_back(stack):
    """Mail arrives for a while without a cloud, and catches up."""
    stack.cloud.stop()
    load = Load(stack.smtp_port, 4).start()
    wait_for(lambda: len(load.acknowledged) >= 500, 60, "500 mails")
    load.stop()
    assert not load.refused and not load.unknown
    assert stack.get(f"http://127.0.0.1:{stack.metrics_port}/healthz")[0] \
        == 200
    stack.start_cloud()
    wait_for(lambda: stack.count_messages() == len(load.acknowledged), 60,
             "all registered", 0.2)


def test_agent_restarts_without_a_cloud(stack):
    stack.cloud_cli("entry", "add", "customer", "white", "domain",
                    "friend.example")
    wait_for(lambda: stack.metric("agent", "turing_agent_policy_entries")
             == 1, 20, "white entry")
    stack.cloud.stop()
    assert stack.agent.stop() == 0
    stack.start_agent()
    assert stack.send("a@friend.example", "b@customer.example")[0] == 250
    assert stack.send("a@stranger.example", "c@customer.example")[0] == 250
    stack.wait_delivered("b@customer.example")
    assert stack.delivered("c@customer.example") == []
