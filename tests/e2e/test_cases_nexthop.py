"""Mail that the next hop refuses, and sessions that it ends: the collections'
cases, and what stands beside them."""
import email
import email.policy

import pytest

import cases
from harness import DOMAIN, Stack, sample, wait_for
from hops import Hop

SETTINGS = "queue { retry_min = 1s, retry_max = 1s }\n"
FRIEND = "known.example"
OWN = [
    {"id": "own-refused", "in": {
        "next_hop": {"RCPT": "554 5.7.1 Relay access denied"},
        "rcpt_to": ["jean@acme.example"], "how": "known sender",
        "mail_from": "bob@known.example"}},
    {"id": "own-data", "in": {
        "next_hop": {"DATA": "554 5.7.1 no"},
        "rcpt_to": ["jean@acme.example", "paul@acme.example"],
        "how": "released by the admin",
        "mail_from": "bob@stranger-own.example"}},
    {"id": "own-mail", "in": {
        "next_hop": {"MAIL": "550 5.7.1 not you"},
        "rcpt_to": ["jean@acme.example"], "how": "captcha solved",
        "mail_from": "bob@stranger-own-2.example"}},
]


@pytest.fixture(scope="module")
def place():
    """One stack and one next hop for all cases."""
    with Hop() as hop, Stack(agent_settings=SETTINGS,
                             next_hop_port=hop.port) as stack:
        stack.cloud_cli("entry", "add", "customer", "white", "domain", FRIEND)
        wait_for(lambda: stack.metric(
            "agent", "turing_agent_policy_entries") == 1, 20, "white entry")
        yield stack, hop


def refusals():
    found = [case for case in cases.load("refused-by-next-hop")
             if case["sub"] == "refused-for-good"]
    if not found:
        print("cases absent: own fixtures alone")
    return OWN + found


def ours(address, case):
    """The case's address in the stack's domain, different from case to case."""
    local, _, domain = address.partition("@")
    return f"{local}@{DOMAIN}" if domain == "acme.example" else \
        f"{case['id']}-{local}@{domain}"


def recipients_of(stack, message):
    found = [m for m in stack.queue() if m["id"] == message]
    assert len(found) == 1
    return found[0], {r["address"]: r for r in found[0]["recipients"]}


def let_through(stack, case, sender, recipients, spf):
    """Sends the mail and lets it through as the case says; its id."""
    data = sample(sender, recipients[0], case["id"], spf=spf)
    assert stack.send(sender, recipients, data)[0] == 250
    message = wait_for(lambda: stack.queue("--sender", sender), 20,
                       "the mail")[0]["id"]
    how = case["in"]["how"]
    if how == "released by the admin":
        stack.agent_cli("queue", "release", message)
    elif how == "captcha solved":
        assert stack.solve(sender)[0] == 200
    else:
        assert how == "known sender"
    return message


def settled(recipient):
    """Whether what the next hop said has had all its consequences."""
    if recipient["state"] == "failed":
        return recipient["dsn"] in ("none", "sent")
    return recipient["state"] in ("delivered", "deferred") and \
        recipient["attempts"] > 0


def with_authentication():
    """The refusals with a pass, and without one where such mail gets out."""
    for case in refusals():
        yield pytest.param(case, "pass", id=case["id"] + "-pass")
        if case["in"]["how"] == "released by the admin":
            yield pytest.param(case, "none", id=case["id"] + "-none")


@pytest.mark.parametrize("case,spf", with_authentication())
def test_refused(place, case, spf):
    """The body is kept until somebody was told; then it is delivered once."""
    stack, hop = place
    sender = ours(f"{spf}-{case['in']['mail_from']}", case)
    recipients = [ours(r, case).replace("@", f"+{case['id']}-{spf}@")
                  for r in case["in"]["rcpt_to"]]
    answers = dict(case["in"]["next_hop"])
    if isinstance(answers.get("RCPT"), dict):
        answers["RCPT"] = {f"{local}+{case['id']}-{spf}": reply
                           for local, reply in answers["RCPT"].items()}
    hop.answers = answers
    message = let_through(stack, case, sender, recipients, spf)
    wait_for(lambda: all(
        settled(r) for r in recipients_of(stack, message)[1].values()), 20,
        "all recipients are judged")
    shown, found = recipients_of(stack, message)
    told = [r for r in found.values() if r["dsn"] == "sent"]
    kept = [r for r in found.values() if r["kept_until"]]
    failed = [r for r in found.values() if r["state"] == "failed"]
    assert failed and len(told) + len(kept) == len(failed)
    assert not told or spf == "pass"
    if kept:
        assert shown["body_present"]
        listed = stack.agent_cli("queue", "list", "--limit", "1000")
        assert message in listed.stdout and "queue retry" in listed.stderr
        assert stack.metric("agent", "turing_agent_failed_kept") >= 0
    hop.answers = {}
    if kept or any(r["state"] == "deferred" for r in found.values()):
        stack.agent_cli("queue", "retry", message, check=bool(kept))
    wait_for(lambda: all(
        r["state"] == "delivered" or r["dsn"] == "sent"
        for r in recipients_of(stack, message)[1].values()), 20,
        "delivered once the next hop takes it")
    refused = {r["address"] for r in told}
    for recipient in recipients:
        assert hop.copies(recipient) == (recipient not in refused)
    assert hop.copies(sender) == (1 if told else 0)


