"""What people read: the page, the challenge mail and the queue show what the
sender wrote, in the tenant's name, time and words; and who is written to."""
import base64
import email
import email.policy
import html
import re

import pytest

import cases
from harness import AUTHSERV, DOMAIN, Stack, sample, stamp, wait_for

JEAN = f"jean@{DOMAIN}"
SHOWN = "page, challenge mail, queue list"


@pytest.fixture(scope="module", name="town")
def make_town():
    """One stack for all that is read here; its tenant is shown in full."""
    with Stack() as stack:
        stack.cloud_cli("tenant", "set", "customer", "--language", "fr",
                        "--display-name", "Hôtel d’Acme", "--time-zone",
                        "Europe/Paris", "--from-name", "Réception")
        yield stack


def mail_with(sender, subject):
    """A mail whose Subject has these bytes."""
    return (stamp(sender) + b"From: " + sender.encode() + b"\r\nTo: "
            + JEAN.encode() + b"\r\nSubject: " + subject +
            b"\r\n\r\nHello\r\n")


def send(stack, number, sender, subject):
    code, text = stack.send(sender, JEAN, mail_with(sender, subject),
                            client=f"198.51.100.{number % 250 + 1}")
    assert code == 250, text


def text_of(data):
    """The plain part of a challenge mail."""
    mail = email.message_from_bytes(data, policy=email.policy.default)
    return mail.get_body(("plain",)).get_content().replace("\r\n", "\n")


def page_of(stack, link):
    status, _, page = stack.get(link)
    assert status == 200, (link, status)
    return page.decode()


def read_everywhere(stack, sender):
    """(what the queue has as subject, the mail, the page) of a sender."""
    data = stack.wait_delivered(sender)[-1]
    link = stack.challenge_link(sender)
    queued = [entry["subject"] for entry in stack.queue()
              if entry["sender"] == sender]
    return queued[-1], text_of(data), page_of(stack, link)


def reasons(stack):
    """Why no challenge was sent, by sender; "" where one was."""
    return {m["sender"]: m["challenge_reason"] for m in stack.messages()}


SUBJECTS = [
    (b"=?ks_c_5601-1987?B?yLjAxyC+yLO7?=", "회의 안내"),
    (b"=?iso-8859-8-i?B?+ezl7Q==?=", "שלום"),
    (b"=?windows-1258?Q?Hanoi?=", "Hanoi"),
    (b"=?iso-8859-1?Q?We=92ve_=96_=80?=", "We’ve – €"),
    (b"D\xe9j\xe0 vu", "Déjà vu"),
    ("Déjà vu".encode(), "Déjà vu"),
    (b"=?utf-8?B?PT91dGYtOD9CP2MyVmpiMjVrPz0=?=",
     "=?utf-8?B?c2Vjb25k?="),
]


def check_subjects(stack, name, rows):
    """Sends all, then reads each where it is shown."""
    for number, (raw, _) in enumerate(rows):
        send(stack, number, f"{name}{number}@{name}{number}.example", raw)
    for number, (_, right) in enumerate(rows):
        queued, text, page = read_everywhere(
            stack, f"{name}{number}@{name}{number}.example")
        assert queued == right
        assert f": {right}\n" in text, (right, text)
        assert f"<bdi>{html.escape(right)}</bdi>" in \
            page.replace("&#39;", "&#x27;"), right


def test_subjects_as_they_were_written(town):
    check_subjects(town, "subject", SUBJECTS)


def test_cases_of_subjects(town):
    rows = [(base64.b64decode(case["in"]["subject_field_base64"]),
             case["right"][SHOWN]) for case in cases.need("display")
            if "subject_field_base64" in case["in"]]
    check_subjects(town, "case", rows)


def test_cases_of_links_and_senders(town):
    number = 100
    for case in cases.need("display"):
        number += 1
        sender = f"ann@link{number}.example"
        if "subject" in case["in"]:
            subject = case["in"]["subject"]
            send(town, number, sender, subject.encode())
            _, text, page = read_everywhere(town, sender)
            assert subject not in text and subject in page
        elif "mail_from" in case["in"]:
            given = case["in"]["mail_from"]
            right = case["right"]["page and mail show"]
            send(town, number, given, b"Offer")
            _, text, page = read_everywhere(town, given)
            assert f"<bdi>{right}</bdi>" in page
            assert f": {right}\n" in text
        elif "GET" in case["in"]:
            send(town, number, sender, b"Offer")
            link = town.challenge_link(sender)
            behind = case["in"]["GET"].split("{token}")[1]
            assert page_of(town, link + behind) == page_of(town, link)


def test_the_tenant_is_named_and_times_are_local(town):
    sender = "marie@named.example"
    send(town, 200, sender, b"Offer")
    data = town.wait_delivered(sender)[-1]
    mail = email.message_from_bytes(data, policy=email.policy.default)
    assert mail["From"].addresses[0].display_name == "Réception"
    text = text_of(data)
    assert text.startswith("Confirmez une seule fois que vous êtes une "
                           "personne, et votre message à")
    page = page_of(town, town.challenge_link(sender) + "?lang=fr")
    for shown in (text, page):
        assert "chez Hôtel d’Acme" in shown
        assert re.search(r"\d\d:\d\d \(Europe/Paris\)", shown)
        assert "UTC" not in shown and "libérer" not in shown


