"""White entries do not open to a forger: entries, forged and genuine mail, and
who is challenged. The project's own rows, then the collected cases; all on one
stack, since their names differ."""
import json
import smtplib
import tempfile

import cases
from harness import AUTHSERV, DOMAIN, Stack, transact, wait_for

KINDS = ["white-entry-identity", "alignment-of-names", "person-behind-a-mailer"]
SUFFIXES = "// of the tests\nexample\nhosting.example\nco.example\n"
VERDICTS = {"held": "hold", "queued": "deliver", "deferred": "deliver",
            "delivered": "deliver", "discarded": "discard"}


def mail(mail_from, stamp, header_from=None, client="198.51.100.7", tag=None):
    """A mail as the cases write them; stamp: results, without the id."""
    return {"client": client, "mail_from": mail_from, "tag": tag,
            "rcpt_to": [f"jean@{DOMAIN}"],
            "mx_stamp": [f"{AUTHSERV}; {stamp}"] if stamp else [],
            "header": [f"From: {header_from or mail_from}",
                       f"To: jean@{DOMAIN}", "Subject: Offer"]}


def entry(value, kind="address", colour="white", origin="captcha", **more):
    return dict({"value": value, "kind": kind, "colour": colour,
                 "origin": origin}, **more)


def passes(domain, methods="spf dkim dmarc"):
    texts = {"spf": f"spf=pass smtp.mailfrom={domain}",
             "dkim": f"dkim=pass header.d={domain}",
             "dmarc": f"dmarc=pass header.from={domain}"}
    return "; ".join(texts[method] for method in methods.split())


def row(number, before, sent, right, **more):
    return {"id": f"own-{number}", "before": before,
            "in": dict(mail=sent, **more), "right": right}


def forged(number, sender, stamp, header_from=None, verdict="hold", **more):
    """Against an entry that alice earned."""
    partner = f"p{number}.example"
    names = {"p": partner, "e": f"e{number}.example"}
    return row(number, {"entries": [entry(f"alice@{partner}", **more)]},
               mail(sender.format(**names), stamp.format(**names),
                    header_from and header_from.format(**names)),
               {"verdict": verdict})


