"""docs/postfix.md, line by line: a Postfix MX with what its packages install to
authenticate mail, the agent, and a Postfix behind it. Forged results come in by
every spelling, and none is believed."""
import base64
import os
import re
import shutil
import smtplib
import subprocess
import tempfile

import pytest

from harness import DOMAIN, ROOT, Stack, free_port, port_open, transact, \
    wait_for
from mx_peers import Dns, Peer, with_lines
from postfix import Postfix

dkim = pytest.importorskip("dkim")
pytestmark = [
    pytest.mark.skipif(subprocess.run(["unshare", "--mount", "true"],
                                      check=False).returncode != 0,
                       reason="needs root, and a mount namespace"),
    pytest.mark.skipif(not all(map(shutil.which, (
        "postfix", "opendkim", "opendmarc", "rspamd", "policyd-spf"))),
        reason="no postfix, opendkim, opendmarc, rspamd or policyd-spf")]

SPF_CONF = "/etc/postfix-policyd-spf-python/policyd-spf.conf"
MAIN_CF, MASTER_CF = "/etc/postfix/main.cf", "/etc/postfix/master.cf"
AGENT_CONF = "/etc/turing/turing-agent.conf"
GOOD, BAD = "198.51.100.7", "198.51.100.66"
JEAN = f"jean@{DOMAIN}"

# What stands behind "Authentication-Results: "; {v} is the forged domain.
FORGED = [
    "mx.{d}; spf=pass smtp.mailfrom={v}; dkim=pass header.d={v}",
    "mx.{d}; dmarc=pass header.from={v}",
    "mx.{d}; spf=pass smtp.mailfrom={v}; foo=pass x.y=z",
    "mx.{d}; spf=pass smtp.mailfrom={v}; foo bar baz",
    "mx.{d}; spf=pass smtp.mailfrom={v} also; dkim=pass header.d={v}",
    "mx.{d};;; spf=pass smtp.mailfrom={v}",
    "mx.{d}; spf=pass smtp.mailfrom={v};",
    "mx.{d}; none; spf=pass smtp.mailfrom={v}",
    "mx.{d}; spf=pass smtp.mailfrom={v}, arc=none",
    "mx.{d}; spf=pass smtp.mailfrom=\"a b\"@{v}",
    "mx.{d}; spf=pass smtp.mailfrom={v} zone.id=7",
    "mx.{d}; spf=pass smtp.mailfrom={v}" +
    "".join(f"; dkim=fail header.d=d{n}.example" for n in range(80)),
    "\"mx\\.{d}\"; spf=pass smtp.mailfrom={v}",
    "(a (b)) mx.{d}; spf=pass smtp.mailfrom={v}",
    "(mx.{d}) mx.{d} (x) 1; spf=pass smtp.mailfrom={v}",
    "MX.{d} 1; SPF=PASS smtp.mailfrom={v}",
    "mx.{d} 1 ; spf/1=pass smtp . mailfrom = {v}",
    "mx.{d}/4fQ2; spf=pass smtp.mailfrom={v}",
    "mx.{d};\r\n\tspf=pass\r\n\tsmtp.mailfrom={v}",
    "\r\n mx.{d};\r\n spf=pass (c\r\n c) smtp.mailfrom={v}",
    "mx.{d}; spf=pass reason=\"x; y\" smtp.mailfrom={v}",
    "mx.{d}; spf=pass (\\)) smtp.mailfrom={v}",
    "mx.{d}; spf=pass ((((((x)))))) smtp.mailfrom={v}",
    "mx.{d}; spf=pass (\xe9) smtp.mailfrom={v}",
    "mx.{d}; spf=pass smtp.mailfrom=\"x@{v}\"",
    "mx.{d}; dkim=fail header.d=x.example; dkim=pass header.d={v}",
    "mx.{d}; dkim=pass header.i=@{v}; spf=none",
    "mx.{d}; x=pass (; spf=pass smtp.mailfrom={v}); spf=pass"
    " smtp.mailfrom={v}",
    "spf=pass smtp.mailfrom={v}",
    "; spf=pass smtp.mailfrom={v}",
    "mx.{d}\t;\tspf=pass\tsmtp.mailfrom={v}",
    "mx.{d}; spf=pass smtp.mailfrom={v} smtp.mailfrom=x.example",
    "mx.{d} 2; spf=pass smtp.mailfrom={v}",
    "mx.{d}; spf=pass smtp.mailfrom={v} (open",
]
# Other fields that the sender puts in front of them.
NAMES = ["Authentication-Results", "authentication-results",
         "Authentication-Results "]
