"""What an MX has taken is never sent back to a sender who may be forged; and
recipients are known before anything is held."""
import contextlib
import json
import os
import shutil
import smtplib
import socket
import socketserver
import threading

import pytest

import cases
from harness import AUTHSERV, DOMAIN, Stack, sample, stuff, wait_for
from postfix import Postfix

JEAN = f"jean@{DOMAIN}"
VICTIM = "victim.example"

# As the README has it for the MX; bounces go where the sandbox keeps them.
MX = """
relay_domains = {domain}
relay_transport = smtp:[127.0.0.1]:{agent}
default_transport = smtp:[127.0.0.1]:{sandbox}
smtp_send_xforward_command = yes
smtpd_authorized_xforward_hosts = 127.0.0.0/8
smtpd_relay_restrictions = reject_unauth_destination
mynetworks = 192.0.2.1/32
message_size_limit = 52428800
smtpd_error_sleep_time = 0
smtpd_hard_error_limit = 1000
{more}
"""
PROBES = """
smtpd_recipient_restrictions = reject_unverified_recipient
unverified_recipient_reject_code = 550
unverified_recipient_defer_code = 450
address_verify_map =
address_verify_poll_delay = 1s
address_verify_poll_count = 5
"""


@contextlib.contextmanager
def behind_postfix(more="", **options):
    """A stack with an MX in front of it."""
    with Stack(**options) as stack:
        mx = Postfix(MX.format(domain=DOMAIN, agent=stack.smtp_port,
                               sandbox=stack.sandbox_port, more=more),
                     "verify unix - - n - 1 verify")
        with mx:
            yield stack, mx


def say(client, line):
    client.sock.sendall(line + b"\r\n")
    return client.getreply()[0]


def hand_over(mx, sender, recipients, data, parameters=b""):
    """Whether the MX took it; what it refuses in its session is no bounce."""
    with smtplib.SMTP("127.0.0.1", mx.port, timeout=60) as client:
        client.ehlo("pc.evil.example")
        if say(client, b"MAIL FROM:<" + sender + b">" + parameters) != 250:
            return False
        if not [250 for one in recipients
                if say(client, b"RCPT TO:<" + one + b">") == 250]:
            return False
        if say(client, b"DATA") != 354:
            return False
        client.sock.sendall(stuff(data) + b".\r\n")
        return client.getreply()[0] == 250


def bytes_of(text):
    return text.replace("acme.example", DOMAIN).encode()


def message(header=(), body=b"hello\r\n"):
    lines = header or (f"From: v@{VICTIM}", f"To: {JEAN}", "Subject: x")
    return b"".join(bytes_of(one) + b"\r\n" for one in lines) + \
        b"\r\n" + body


def play(mx, case):
    mail = case["in"]["mail"]
    return hand_over(
        mx, bytes_of(mail["mail_from"]), map(bytes_of, mail["rcpt_to"]),
        message(mail["header"], bytes_of(mail["body"]) + b"\r\n"),
        b" " + bytes_of(mail["mail_params"]) if mail["mail_params"] else b"")


def idle(mx):
    """Whether the MX has nothing left to send."""
    return not any(names for folder in ("incoming", "active", "deferred",
                                        "maildrop", "bounce", "defer")
                   for _, _, names in os.walk(mx.path(f"queue/{folder}")))


def bounces(stack):
    """The addresses of the forged senders that got a mail."""
    with contextlib.suppress(FileNotFoundError):
        return [name for name in os.listdir(stack.mail)
                if name.endswith(VICTIM)]
    return []