E_PASS = passes("{e}")
OWN = [
    # What is inside of a wrapping, however it is spelled.
    forged(1, "x+ALICE={p}@{e}", E_PASS),
    forged(2, "SRS1=h=f.example==h=t={p}=alice@{e}", E_PASS, "alice@{p}"),
    forged(3, "x+prvs=0123456789=alice={p}@{e}", E_PASS),
    forged(4, "prvs=0123456789=x+alice={p}@{e}", E_PASS),
    forged(5, "SRS0=h=t={e}=x+alice={p}@{e}", E_PASS),
    forged(6, "alice%{p}@{e}", E_PASS),
    forged(7, "btv1==0123456789a==x+alice={p}@{e}", E_PASS),
    # A signature of another name, or by a neighbour.
    forged(8, "alice@{p}", "dkim=pass header.d={e}"),
    forged(9, "alice@{p}", "dkim=pass header.d={p}", "bob@{p}"),
    forged(10, "bob@{p}", passes("{p}"), "alice@{p}"),
    forged(11, "x+alice={p}@{e}", passes("{e}", "spf") +
           "; dkim=pass header.d={p}", "bob@{p}"),
    forged(12, "alice@{p}", "spf=pass smtp.mailfrom={e}"),
    forged(13, "alice@{p}", "spf=permerror smtp.mailfrom={p}"),
    forged(14, "alice@{p}", "spf=neutral smtp.mailfrom={p}; dmarc=temperror"),
    forged(15, "alice@{p}", "dmarc=fail header.from={p}; " +
           passes("{p}", "spf")),
    forged(16, "x@{e}", passes("{e}", "spf") + "; dmarc=pass header.from={p}",
           "alice@{p}, mallory@{p}"),
    # The real one: alone, with BATV, forwarded.
    forged(20, "alice@{p}", passes("{p}", "spf"), verdict="deliver"),
    forged(21, "prvs=0123456789=Alice@{p}", passes("{p}", "spf"),
           verdict="deliver"),
    forged(22, "SRS0=h=t={p}=alice@{e}", passes("{e}", "spf") +
           "; dkim=pass header.d={p}", "alice@{p}", verdict="deliver"),
    forged(23, "alice@{p}", "dkim=pass header.d=mail.{p}", verdict="deliver"),
    # Whose domain it is, though somebody else solved a captcha.
    forged(30, "alice@{p}", passes("{p}", "spf"), f"boss@{DOMAIN}"),
    forged(31, f"x+boss={DOMAIN}@{{p}}", passes("{p}"), "alice@{p}"),
    forged(32, "alice@{p}", passes("{p}", "spf"), f"boss@{DOMAIN} <>"),
    forged(33, "alice@{p}", passes("{p}", "spf"),
           f"boss@{DOMAIN} alice@{{p}}"),
    forged(34, "alice@{p}", passes("{p}", "spf"),
           f"=?utf-8?q?The_boss_=3Cboss=40{DOMAIN}=3E?="),
    # An admin's entry that demands more than there is.
    forged(40, "alice@{p}", passes("{p}", "spf"), origin="admin",
           demand="dkim"),
    forged(41, "alice@{p}", passes("{p}", "spf dkim"), origin="admin",
           demand="dkim", verdict="deliver"),
    forged(42, "alice@{p}", passes("{p}", "spf dkim"), origin="admin",
           demand="dmarc"),
    forged(43, "alice@{p}", "spf=softfail smtp.mailfrom={p}", origin="admin",
           verdict="deliver"),
    # Black ones are not left by a wrapping.
    forged(50, "SRS0=h=t=i.example=n@{p}", passes("{p}", "spf"), "w@x.example",
           colour="black", origin="admin", kind="subdomains",
           value_is="{p}", verdict="discard"),
    forged(51, "x+alice={p}@{e}", passes("{e}", "spf"), colour="black",
           origin="admin", verdict="discard"),
]
for _row in OWN:
    for _entry in _row["before"]["entries"]:
        if "value_is" in _entry:
            _entry["value"] = _entry.pop("value_is").format(
                p=_entry["value"].split("@")[1])