# What the sender says elsewhere, for programs that repeat it.
ECHO = "x); dkim=pass header.d={v}; spf=pass (y"


def lines_of(path, variant=""):
    """The lines that docs/postfix.md gives for a file, those for all set-ups
    and then those of one."""
    with open(os.path.join(ROOT, "docs", "postfix.md"),
              encoding="utf-8") as file:
        blocks = re.findall(r"^```cfg (\S+) ?(\S*)\n(.*?)^```$", file.read(),
                            re.M | re.S)
    found = [text for name, only, text in blocks
             if name == path and only in ("", variant)]
    assert found, f"docs/postfix.md has no lines for {path} ({variant})"
    return "".join(found).replace("acme.example", DOMAIN)


def change(text, *pairs):
    for old, new in pairs:
        assert old in text, f"{old!r} is not in {text!r}"
        text = text.replace(old, new)
    return text


class Company(Stack):
    """The agent and the Postfix behind it, by the document's lines."""

    def __init__(self, variant):
        super().__init__()
        self.variant = variant
        folder = os.path.join(self.folder, "inside")
        os.mkdir(folder)
        os.chmod(self.folder, 0o755)
        recipients = os.path.join(folder, "recipients")
        with open(recipients, "w", encoding="utf-8") as out:
            out.write(lines_of("/etc/postfix-inside/recipients") +
                      f"probe@{DOMAIN} x\n")
        self.next_hop_port = free_port()
        self.inside = Postfix(change(
            lines_of("/etc/postfix-inside/main.cf"),
            ("/etc/postfix-inside/recipients", recipients),
            (f"[mail.{DOMAIN}]", f"[127.0.0.1]:{self.sandbox_port}")),
            change(lines_of("/etc/postfix-inside/master.cf"),
                   ("10026 inet n - y", f"{self.next_hop_port} inet n - n")))

    def write_agent(self, path, name, smtp_port, metrics_port):
        super().write_agent(path, name, smtp_port, metrics_port)
        with open(path, encoding="utf-8") as file:
            kept = [line for line in file.read().splitlines()
                    if not line.startswith(("smtp {", "next_hop {",
                                            "policy {"))]
        kept.append(change(lines_of(AGENT_CONF, self.variant),
                           ("10025", str(smtp_port)),
                           ("10026", str(self.next_hop_port))))
        with open(path, "w", encoding="utf-8") as out:
            out.write("\n".join(kept))

    def start(self):
        with_inside = self.inside.__enter__()
        assert with_inside.port
        return super().start()

    def close(self):
        super().close()
        self.inside.__exit__(None, None, None)


