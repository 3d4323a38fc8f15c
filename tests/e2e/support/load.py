"""Several SMTP sessions that send until told to stop, and remember what was
acknowledged."""
import collections
import smtplib
import threading

from harness import DOMAIN, sample, transact, wait_for


class Workers:
    """Threads that work until over is set."""

    def __init__(self, works):
        self.over = threading.Event()
        self.threads = [threading.Thread(target=work, daemon=True)
                        for work in works]

    def start(self):
        for thread in self.threads:
            thread.start()
        return self

    def stop(self):
        self.over.set()
        for thread in self.threads:
            thread.join(60)


class Load(Workers):
    """sessions threads; each mail has a recipient of its own."""

    def __init__(self, port, sessions=10, prefix="k", sender=None):
        self.port = port
        self.prefix = prefix
        self.sender = sender
        self.acknowledged = []
        self.refused = []
        self.unknown = []
        self.lock = threading.Lock()
        self.serial = 0
        super().__init__([self.run] * sessions)

    def wait_more(self, count, seconds=30, what="mail goes on", step=0.05):
        """Until so many more are acknowledged."""
        wanted = len(self.acknowledged) + count
        wait_for(lambda: len(self.acknowledged) >= wanted, seconds, what, step)

    def settle(self, stack):
        """Ends it. How often each recipient is held, which of those that were
        acknowledged is not, and the figures as a text."""
        self.stop()
        stored = collections.Counter(
            r["address"] for m in stack.queue() for r in m["recipients"]
            if r["state"] == "held")
        lost = {r for r, _ in self.acknowledged} - set(stored)
        return stored, lost, (
            f"acknowledged {len(self.acknowledged)}, refused by 4xx"
            f" {len(self.refused)}, broken {len(self.unknown)}, lost"
            f" {len(lost)}")

    def next_mail(self):
        with self.lock:
            self.serial += 1
            name = f"{self.prefix}{self.serial}"
        sender = self.sender or f"{name}@load.example"
        recipient = f"{name}@{DOMAIN}"
        return sender, recipient, sample(
            sender, recipient, name, "x" * 60 + "\r\n" + name + "\r\n",
            headers="List-Id: <load>\r\n")

    def run(self):
        client = None
        while not self.over.is_set():
            try:
                if client is None:
                    client = smtplib.SMTP("127.0.0.1", self.port, timeout=30)
                    client.ehlo("load.example")
            except (OSError, smtplib.SMTPException):
                client = None
                self.over.wait(0.02)
                continue
            if not self.one(client):
                client = None
        if client is not None:
            client.close()

    def one(self, client):
        """Sends one mail; False when the session is gone."""
        sender, recipient, data = self.next_mail()
        try:
            code, _ = transact(client, sender, [recipient], data)
        except (OSError, smtplib.SMTPException):
            with self.lock:
                self.unknown.append(recipient)
            client.close()
            return False
        with self.lock:
            (self.acknowledged if code == 250 else
             self.refused).append((recipient, data) if code == 250 else code)
        if code == 421:
            client.close()
            return False
        if code != 250:
            self.over.wait(0.05)
            try:
                client.docmd("RSET")
            except (OSError, smtplib.SMTPException):
                return False
        return True


def wait_registered(stack, stored):
    """Until the cloud has all of these, and the agent knows."""
    wait_for(lambda: stack.count_messages() >= len(stored), 120,
             "all registered", 0.5)
    wait_for(lambda: stack.metric("agent", "turing_agent_unregistered")
             == 0, 60, "the agent knows", 0.3)