def test_a_mail_that_an_admin_released_is_delivered(town):
    sender = "marie@released.example"
    send(town, 201, sender, b"Offer")
    link = town.challenge_link(sender)
    assert "<form" in page_of(town, link)
    ids = [entry["id"] for entry in town.queue() if entry["sender"] == sender]
    town.agent_cli("queue", "release", ids[0])
    wait_for(lambda: "Votre message a été remis" in
             page_of(town, link + "?lang=fr"), 20, "the page tells of it")
    assert "<form" not in page_of(town, link)


def test_an_alias_is_addressed(town):
    """Another address of the tenant's domains in To: the reason is none."""
    for number, to in enumerate((f"contact@{DOMAIN}", f"jean+shop@{DOMAIN}")):
        sender = f"ann@alias{number}.example"
        town.send(sender, JEAN, sample(sender, to))
        town.challenge_link(sender)
    sender = "ann@bcc.example"
    town.send(sender, JEAN, sample(sender, "someone@else.example"))
    assert wait_for(lambda: reasons(town).get(sender), 20,
                    "a reason is registered") == "not-addressed"


PROGRAMS = [
    ("ne-pas-repondre@shop.example", "Subject: Facture", "", "role-sender"),
    ("paul@away.example", "Subject: Automatisch antwoord: offerte", "",
     "auto-header"),
    ("paul@meeting.example",
     "Subject: Weekly\r\nMIME-Version: 1.0\r\n"
     "Content-Type: multipart/alternative; boundary=\"q\"",
     "--q\r\nContent-Type: text/calendar; method=REQUEST\r\n\r\n"
     "BEGIN:VCALENDAR\r\n--q--\r\n", "report"),
]


def test_programs_are_not_written_to(town):
    for sender, lines, body, _ in PROGRAMS:
        data = (f"Authentication-Results: {AUTHSERV}; spf=pass"
                f" smtp.mailfrom={sender.split('@')[1]}\r\n"
                f"From: {sender}\r\nTo: {JEAN}\r\n{lines}\r\n\r\n{body}")
        assert town.send(sender, JEAN, data.encode())[0] == 250
    for sender, _, _, reason in PROGRAMS:
        assert wait_for(lambda who=sender: reasons(town).get(who), 20,
                        "a reason is registered") == reason
        assert town.delivered(sender) == []


def send_case(stack, number, case):
    """The case's mail, to this stack's tenant, with a pass for its sender."""
    lines = [line.replace("jean@acme.example", JEAN)
             for line in case["header"]]
    data = stamp(case["mail_from"]) + "\r\n".join(
        [*lines, "", case.get("body", "Hello\r\n")]).encode()
    assert stack.send(case["mail_from"], JEAN, data,
                      client=f"203.0.113.{number}")[0] == 250


@pytest.mark.parametrize("kind", ["automatic-mail",
                                  "people-who-look-automatic"])
def test_cases_of_programs_and_people(town, kind):
    """The agent's reason, and the cloud's, for each mail of the kind."""
    played = cases.need(kind)
    for number, case in enumerate(played, 1):
        send_case(town, number, case)
    senders = {case["mail_from"] for case in played}
    wait_for(lambda: senders <= set(reasons(town)), 30, "all registered")
    wait_for(lambda: all(reasons(town)[c["mail_from"]] or
                         town.delivered(c["mail_from"]) for c in played),
             60, "a reason or a challenge mail for each")
    found = reasons(town)
    wrong = [(case["id"], found[case["mail_from"]]) for case in played
             if found[case["mail_from"]] not in
             case["right"].get("reason", [""]) and not case.get("hard")]
    assert not wrong


def test_cases_of_reasons(town):
    """Agent and cloud name the same reason, and a true one."""
    for number, case in enumerate(cases.need("reason-shown")):
        sender = case["in"].get("mail_from", f"ann@reason{number}.example")
        lines = case["in"].get("header", ["To: jean@acme.example"])
        data = stamp(sender) + "\r\n".join(
            [f"From: {sender}", *lines, "", "Hello\r\n"]).replace(
                "@acme.example", "@" + DOMAIN).encode()
        assert town.send(sender, JEAN, data,
                         client=f"192.0.2.{number + 1}")[0] == 250
        wait_for(lambda who=sender: who in reasons(town), 20, "registered")
        held = [m for m in town.queue() if m["sender"] == sender]
        agent, cloud = held[-1]["challenge_reason"], reasons(town)[sender]
        assert agent == cloud, case["id"]
        if not cloud:
            town.wait_delivered(sender)
        assert cloud != "null-sender" and (
            not cloud or "may be sent" not in str(case["right"])), case["id"]