class World:
    """A DNS with a domain of the good and one of the bad, and their key."""

    def __init__(self):
        self.folder = tempfile.mkdtemp(prefix="turing-mx-")
        os.chmod(self.folder, 0o755)
        self.key = subprocess.run(["openssl", "genrsa", "2048"],
                                  capture_output=True, check=True).stdout
        public = subprocess.run(
            ["openssl", "rsa", "-pubout", "-outform", "DER"], input=self.key,
            capture_output=True, check=True).stdout
        record = "v=DKIM1; k=rsa; p=" + base64.b64encode(public).decode()
        self.dns = Dns({
            "good.example": f"v=spf1 ip4:{GOOD} -all",
            "_dmarc.good.example": "v=DMARC1; p=reject",
            "s._domainkey.good.example": record,
            "bad.example": f"v=spf1 ip4:{BAD} -all",
            "s._domainkey.bad.example": record})

    def __enter__(self):
        self.dns.__enter__()
        return self

    def __exit__(self, kind, value, trace):
        self.dns.__exit__(kind, value, trace)
        shutil.rmtree(self.folder, ignore_errors=True)

    def files(self, more=None):
        return {"/etc/resolv.conf": f"nameserver {self.dns.address}\n",
                **(more or {})}

    def opendkim(self, port, more=""):
        lines = change(lines_of("/etc/opendkim.conf"),
                       ("inet:8891@localhost", f"inet:{port}@127.0.0.1"))
        # libunbound asks the roots itself, and wants what they sign.
        text = with_lines("/etc/opendkim.conf", lines + more +
                          f"Nameservers {self.dns.address}\n").replace(
                              "TrustAnchorFile", "#TrustAnchorFile")
        return Peer(self.folder, "opendkim",
                    ["opendkim", "-f", "-P", f"{self.folder}/opendkim.pid"],
                    self.files({"/etc/opendkim.conf": text}), port)

    def opendmarc(self, port, more=""):
        lines = change(lines_of("/etc/opendmarc.conf"),
                       ("inet:8893@localhost", f"inet:{port}@127.0.0.1"))
        text = with_lines("/etc/opendmarc.conf", lines + more)
        return Peer(self.folder, "opendmarc",
                    ["opendmarc", "-f", "-P", f"{self.folder}/opendmarc.pid"],
                    self.files({"/etc/opendmarc.conf": text}), port)

    def rspamd(self, port):
        ports = free_port(), free_port()
        shown = {}
        for name, files in (("local.d", {
                "milter_headers.conf": lines_of(
                    "/etc/rspamd/local.d/milter_headers.conf")}),
                ("override.d", {
                    "worker-normal.inc":
                        f'bind_socket = "127.0.0.1:{ports[0]}";\n',
                    "worker-controller.inc":
                        f'bind_socket = "127.0.0.1:{ports[1]}";\n',
                    "worker-proxy.inc":
                        f'bind_socket = "127.0.0.1:{port}";\n'
                        'upstream "local" { default = yes;'
                        f' hosts = "127.0.0.1:{ports[0]}"; }}\n',
                    # What waits for a network that is not there.
                    "hfilter.conf": "enabled = false;\n",
                    "fuzzy_check.conf": "enabled = false;\n",
                    "suffixes": "example\n",
                    # The system's list of suffixes takes 15 s to compile.
                    "options.inc": "task_timeout = 3s;\n"
                                   "disable_hyperscan = true;\n"
                                   'url_tld = "/etc/rspamd/override.d/'
                                   'suffixes";\n'})):
            shown["/etc/rspamd/" + name] = os.path.join(self.folder, name)
            os.mkdir(shown["/etc/rspamd/" + name])
            for file, text in files.items():
                with open(os.path.join(self.folder, name, file), "w",
                          encoding="utf-8") as out:
                    out.write(text)
        arguments = []
        for name in ("RUNDIR", "DBDIR", "LOGDIR"):
            path = os.path.join(self.folder, name)
            os.mkdir(path)
            os.chmod(path, 0o777)
            arguments += ["--var", f"{name}={path}"]
        return Peer(self.folder, "rspamd",
                    ["rspamd", "-c", "/etc/rspamd/rspamd.conf", "-f", "-u",
                     "_rspamd", "-g", "_rspamd", *arguments],
                    self.files(shown), port)

    def mx(self, company, variant, milters):
        """The MX; milters: what the document names, and where it is here."""
        settings = change(
            lines_of(MAIN_CF, variant), *milters,
            ("127.0.0.1]:10025", f"127.0.0.1]:{company.smtp_port}"))
        files = self.files()
        if variant == "opendkim":
            files[SPF_CONF] = with_lines(SPF_CONF, lines_of(SPF_CONF))
        space = Peer(self.folder, "mx", [], files, 0)
        return Postfix(settings + """
smtpd_authorized_xclient_hosts = 127.0.0.1
smtpd_client_message_rate_limit = 0
address_verify_map =
address_verify_poll_delay = 1s
""", lines_of(MASTER_CF, variant) if variant == "opendkim" else "",
                       space.prefix())

    def mail(self, sender, subject, extra=b"", sign=None, identity=None):
        domain = sender.rsplit("@", 1)[1]
        text = (f"From: <{sender}>\r\nTo: <{JEAN}>\r\nSubject: {subject}\r\n"
                "Date: Tue, 01 Dec 2026 08:00:00 +0000\r\n"
                f"Message-ID: <{subject.replace(' ', '.')}@{domain}>\r\n"
                "\r\nHow are you?\r\n").encode()
        if sign:
            extra += dkim.sign(text, b"s", sign.encode(), self.key,
                               identity=identity)
        return extra + text


