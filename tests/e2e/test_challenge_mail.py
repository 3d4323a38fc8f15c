"""What becomes of a challenge by what a smarthost answers."""
import time

import pytest

import cases
from harness import DOMAIN, Stack, sample, wait_for
from scripted_smarthost import Smarthost

RETRIES = ("challenge { mail_retry_min = 1s, mail_retry_max = 2s,"
           " mail_attempts = 3 }")


@pytest.fixture(scope="module", name="peers")
def start():
    """A stack whose smarthost is scripted; the senders' names differ."""
    with Smarthost() as smarthost, Stack(
            smarthost=f'address = "127.0.0.1:{smarthost.port}"',
            cloud_settings=RETRIES) as stack:
        yield stack, smarthost.script


def challenges(stack, sender):
    return [one for one in stack.challenges() if one["sender"] == sender]


def tried(stack, sender):
    """The sender's first challenge once its mail was tried."""
    found = challenges(stack, sender)
    return found[0] if found and found[0]["mail_reply"] else None


def write(stack, sender, recipient, plain=None):
    code, text = stack.send(
        sender, f"{recipient}@{DOMAIN}",
        sample(plain or sender, f"{recipient}@{DOMAIN}"))
    assert code == 250, text


def is_dead(stack, sender):
    return "is marked as dead" in stack.cloud_cli("sender", "show",
                                                  sender).stdout


def play(peers, sender, answers, right, plain=None):
    """One mail while the smarthost answers so, and another one when it takes
    everything."""
    stack, script = peers
    script.set(**answers)
    write(stack, sender, "jean", plain)
    first = wait_for(lambda: tried(stack, sender), 20, f"{sender} is tried")
    if right.get("copies") == 1:
        assert first["mail"] == "sent", first
    if right.get("sender_dead"):
        assert first["state"] == "bounced", first
        assert is_dead(stack, sender)
    else:
        assert not is_dead(stack, plain or sender), first
        if first["state"] == "open" and first["mail"] == "pending":
            assert right.get("copies", 0) == 0
    if right.get("challenge") == "none is left open":
        assert first["state"] != "open", first
    script.set()
    if right.get("sender_dead"):
        assert script.copies(sender) == 0
        return
    write(stack, plain or sender, "paul")
    wait_for(lambda: script.copies(plain or sender), 20,
             f"{sender} gets his mail: {first}")
    assert script.copies(plain or sender) == 1
    wait_for(lambda: challenges(stack, plain or sender)[-1]["mail"] == "sent",
             10, "it is counted as sent")


NO_CHUNKING = ["PIPELINING", "SIZE 104857600", "8BITMIME",
               "ENHANCEDSTATUSCODES"]
ROWS = [
    ("chunking", {}, {"copies": 1}),
    ("chunking-later", {"end of data or BDAT LAST": "451 4.3.0 later"},
     {"copies": 0}),
    ("chunking-no", {"end of data or BDAT LAST": "554 5.7.1 no"}, {}),
    ("data", {"EHLO": NO_CHUNKING}, {"copies": 1}),
    ("sender", {"MAIL": "550 5.1.8 no such domain"}, {}),
    ("relay", {"RCPT": "554 5.7.1 Relay access denied"}, {}),
    ("login", {"MAIL": "530 5.7.0 Must authenticate"}, {}),
    ("size", {"MAIL": "552 5.3.4 too large"}, {}),
    ("full", {"RCPT": "552 5.2.2 mailbox full"}, {}),
    ("gone", {"RCPT": "550 5.1.1 no such user"}, {"sender_dead": True}),
    ("busy", {"RCPT": "421 4.7.0 too many"}, {"copies": 0}),
]


@pytest.mark.parametrize("name,answers,right", ROWS,
                         ids=[row[0] for row in ROWS])
def test_outcome(peers, name, answers, right):
    play(peers, f"{name}@{name}.example", answers, right)


def test_refusal_of_us_stops_all_mails(peers):
    """One is tried, the others wait; then each gets its mail, once."""
    stack, script = peers
    script.set(RCPT="554 5.7.1 Relay access denied")
    senders = [f"w{number}@wait.example" for number in range(12)]
    for sender in senders:
        write(stack, sender, "jean")
    wait_for(lambda: all(challenges(stack, one) for one in senders), 20,
             "all are challenged")
    wait_for(lambda: stack.metric("cloud", "turing_cloud_smarthost_refuses_us"),
             10, "the metric tells")
    assert sum(script.attempts(one) for one in senders) <= 6
    assert "smarthost refuses us" in stack.cloud.text()
    script.set()
    wait_for(lambda: all(script.copies(one) for one in senders), 30,
             "all get their mails")
    wait_for(lambda: not stack.metric(
        "cloud", "turing_cloud_smarthost_refuses_us"), 10, "over")
    assert [script.copies(one) for one in senders] == [1] * len(senders)
    assert not any(is_dead(stack, one) for one in senders[:3])


def test_one_bad_mail_stops_no_other(peers):
    """5.7.1 for what is in one mail, always: the others go out meanwhile, and
    it is given up in the end."""
    stack, script = peers
    script.set()
    bad = "bad@bad.example"
    script.refused[bad] = "554 5.7.1 spam, mail {n}"
    write(stack, bad, "jean")
    wait_for(lambda: tried(stack, bad), 20, "it is tried")
    for number in range(40):
        other = f"o{number}@other.example"
        write(stack, other, "jean")
        wait_for(lambda: script.copies(other), 10, f"{other} gets his mail")
        if challenges(stack, bad)[0]["state"] != "open":
            break
        time.sleep(1)
    ended = challenges(stack, bad)[0]
    assert (ended["state"], ended["mail"]) == ("expired", "failed"), ended
    assert ended["end_reason"].startswith("554 5.7.1 spam, mail ")
    assert ended["mail_attempts"] == 3 and not is_dead(stack, bad)


def test_killed_before_it_hears_the_250():
    """The smarthost has the mail, the cloud does not know: one more copy."""
    sender = "s@killed.example"
    with Smarthost() as smarthost, Stack(
            smarthost=f'address = "127.0.0.1:{smarthost.port}"',
            cloud_settings=RETRIES) as stack:
        script = smarthost.script

        def kill(_):
            script.on_taken = lambda recipient: None
            stack.cloud.kill()

        script.on_taken = kill
        write(stack, sender, "jean")
        wait_for(stack.cloud.gone, 20, "the cloud is killed")
        stack.start_cloud()
        # Its claim ends after 30 s.
        wait_for(lambda: challenges(stack, sender)[0]["mail"] == "sent", 60,
                 "another attempt")
        assert script.copies(sender) == 2
        assert challenges(stack, sender)[0]["mail_attempts"] == 2


def test_cases(peers):
    """What was found from outside; the next hop's are played elsewhere."""
    for case in cases.need("challenge-mail-outcome"):
        if "smarthost" not in case["in"]:
            continue
        sender = case["in"]["mail"]["mail_from"]
        plain = sender.replace('"', "")
        print(case["id"])
        play(peers, sender, case["in"]["smarthost"], case["right"],
             plain if plain != sender else None)