AT = f"@{DOMAIN}".encode()
SENDER = f"forged@{VICTIM}".encode()
AT_VICTIM = f"@{VICTIM}".encode()
# Name, sender, recipients, message, parameters of MAIL.
SHAPES = [
    ("NUL in the header", SENDER, [b"n1" + AT],
     b"Subject: a\0b\r\nFrom: x\0y\r\n\r\nx\r\n", b""),
    ("NUL alone", SENDER, [b"n2" + AT], b"\0\r\n", b""),
    ("NUL around the dot", SENDER, [b"n3" + AT],
     b"Subject: x\r\n\r\n\0.\0\r\n.\0\r\n", b""),
    ("bare CR", SENDER, [b"r1" + AT],
     message(body=b"a\rb\r.\rc\r\n"), b""),
    ("CR CR LF", SENDER, [b"r2" + AT], message(body=b"a\r\r\nb\r\n"), b""),
    ("bare LF", SENDER, [b"r3" + AT], message(body=b"a\nb\n.\nc\r\n"), b""),
    ("a long line", SENDER, [b"l1" + AT],
     message(body=b"x" * 200000 + b"\r\n"), b""),
    ("a long header line", SENDER, [b"l2" + AT],
     b"Subject: " + b"y" * 90000 + b"\r\n\r\nx\r\n", b""),
    ("a header without end", SENDER, [b"l3" + AT],
     b"".join(b"X-%d: %s\r\n" % (i, b"z" * 900) for i in range(400)), b""),
    ("nothing", SENDER, [b"e1" + AT], b"", b""),
    ("no header", SENDER, [b"e2" + AT], b" text\r\n.\r\n", b""),
    ("bytes of no charset", SENDER, [b"e3" + AT],
     b"Subject: \xe9\xff\r\n\r\n\xfe\xff\r\n", b" BODY=8BITMIME"),
    ("UTF-8 in addresses and header", "vé@".encode() + AT_VICTIM[1:],
     ["ré".encode() + AT],
     "Subject: é\r\nFrom: vé@é.example\r\n\r\né\r\n".encode(), b" SMTPUTF8"),
    ("SMTPUTF8 that nothing needs", SENDER, [b"u1" + AT], message(),
     b" SMTPUTF8"),
    ("a sender of Latin-1", b"v\xe9" + AT_VICTIM, [b"s1" + AT], message(),
     b""),
    ("a sender of UTF-8 without SMTPUTF8", "vé".encode() + AT_VICTIM,
     [b"s2" + AT], message(), b""),
    ("a sender with a DEL", b'"a\x7fb"' + AT_VICTIM, [b"s3" + AT], message(),
     b""),
    ("a sender with a tab", b'"a\tb"' + AT_VICTIM, [b"s4" + AT], message(),
     b""),
    ("a sender with quotes", b'"a\\"b\\\\"' + AT_VICTIM, [b"s5" + AT],
     message(), b""),
    ("a sender with an @", b'"a@b"' + AT_VICTIM, [b"s6" + AT], message(),
     b""),
    ("a sender with brackets", b'"<>"' + AT_VICTIM, [b"s7" + AT], message(),
     b""),
    ("dots in the sender", b"a..b." + AT_VICTIM, [b"s8" + AT], message(),
     b""),
    ("a long sender", b"s" * 900 + AT_VICTIM, [b"s9" + AT], message(), b""),
    ("a sender without domain", b"user", [b"s10" + AT], message(), b""),
    ("a literal", b"a@[192.0.2.9]", [b"s11" + AT], message(), b""),
    ("a recipient of Latin-1", SENDER, [b"\xe9ric" + AT], message(), b""),
    ("a long recipient", SENDER, [b"r" * 1500 + AT], message(), b""),
    ("dots in recipients", SENDER, [b".a" + AT, b"a..b" + AT, b"b." + AT],
     message(), b""),
    ("quotes in recipients", SENDER, [b'""' + AT, b'"a b"' + AT,
                                      b'"\\"\\\\"' + AT, b'"<>"' + AT],
     message(), b""),
    ("controls in recipients", SENDER, [b'"\x01"' + AT, b'"\t"' + AT,
                                        b"good" + AT], message(), b""),
    ("routes", SENDER, [b"a%b.example" + AT, b"b.example!a" + AT,
                        b'"a@b.example"' + AT], message(), b""),
    ("many recipients", SENDER, [b"m%d" % i + AT for i in range(1100)],
     message(), b""),
]


@pytest.mark.skipif(not shutil.which("postfix"), reason="no postfix")
@pytest.mark.parametrize("more", ["", PROBES], ids=["plain", "probes"])
def test_nothing_goes_back_to_the_forged_sender(more):
    """Every shape, and every case, through a Postfix that asks the agent about
    recipients in its session, and through one that does not."""
    found = cases.load("bounces-by-refusal")
    print("cases absent" if not found else f"{len(found)} cases")
    with behind_postfix(more) as (stack, mx):
        # Postfix waits a second for each recipient that it asks about.
        shapes = [one for one in SHAPES if not more
                  or len(one[2]) < 10 and "recipient" in one[0]]
        taken = [name for name, *rest in shapes if hand_over(mx, *rest)]
        played = [case["id"] for case in found if play(mx, case)]
        assert len(taken) > len(shapes) // 2, taken
        wait_for(lambda: idle(mx), 60, "the MX has handed over all")
        assert bounces(stack) == []
        log = open(mx.path("log"), encoding="utf-8", errors="replace").read()
        assert "status=bounced" not in log, [
            line for line in log.splitlines() if "status=bounced" in line]
        queue = stack.queue()
        assert len(queue) >= len(taken) + len(played)
        assert {one["state"] for mail in queue for one in mail["recipients"]} \
            == {"held"}
        # Nobody is written to whose address was forged.
        assert stack.challenges() == []