class Client:
    """A session with the MX, as from elsewhere."""

    def __init__(self, mx, address, helo="out.example"):
        self.smtp = smtplib.SMTP("127.0.0.1", mx.port, timeout=60)
        self.smtp.ehlo("test.example")
        for command in (f"XCLIENT NAME=out.example ADDR={address}",
                        f"EHLO {helo}"):
            code, text = self.smtp.docmd(command)
            if code not in (220, 250):
                raise smtplib.SMTPResponseException(code, text)

    def __enter__(self):
        return self

    def __exit__(self, kind, value, trace):
        self.smtp.close()

    def send(self, sender, data, recipient=JEAN):
        return transact(self.smtp, sender, [recipient], data)


def send_forged(world, mx):
    """By every spelling, each of a sender of its own; how many."""
    with Client(mx, BAD) as client:
        for number, value in enumerate(FORGED):
            domain = f"victim{number}.example"
            field = NAMES[number % len(NAMES)] + ": " + value.format(
                d=DOMAIN, v=domain) + "\r\n"
            reply = client.send(f"v@{domain}", world.mail(
                f"v@{domain}", f"forged {number}", field.encode("latin-1")))
            assert reply[0] == 250, (value, reply)
    return len(FORGED)


def send_echoes(world, mx):
    """What programs repeat of the client: the HELO, the sender, a signer."""
    victim = "echo.example"
    with Client(mx, BAD, ECHO.format(v=victim)) as client:
        assert client.send(f"v@{victim}",
                           world.mail(f"v@{victim}", "echo 1"))[0] == 250
    with Client(mx, BAD) as client:
        sender = '"' + ECHO.format(v=victim) + '"@bad.example'
        assert client.send(sender,
                           world.mail(f"v@{victim}", "echo 2"))[0] == 250
        identity = "".join(
            f"={ord(c):02X}" if c in "; =()" else c
            for c in f"a; dkim=pass header.d={victim}; x=y z.z=")
        assert client.send(f"v@{victim}", world.mail(
            f"v@{victim}", "echo 3", sign="bad.example",
            identity=(identity + "@bad.example").encode()))[0] == 250
        literal = f"<x@[bad.example; dkim=pass header.d={victim} x.y=z]>"
        assert client.send(f"v@{victim}", change(
            world.mail(f"v@{victim}", "echo 4"),
            (f"<v@{victim}>".encode(), literal.encode())))[0] == 250
    return 4


def held(company):
    return {one["subject"]: one for one in company.queue("--state", "held")}


def none_is_believed(company, world, mx):
    count = send_forged(world, mx) + send_echoes(world, mx)
    mails = wait_for(lambda: len(held(company)) >= count and held(company),
                     30, "all forged mail is held")
    believed = [subject for subject, one in mails.items()
                if one["challenge_reason"] != "unauthenticated"]
    assert not believed, believed
    assert company.challenges() == []


def the_writer_is_known(company, world, mx, number=1):
    """Signed mail of the good comes in, is challenged, and goes out."""
    sender = f"alice{number}@good.example"
    with Client(mx, GOOD, "out.good.example") as client:
        data = world.mail(sender, f"signed {number}", sign="good.example")
        assert client.send(sender, data)[0] == 250
    assert company.solve(sender)[0] == 200
    stored = company.wait_delivered(JEAN, number)
    assert any(f"signed {number}".encode() in one for one in stored)
    for one in stored:
        assert one.count(b"\nReceived: ") <= 5, "a loop"
    shown = company.agent_cli("queue", "show", next(
        one["id"] for one in company.queue()
        if one["subject"] == f"signed {number}")).stdout
    assert "spf=pass dkim=pass dmarc=pass" in shown, shown
    assert "MX's stamps" not in shown, shown
    assert GOOD in shown and "out.good.example" in shown, shown