def test_a_dsn_tells_the_sender(place):
    """One of two recipients is unknown: the sender learns of that one."""
    stack, hop = place
    sender = f"ann@{FRIEND}"
    pair = [f"there@{DOMAIN}", f"gone@{DOMAIN}"]
    hop.answers = {"RCPT": {"gone": "550 5.1.1 <gone>: no such user"}}
    assert stack.send(sender, pair)[0] == 250
    wait_for(lambda: hop.copies(sender) == 1, 20, "the DSN")
    envelope = [t for t in hop.taken if t[1] == [sender]]
    assert envelope[0][0] == ""
    report = email.message_from_bytes(envelope[0][2],
                                      policy=email.policy.default)
    assert report.get_content_type() == "multipart/report"
    assert report.get_param("report-type") == "delivery-status"
    assert report["To"] == f"<{sender}>" or sender in report["To"]
    text, status, head = report.iter_parts()
    assert "n'a pas pu être remis" in text.get_content()
    assert "gone@" in text.get_content()
    assert "there@" not in text.get_content()
    fields = status.get_payload()
    assert fields[0]["Reporting-MTA"] == "dns; agent.customer.example"
    assert len(fields) == 2
    assert fields[1]["Final-Recipient"] == f"rfc822; {pair[1]}"
    assert fields[1]["Action"] == "failed"
    assert fields[1]["Status"] == "5.1.1"
    assert fields[1]["Diagnostic-Code"] == \
        "smtp; 550 5.1.1 <gone>: no such user"
    assert head.get_content_type() == "text/rfc822-headers"
    assert "Subject: Hello" in str(head.get_payload())
    assert hop.copies(pair[0]) == 1
    message = stack.queue("--sender", sender)[0]
    wait_for(lambda: not recipients_of(
        stack, message["id"])[0]["body_present"], 20, "the body goes")
    done = stack.agent_cli("queue", "retry", message["id"], check=False)
    assert done.returncode != 0 and "no longer kept" in done.stderr
    hop.answers = {}


def test_wrong_for_a_minute(place):
    """A next hop that refuses everything, and then takes everything."""
    stack, hop = place
    hop.answers = {"RCPT": "554 5.7.1 Relay access denied"}
    pairs = [(f"minute-{n}@{FRIEND}", f"minute-{n}@{DOMAIN}")
             for n in range(20)]
    for sender, recipient in pairs:
        assert stack.send(sender, recipient)[0] == 250

    def waiting():
        return [m for m in stack.queue("--sender", "minute-")
                if m["recipients"][0]["kept_until"]
                and m["recipients"][0]["dsn"] == "none"]
    wait_for(lambda: len(waiting()) == 20, 30, "all are kept")
    wait_for(lambda: stack.metric("agent", "turing_agent_failed_kept") >= 20,
             20, "the alert")
    hop.answers = {}
    stack.agent_cli("queue", "retry", *[m["id"] for m in waiting()])
    for sender, recipient in pairs:
        wait_for(lambda r=recipient: hop.copies(r) == 1, 20, recipient)
        assert hop.copies(sender) == 0


def test_released_elsewhere(place):
    """To another next hop, this once; then it is discarded or retried."""
    stack, hop = place
    sender = f"elsewhere@{FRIEND}"
    recipient = f"elsewhere@{DOMAIN}"
    hop.answers = {"RCPT": "550 5.1.1 unknown here"}
    assert stack.send(sender, recipient)[0] == 250
    message = wait_for(lambda: [
        m for m in stack.queue("--sender", sender)
        if m["recipients"][0]["kept_until"]
        and m["recipients"][0]["dsn"] == "none"], 20, "kept")[0]["id"]
    with Hop() as other:
        done = stack.agent_cli("queue", "release", message, "--next-hop",
                               "localhost", check=False)
        assert done.returncode == 2 and "--next-hop" in done.stderr
        stack.agent_cli("queue", "release", message, "--next-hop",
                        f"127.0.0.1:{other.port}")
        wait_for(lambda: other.copies(recipient) == 1, 20, "elsewhere")
    wait_for(lambda: recipients_of(stack, message)[1][recipient]["state"]
             == "delivered", 20, "delivered")
    hop.answers = {}
    assert hop.copies(recipient) == 0