def test_what_cannot_be_sent_is_held_and_fails_when_released():
    """A listed peer's bare CR: 250, held with the reason; the next hop never
    sees it."""
    sender = f"forged@{VICTIM}"
    with Stack() as stack:
        assert stack.send(sender, JEAN, b"A: b\r\n\r\na\rb\r\n")[0] == 250
        mail = stack.queue()[0]
        assert "CR without LF" in mail["recipients"][0]["why"]
        assert mail["challenge_reason"] in ("bad-content", "unauthenticated")
        stack.agent_cli("queue", "release", mail["id"])
        failed = wait_for(lambda: [
            one for one in stack.queue()
            if one["recipients"][0]["state"] == "failed"], 20, "it fails")[0]
        assert "SMTP cannot carry" in failed["recipients"][0]["reply"]
        assert stack.delivered(JEAN) == []


@pytest.mark.skipif(not shutil.which("postfix"), reason="no postfix")
def test_smtputf8_and_nul_reach_the_mailbox():
    """What is released goes on as it came."""
    data = "Subject: é\r\nFrom: vé@é.example\r\n\r\nhel\0lo é\r\n".encode()
    recipient = "ré".encode() + AT
    with behind_postfix() as (stack, mx):
        assert hand_over(mx, "vé@".encode() + AT_VICTIM[1:], [recipient], data,
                         b" SMTPUTF8")
        mail = wait_for(stack.queue, 30, "the mail is held")[0]
        assert mail["smtputf8"] and \
            mail["challenge_reason"] == "unwritable-sender"
        stack.agent_cli("queue", "release", mail["id"])
        wait_for(lambda: [one for one in stack.queue()
                          if one["recipients"][0]["state"] == "delivered"],
                 30, "it is delivered")
        stored = [open(os.path.join(folder, name), "rb").read()
                  for folder, _, names in os.walk(stack.mail)
                  for name in names]
        assert len(stored) == 1
        assert stored[0].endswith(b"\r\n\r\n" + data.split(b"\r\n\r\n")[1])
        assert "Subject: é\r\n".encode() in stored[0]
        assert b"with UTF8SMTP" in stored[0]


# --- recipients ----------------------------------------------------------


class KnowingHop(socketserver.ThreadingTCPServer):
    """A next hop with one mailbox; it counts who was asked about."""
    allow_reuse_address = True
    daemon_threads = True

    def __init__(self, port=0):
        super().__init__(("127.0.0.1", port), KnowingSession)
        self.asked = []
        self.peers = []
        threading.Thread(target=self.serve_forever, daemon=True).start()

    def stop(self):
        self.shutdown()
        self.server_close()
        for peer in self.peers:
            with contextlib.suppress(OSError):
                peer.shutdown(socket.SHUT_RDWR)


class KnowingSession(socketserver.StreamRequestHandler):
    def handle(self):
        self.server.peers.append(self.connection)
        self.wfile.write(b"220 hop\r\n")
        for line in self.rfile:
            verb = line[:4].upper()
            if verb == b"RCPT":
                address = line[9:line.rindex(b">")].decode()
                self.server.asked.append(address)
                self.wfile.write(b"250 ok\r\n" if address == JEAN else
                                 b"550 5.1.1 nobody\r\n")
            elif verb == b"QUIT":
                self.wfile.write(b"221 bye\r\n")
                return
            else:
                self.wfile.write(b"250 ok\r\n")


def rcpt(port, recipient, sender="ann@stranger.example"):
    with smtplib.SMTP("127.0.0.1", port, timeout=60) as client:
        client.ehlo("mx.example")
        client.mail(sender)
        return client.rcpt(recipient)


def test_recipients_are_known_before_anything_is_held():
    """550 for who is unknown, the cache or 451 while the next hop is away."""
    hop = KnowingHop()
    port = hop.server_address[1]
    settings = ('recipients { check = next_hop, positive = 0ms, '
                'negative = 1h, timeout = 3s }')
    with Stack(agent_settings=settings, next_hop_port=port) as stack:
        code, text = rcpt(stack.smtp_port, f"nobody@{DOMAIN}")
        assert (code, text[:5]) == (550, b"5.1.1")
        assert rcpt(stack.smtp_port, f"nobody@{DOMAIN}")[0] == 550
        assert hop.asked.count(f"nobody@{DOMAIN}") == 1
        assert rcpt(stack.smtp_port, JEAN)[0] == 250
        # One mail for both: the good one goes on, and is challenged.
        assert stack.send("ann@stranger.example", [f"nobody@{DOMAIN}", JEAN],
                          sample("ann@stranger.example", JEAN))[0] == 250
        assert [[one["address"] for one in mail["recipients"]]
                for mail in stack.queue()] == [[JEAN]]
        hop.stop()
        assert rcpt(stack.smtp_port, JEAN)[0] == 250
        code, text = rcpt(stack.smtp_port, f"paul@{DOMAIN}")
        assert (code, text[:5]) == (451, b"4.4.0")
        hop = KnowingHop(port)
        assert rcpt(stack.smtp_port, f"paul@{DOMAIN}")[0] == 550
        hop.stop()