def nothing_comes_in_unseen(company, world, mx, milter):
    """While a milter is down mail waits with its sender."""
    before = company.metric("agent", "turing_agent_messages_total")
    milter.stop()
    wait_for(lambda: not port_open(milter.port), 10, "the milter is down")
    try:
        with Client(mx, GOOD) as client:
            code = client.send("late@good.example", world.mail(
                "late@good.example", "late"))[0]
    except smtplib.SMTPResponseException as answer:
        code = answer.smtp_code
    assert code // 100 == 4, code
    assert company.metric("agent", "turing_agent_messages_total") == before


@pytest.mark.sqlite  # the MX is the same before either store
def test_opendkim_opendmarc_and_policyd():
    with World() as world, Company("opendkim") as company:
        ports = free_port(), free_port()
        milters = [("localhost:8891", f"127.0.0.1:{ports[0]}"),
                   ("localhost:8893", f"127.0.0.1:{ports[1]}")]
        with world.mx(company, "opendkim", milters) as mx:
            with world.opendkim(ports[0]) as signatures, \
                    world.opendmarc(ports[1]):
                none_is_believed(company, world, mx)
                the_writer_is_known(company, world, mx)
                nothing_comes_in_unseen(company, world, mx, signatures)
            with world.opendkim(ports[0], "AuthservIDWithJobID yes\n"), \
                    world.opendmarc(ports[1], "AuthservIDWithJobID true\n"):
                the_writer_is_known(company, world, mx, 2)
        assert company.metric("agent", "turing_agent_authres_total",
                              'result="trusted"') >= len(FORGED)


@pytest.mark.sqlite
def test_rspamd():
    with World() as world, Company("rspamd") as company:
        port = free_port()
        with world.rspamd(port) as rspamd, world.mx(company, "rspamd", [
                ("localhost:11332", f"127.0.0.1:{port}")]) as mx:
            none_is_believed(company, world, mx)
            the_writer_is_known(company, world, mx)
            nothing_comes_in_unseen(company, world, mx, rspamd)


def test_nothing_authenticates():
    """Challenges go to whoever is named, as the document says, and open
    nothing; unknown recipients are refused in the session."""
    with World() as world, Company("none") as company, \
            world.mx(company, "none", []) as mx:
        with Client(mx, GOOD) as client:
            assert client.send("any@good.example", world.mail(
                "any@good.example", "none"))[0] == 250
            code, text = client.send("any@good.example", world.mail(
                "any@good.example", "none"), f"nobody@{DOMAIN}")
            assert code == 550, text
        assert company.solve("any@good.example")[0] == 200
        (mail,) = company.queue("--state", "held")
        company.agent_cli("queue", "release", mail["id"])
        company.wait_delivered(JEAN)


def test_what_is_set_wrongly_is_said():
    """An MX that stamps below, or under another id, is told by name."""
    settings = "policy { authres_position = %s }"
    data = (f"Authentication-Results: mx.{DOMAIN}; spf=pass"
            " smtp.mailfrom=good.example\r\nFrom: <a@good.example>\r\n"
            f"To: <{JEAN}>\r\nSubject: wrong\r\n\r\nx\r\n").encode()
    received = b"Received: from x by mx; Tue, 1 Dec 2026 08:00:00 +0000\r\n"
    other = data.replace(f"mx.{DOMAIN}".encode(), b"other.example")
    with Stack(agent_settings=settings % "above") as stack:
        for mail in (received + data, other, received, data + b""):
            assert stack.send("a@good.example", [JEAN], mail)[0] == 250
        texts = [stack.agent_cli("queue", "show", one["id"]).stdout
                 for one in stack.queue()]
        for word in ("authres_position is", 'as "other.example"',
                     "wrote no Authentication-Results"):
            assert sum(word in text for text in texts) == 1, texts
        log = stack.agent.text()
        assert log.count("since the last such line") == 3, log[-2000:]
        for kind in ("misplaced", "foreign", "absent", "trusted"):
            assert stack.metric("agent", "turing_agent_authres_total",
                                f'result="{kind}"') == 1