def test_discarded(place):
    stack, hop = place
    sender = f"discarded@{FRIEND}"
    hop.answers = {"RCPT": "550 5.1.1 unknown here"}
    assert stack.send(sender, f"discarded@{DOMAIN}")[0] == 250
    message = wait_for(lambda: [
        m for m in stack.queue("--sender", sender)
        if m["recipients"][0]["kept_until"]], 20, "kept")[0]["id"]
    stack.agent_cli("queue", "discard", message)
    shown, found = recipients_of(stack, message)
    assert {r["state"] for r in found.values()} == {"discarded"}
    assert not shown["body_present"]
    assert message not in stack.agent_cli("queue", "list").stdout
    hop.answers = {}


def goodbyes():
    found = [case for case in cases.load("challenge-mail-outcome")
             if case["sub"] == "421-on-a-used-session"]
    if not found:
        print("cases absent: own fixtures alone")
    return [{"id": "own-data", "in": {"next_hop": {
        "verb": "DATA", "reply": "421 4.3.2 later", "closes": True,
        "after_mails_on_the_connection": 2}}}] + found


@pytest.mark.parametrize("case", goodbyes(), ids=lambda case: case["id"])
def test_goodbye_in_a_used_session(place, case):
    """A limit of messages a session delays nothing and counts nothing."""
    stack, hop = place
    given = case["in"]["next_hop"]
    hop.answers = {}
    hop.mails_each = given["after_mails_on_the_connection"]
    hop.goodbye = (given["verb"], given["reply"])
    hop.closes = given["closes"]
    sender = f"{case['id']}@{FRIEND}"
    addresses = [f"{case['id']}-{n}@{DOMAIN}" for n in range(8)]
    try:
        for address in addresses:
            assert stack.send(sender, address)[0] == 250
            wait_for(lambda a=address: hop.copies(a) == 1, 20,
                     f"{address} is delivered before the next one")
        wait_for(lambda: [r["attempts"]
                          for m in stack.queue("--sender", sender)
                          for r in m["recipients"]] == [1] * 8, 5,
                 "one attempt each")
    finally:
        hop.mails_each = None


class TurningHop(Hop):
    """Hands what it takes to the agent again, as an MX that is its own next
    hop does, with a Received field of its own."""

    def __init__(self):
        super().__init__()
        self.stack = None
        self.known = 0

    def turn(self):
        """Sends on what came since; whether there was something."""
        with self.lock:
            fresh = self.taken[self.known:]
            self.known += len(fresh)
        for sender, recipients, content in fresh:
            assert self.stack.send(
                sender, recipients,
                b"Received: from agent by mx.customer.example; now\r\n"
                + content)[0] == 250
        return bool(fresh)


def test_loop():
    """The MX as its own next hop: mail turns a few times and is kept."""
    with TurningHop() as hop, Stack(agent_settings=SETTINGS,
                                    next_hop_port=hop.port) as stack:
        hop.stack = stack
        stack.cloud_cli("entry", "add", "customer", "white", "domain", FRIEND)
        wait_for(lambda: stack.metric(
            "agent", "turing_agent_policy_entries") == 1, 20, "white entry")
        sender = f"turning@{FRIEND}"
        assert stack.send(sender, f"jean@{DOMAIN}")[0] == 250

        def kept():
            hop.turn()
            return [m for m in stack.queue("--state", "failed")
                    if m["recipients"][0]["kept_until"]]
        message = wait_for(kept, 30, "the loop is found")[0]
        wait_for(lambda: {r["state"] for m in stack.queue()
                          for r in m["recipients"]}
                 <= {"delivered", "failed"}, 20, "all has come to its end")
        assert not hop.turn(), "it goes round no more"
        assert len(hop.taken) <= 4
        assert message["body_present"]
        assert "loop" in message["recipients"][0]["why"]
        assert message["recipients"][0]["dsn"] == "none"
        assert hop.copies(sender) == 0, "nobody is told of it by mail"
        line = [text for text in
                stack.agent_cli("queue", "list").stdout.splitlines()
                if message["id"] in text]
        assert len(line) == 1 and "loop" in line[0]
        assert "loop" in stack.agent.text()