@pytest.mark.skipif(not shutil.which("postfix"), reason="no postfix")
def test_mx_refuses_unknown_recipients_in_its_session():
    hop = KnowingHop()
    with behind_postfix(PROBES, next_hop_port=hop.server_address[1],
                        agent_settings="recipients { check = next_hop }") \
            as (stack, mx):
        assert not hand_over(mx, SENDER, [f"nobody@{DOMAIN}".encode()],
                             message())
        assert hand_over(mx, SENDER, [f"nobody@{DOMAIN}".encode(),
                                      JEAN.encode()], message())
        wait_for(lambda: idle(mx), 30, "the MX has handed over all")
        assert [[one["address"] for one in mail["recipients"]]
                for mail in stack.queue()] == [[JEAN]]
        assert bounces(stack) == []
    hop.stop()


def test_list_of_recipients(tmp_path):
    path = tmp_path / "relay_recipients"
    path.write_text(f"# ours\n{JEAN} OK\n")
    settings = f'recipients {{ check = list, list = "{path}" }}'
    with Stack(agent_settings=settings + "\n") as stack:
        assert rcpt(stack.smtp_port, f"nobody@{DOMAIN}")[0] == 550
        assert rcpt(stack.smtp_port, JEAN)[0] == 250
        path.write_text(f"{JEAN} OK\npaul@{DOMAIN} OK\n")
        wait_for(lambda: rcpt(stack.smtp_port, f"paul@{DOMAIN}")[0] == 250,
                 10, "the list is read again")
        assert "recipients.list" not in check_config(stack)
        path.write_text(f"{JEAN} OK\nno address\n")
        assert f"recipients.list: {path}:2: " in check_config(stack)
        path.unlink()
        assert f"recipients.list: {path}: " in check_config(stack)


def check_config(stack):
    """What is told of the agent's configuration; none of it, or a failure."""
    done = stack.agent_cli("check-config", check=False)
    assert (done.returncode != 0) == ("recipients.list:" in done.stderr), done
    return done.stderr


# --- odd recipients ------------------------------------------------------


def localised(value):
    """A case with the domain and the MX of this stack."""
    return json.loads(json.dumps(value).replace(
        "mx.acme.example", AUTHSERV).replace("acme.example", DOMAIN))


def send_case(stack, mail, number=0):
    sender = mail["mail_from"].replace("{n}", str(number))
    header = [f"Authentication-Results: {value}" for value in
              mail["mx_stamp"]] + mail["header"]
    data = "".join(one.replace("{n}", str(number)) + "\r\n"
                   for one in header) + "\r\nhello\r\n"
    assert stack.send(sender, mail["rcpt_to"], data.encode(),
                      mail["client"])[0] == 250
    return sender


OWN_ODD = [{"id": "own", "in": {"mail": {
    "client": "198.51.100.7", "mail_from": "ann@stranger.example",
    "rcpt_to": [JEAN, f"a..b@{DOMAIN}", f'"a..c"@{DOMAIN}',
                f'"\x01"@{DOMAIN}'],
    "mx_stamp": [f"{AUTHSERV}; spf=pass smtp.mailfrom=stranger.example"],
    "header": ["From: ann@stranger.example", f"To: {JEAN}", "Subject: x"]}}}]


def test_one_odd_recipient_harms_no_other():
    """All are registered and challenged; a refusal is logged once."""
    found = [localised(one) for one in cases.load("odd-recipient")]
    print("cases absent" if not found else f"{len(found)} cases")
    with Stack() as stack:
        senders = []
        for case in OWN_ODD + found:
            repeat = min(case["in"].get("repeat", 1), 1100)
            for number in range(repeat):
                sender = send_case(stack, case["in"]["mail"], number)
            if repeat == 1:
                senders.append(sender)
        wait_for(lambda: all(mail["registered"] for mail in stack.queue()),
                 60, "all are registered")
        for sender in senders:
            assert len(stack.wait_delivered(sender)) == 1
        told = [one for one in stack.queue() if one["registration_refusal"]]
        assert len(told) == 1 and "\x01" in told[0]["registration_refusal"]
        assert "error" not in stack.agent.text()
        before = len(stack.agent.text())
        with pytest.raises(AssertionError):
            wait_for(lambda: len(stack.agent.text()) > before + 200, 3)