class Player:
    """Plays many cases at once, step by step."""

    def __init__(self, stack, items):
        self.stack = stack
        self.items = items
        self.sentinels = 0

    def send(self, item, sent, tag):
        header = [f"Authentication-Results: {value}"
                  for value in sent["mx_stamp"]]
        header += [line for line in sent["header"]
                   if not line.startswith("Subject:")]
        header.append(f"Subject: Offer {item['id']}.{tag}")
        data = "\r\n".join(header + ["", "Hello", ""]).encode()
        with smtplib.SMTP("127.0.0.1", self.stack.smtp_port, timeout=60) as c:
            c.ehlo("mx.example")
            c.docmd("XFORWARD", f"ADDR={sent['client']} PROTO=ESMTP")
            code, text = transact(c, sent["mail_from"], sent["rcpt_to"], data)
        assert code == 250, (item["id"], code, text)

    def add_entry(self, given):
        scope = given.get("scope", "").split()
        options = [f"--{scope[0]}", scope[1]] if len(scope) == 2 else []
        if given.get("demand_pass"):
            options.append("--demand-pass")
        if given.get("demand"):
            options += ["--demand", given["demand"]]
        self.stack.cloud_cli("entry", "add", "customer", given["colour"],
                             given["kind"], given["value"], *options)

    def settle(self):
        """Until the agent has the lists as they are now."""
        self.sentinels += 1
        sender = f"sentinel@s{self.sentinels}.example"
        self.add_entry(entry(sender, origin="admin"))

        def arrived():
            self.stack.send(sender, f"paul@{DOMAIN}")
            return any(one["sender"] == sender and "held" not in
                       str(one["recipients"]) for one in self.stack.queue())
        wait_for(arrived, 30, "the agent's lists follow", 0.2)

    def registered(self):
        wait_for(lambda: all(one["registered"] for one in self.stack.queue()),
                 60, "all held mail is registered", 0.2)

    def solve(self, sender):
        status, page = self.stack.solve(sender)
        assert status == 200, (sender, status, page[:500])

    def open_challenge(self, item, sender, tag):
        domain = sender.rsplit("@", 1)[1]
        self.send(item, mail(sender, passes(domain, "spf")), tag)

    def before(self):
        earned = []
        for item in self.items:
            for given in item["before"].get("entries", []):
                if given["origin"] != "captcha":
                    self.add_entry(given)
                else:
                    self.open_challenge(item, given["value"], "earned")
                    earned.append(given["value"])
        for sender in earned:
            self.solve(sender)
        self.settle()
        for item in self.items:
            for sender in item["before"].get("open_challenges", []):
                self.open_challenge(item, sender, "open")
            for sent in item["before"].get("held", []):
                self.send(item, sent, sent["tag"])
        self.registered()

    def play(self):
        self.before()
        for item in self.items:
            for given in item["in"].get("then_entries", []):
                self.add_entry(given)
        self.settle()
        for item in self.items:
            sent = item["in"].get("mails") or [item["in"]["mail"]]
            for one in sent:
                self.send(item, one, one.get("tag") or "mail")
        self.registered()
        self.early = self.verdicts()
        for item in self.items:
            for step in item["in"].get("then", []):
                self.solve(step["solve"])
            if "white_entry_after_solution" in item["right"]:
                self.solve(item["right"]["to"])
        wait_for(lambda: not [one for one in self.stack.challenges()
                              if one["state"] == "solved"], 30, "settled")
        self.settle()
        wait_for(lambda: not self.waiting(), 30, "decisions are carried out")

    def waiting(self):
        """Released by the cloud, and still held by the agent."""
        states = self.verdicts()
        return [one for one in self.stack.messages()
                if any(r["state"] == "released"
                       for r in one["recipients"].values()) and
                states.get(one["subject"]) == "hold"]

    def verdicts(self):
        """By subject, of the first recipient."""
        return {one["subject"]: VERDICTS[one["recipients"][0]["state"]]
                for one in self.stack.queue()}

    def wrong(self):
        """What came out otherwise, a line each."""
        states = self.verdicts()
        rows = {one["subject"]: one for one in self.stack.queue()}
        entries = self.stack.cloud_cli("entry", "list", "customer").stdout
        found = []
        for item in self.items:
            def said(tag=None, item=item):
                tag = tag or item["in"].get("mail", {}).get("tag") or "mail"
                return f"Offer {item['id']}.{tag}"
            for key, right in item["right"].items():
                if key == "verdict":
                    got = states[said()]
                elif key == "verdict_before_own_solution":
                    got = self.early[said()]
                elif key in ("forged", "genuine"):
                    got = states[said(key)]
                elif key == "challenge":
                    got = rows[said()]["challenge_reason"] or \
                        "may be sent"
                elif key == "challenge_mails_to":
                    got = {to: len(self.stack.delivered(to)) for to in right}
                elif key == "challenge_mails":
                    got = len(self.stack.delivered(item["right"]["to"]))
                elif key == "white_entry_made_for_not":
                    got = "none" if f"\t{right}\t" in entries else right
                elif key == "white_entry_after_solution":
                    value = right.split()[0]
                    lines = [line for line in entries.splitlines()
                             if f"\t{value}\t" in line]
                    got = right if len(lines) == 1 and \
                        "demands-pass" in lines[0] else lines
                else:
                    continue
                if got != right:
                    found.append(f"{item['id']}: {key}: {got}, not {right}")
        return found


def play(items):
    with tempfile.NamedTemporaryFile("w", suffix=".dat") as suffixes:
        suffixes.write(SUFFIXES)
        suffixes.flush()
        setting = f'policy {{ public_suffix_list = "{suffixes.name}" }}'
        with Stack(agent_settings=setting, cloud_settings=setting) as stack:
            player = Player(stack, items)
            player.play()
            wrong = player.wrong()
    assert not wrong, "\n".join(wrong)


def test_own_rows():
    play(OWN)


def test_cases():
    items = [item for kind in KINDS for item in cases.need(kind)]
    text = json.dumps(items).replace("acme.example", DOMAIN)
    play(json.loads(text))
