"""The daemons on free ports in a folder of their own, and ways to talk to
them: what the end-to-end tests stand on."""
import email
import email.policy
import http.client
import json
import os
import re
import shutil
import signal
import smtplib
import socket
import ssl
import subprocess
import tempfile
import time
import urllib.parse

import balancer
import stores

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.dirname(
    os.path.abspath(__file__)))))
BUILD = os.environ.get("TURING_BUILD", os.path.join(ROOT, "build"))
CORPUS = os.environ.get("TURING_CORPUS",
                        os.path.join(ROOT, "..", "shared", "corpus"))
DOMAIN = "customer.example"
AUTHSERV = "mx.customer.example"


def free_port():
    return stores.server_module().free_port(18000, 26000)


def wait_for(condition, seconds=20, what="condition", step=0.05):
    """The first true value of condition(); fails after that many seconds."""
    end = time.monotonic() + seconds
    while True:
        value = condition()
        if value:
            return value
        if time.monotonic() > end:
            raise AssertionError(f"not within {seconds} s: {what}")
        time.sleep(step)


def port_open(port):
    try:
        socket.create_connection(("127.0.0.1", port), 1).close()
        return True
    except OSError:
        return False


def stamp(sender, spf="pass"):
    """The header by which the customer's MX says what it found."""
    domain = sender.rsplit("@", 1)[-1] or "unknown.example"
    return (f"Authentication-Results: {AUTHSERV};\r\n"
            f"\tspf={spf} smtp.mailfrom={domain}\r\n").encode("ascii",
                                                                "replace")


def sample(sender, recipient, subject="Hello", body="How are you?\r\n",
           spf="pass", headers=""):
    """A plain mail as the MX hands it on."""
    return stamp(sender, spf) + (
        f"From: {sender}\r\nTo: {recipient}\r\nSubject: {subject}\r\n"
        f"Message-ID: <{time.monotonic_ns()}@sample.example>\r\n"
        f"Date: Sat, 21 Nov 2026 08:00:00 +0000\r\n{headers}"
        f"\r\n{body}").encode()


TRACE = re.compile(
    rb"Return-Path: <[^\r\n]*>\r\nDelivered-To: [^\r\n]*\r\n"
    rb"Received: [^\r\n]*\r\n(?:[ \t][^\r\n]*\r\n)*"
    rb"(?:X-Turing-[A-Za-z-]+: [^\r\n]*\r\n(?:[ \t][^\r\n]*\r\n)*)+")


def same_after_trace(stored, sent):
    """Whether a stored file is the sandbox's two lines, the agent's trace
    headers, and then exactly the bytes sent."""
    if not sent.endswith(b"\r\n"):
        sent += b"\r\n"
    if not stored.endswith(sent):
        return False
    return TRACE.fullmatch(stored[:len(stored) - len(sent)]) is not None


def without_trace(stored):
    """A stored file without what the sandbox and the agent put in front; the
    message itself begins with the MX's stamp."""
    found = TRACE.match(stored)
    assert found, stored[:500]
    return stored[found.end():]


def stuff(data):
    """Dot-stuffed, ended by CRLF (RFC 5321 section 4.5.2)."""
    stuffed = re.sub(rb"(?m)^\.", b"..", data)
    return stuffed if stuffed.endswith(b"\r\n") else stuffed + b"\r\n"


class Process:
    """One daemon; its log is a file."""

    def __init__(self, arguments, log, port=None, environment=None):
        self.arguments = arguments
        self.log = log
        self.port = port
        self.environment = environment
        self.child = None

    def start(self, wait=True):
        with open(self.log, "ab") as out:
            self.child = subprocess.Popen(
                self.arguments, stdout=out, stderr=out, cwd=ROOT,
                stdin=subprocess.DEVNULL,
                # Else libmongoc leaves a file in /dev/shm after kill -9.
                env=dict(os.environ, MONGOC_DISABLE_SHM="1",
                         **(self.environment or {})))
        if wait and self.port:
            self.wait_ready()
        return self

    def wait_ready(self):
        """Until it listens; fails when it ended."""
        wait_for(lambda: self.gone() or port_open(self.port), 30,
                 f"{self.arguments[0]} listens on {self.port}")
        if self.gone():
            raise AssertionError(
                f"{self.arguments[0]} ended with {self.child.returncode}:"
                f" {self.text()[-2000:]}")

    def gone(self):
        return self.child is None or self.child.poll() is not None

    def stop(self, number=signal.SIGTERM, seconds=30):
        """Ends it and gives its exit status."""
        if self.child is None:
            return None
        if self.child.poll() is None:
            self.child.send_signal(number)
        try:
            status = self.child.wait(seconds)
        except subprocess.TimeoutExpired:
            self.child.kill()
            self.child.wait()
            raise AssertionError(f"{self.arguments[0]} did not stop in"
                                 f" {seconds} s: {self.text()[-2000:]}")
        self.child = None
        return status

    def kill(self):
        if self.child is not None:
            self.child.kill()
            self.child.wait()
            self.child = None

    def text(self):
        with open(self.log, encoding="utf-8", errors="replace") as log:
            return log.read()


class Clouds:
    """The instances of the cloud, taken as one daemon."""

    def __init__(self, instances):
        self.instances = instances

    def start(self, wait=True):
        for one in self.instances:
            one.start(False)
        for one in self.instances:
            if wait:
                one.wait_ready()
        return self

    def gone(self):
        return all(one.gone() for one in self.instances)

    def stop(self, number=signal.SIGTERM):
        return max(one.stop(number) or 0 for one in self.instances)

    def kill(self):
        for one in self.instances:
            one.kill()

    def text(self):
        return "".join(one.text() for one in self.instances)


class Stack:
    """A sandbox mail server, clouds and an agent with one tenant. With more
    than one cloud, or balanced, HAProxy stands before them."""

    def __init__(self, build=None, agent_settings="", cloud_settings="",
                 next_hop_port=None, keep=False, store=None, clouds=None,
                 balanced=False, drain="0s", haproxy_settings=None,
                 capped=False, smarthost=None, sandbox_port=None):
        self.build = build or BUILD
        self.folder = tempfile.mkdtemp(prefix="turing-e2e-")
        self.keep = keep
        # A next hop of the test's own is asked about recipients only where
        # the test is about that.
        if next_hop_port and "recipients {" not in agent_settings:
            agent_settings += "\nrecipients { check = off }"
        self.agent_settings = agent_settings
        self.cloud_settings = cloud_settings
        self.drain = drain
        self.smarthost = smarthost  # its settings; None: the sandbox
        # Tests have more strangers of one domain than a real day.
        self.caps = "" if capped else "".join(
            f", cap_{group}_{window} = 0" for window in ("hour", "day")
            for group in ("sender", "client", "domain", "tenant", "all"))
        # A store that was made, or the name of one.
        self.store = store if hasattr(store, "registry") else \
            stores.open_store(self.folder, store)
        count = clouds or int(os.environ.get("TURING_E2E_CLOUDS", "1"))
        self.balanced = balanced or count > 1
        self.cloud_ports = [free_port() for _ in range(count)]
        self.cloud_port = self.cloud_ports[0]
        self.pages_port, self.api_port, self.plain_port = \
            (free_port(), free_port(), free_port()) if self.balanced else \
            (self.cloud_port, self.cloud_port, None)
        scheme = "https" if self.balanced else "http"
        self.pages_url = f"{scheme}://127.0.0.1:{self.pages_port}"
        self.api_url = f"{scheme}://127.0.0.1:{self.api_port}"
        self.haproxy_socket = os.path.join(self.folder, "haproxy.sock")
        self.haproxy_settings = haproxy_settings or {}
        self.haproxy = None
        self.smtp_port = free_port()
        self.metrics_port = free_port()
        self.sandbox_port = sandbox_port or free_port()
        self.bounce_port = free_port()
        self.next_hop_port = next_hop_port or self.sandbox_port
        self.mail = os.path.join(self.folder, "mail")
        self.agent_conf = os.path.join(self.folder, "turing-agent.conf")
        self.cloud_confs = [
            os.path.join(self.folder, f"turing-cloud-{number}.conf")
            for number in range(1, count + 1)]
        self.cloud_conf = self.cloud_confs[0]
        self.agent = self.cloud = self.sandbox = None
        self.key = None

    def __enter__(self):
        try:
            return self.start()
        except BaseException:
            self.close()
            raise

    def __exit__(self, kind, value, trace):
        if kind is not None:
            for daemon in (*self.instances(), self.agent, self.haproxy):
                if daemon is not None and os.path.exists(daemon.log):
                    print(f"--- {daemon.log}\n{daemon.text()[-3000:]}")
        self.close()

    def program(self, name):
        return os.path.join(self.build, name)

    def instances(self):
        """The processes of the clouds; none before they were started."""
        return self.cloud.instances if self.cloud else []

    def write_configuration(self):
        proxies = '"127.0.0.1"' if self.balanced else ""
        for number, port in enumerate(self.cloud_ports):
            with open(self.cloud_confs[number], "w", encoding="utf-8") as out:
                out.write(f"""
instance {{ name = "cloud-{number + 1}" }}
http {{ listen = "127.0.0.1:{port}", drain = {self.drain}
  public_url = "{self.pages_url}", trusted_proxies = [{proxies}] }}
{self.store.cloud_settings()}
challenge {{ from = "gateway@gateway.example"{self.caps} }}
smarthost {{ helo = "gateway.example", {self.smarthost or
    f'address = "127.0.0.1:{self.sandbox_port}"'} }}
bounce {{ listen = "127.0.0.1:{self.bounce_port}" }}
{self.cloud_settings}
""")
            os.chmod(self.cloud_confs[number], 0o600)
        self.write_agent(self.agent_conf, "agent-1", self.smtp_port,
                         self.metrics_port)

    def write_agent(self, path, name, smtp_port, metrics_port):
        """The configuration of an agent; several share one spool."""
        ca_file = f'ca_file = "{balancer.certificate()[0]}"' \
            if self.balanced else ""
        with open(path, "w", encoding="utf-8") as out:
            out.write(f"""
agent {{ name = "{name}", hostname = "agent.customer.example" }}
smtp {{ listen = "127.0.0.1:{smtp_port}" }}
next_hop {{ address = "127.0.0.1:{self.next_hop_port}" }}
{self.store.agent_settings()}
cloud {{ url = "{self.api_url}", key = "{self.key}"
  retry_min = 100ms, retry_max = 1s, {ca_file} }}
policy {{ authserv_id = "{AUTHSERV}" }}
metrics {{ listen = "127.0.0.1:{metrics_port}" }}
{self.agent_settings}
""")
        os.chmod(path, 0o600)  # the key is in it

    def run_cli(self, name, *arguments, check=True, stdin=None):
        conf = self.cloud_conf if name == "turing-cloud" else self.agent_conf
        done = subprocess.run(
            [self.program(name), *arguments[:2], "-c", conf, *arguments[2:]],
            capture_output=True, text=True, input=stdin, timeout=60)
        if check and done.returncode != 0:
            raise AssertionError(f"{name} {arguments}: {done.returncode}"
                                 f" {done.stdout} {done.stderr}")
        return done

    def cloud_cli(self, *arguments, **options):
        return self.run_cli("turing-cloud", *arguments, **options)

    def agent_cli(self, *arguments, **options):
        return self.run_cli("turing-agent", *arguments, **options)

    def start(self):
        self.key = "unset"
        self.write_configuration()
        self.cloud_cli("tenant", "add", "customer", "--language", "en")
        self.cloud_cli("domain", "add", "customer", DOMAIN)
        self.key = self.cloud_cli("agent", "add", "customer",
                                  "agent-1").stdout.strip()
        self.write_configuration()
        self.start_sandbox()
        self.start_cloud()
        self.start_agent()
        self.wait_policy()
        return self

    def start_sandbox(self):
        self.sandbox = Process(
            [self.program("turing-sandbox"), "--listen",
             f"127.0.0.1:{self.sandbox_port}", "--maildir", self.mail,
             "--quiet"], os.path.join(self.folder, "sandbox.log"),
            self.sandbox_port).start()

    def start_cloud(self, prefix=(), wait=True, environment=None):
        """All instances, and what stands before them."""
        self.cloud = Clouds([
            self.cloud_instance(number, prefix, environment)
            for number in range(len(self.cloud_ports))])
        self.cloud.start(wait)
        if self.balanced:
            self.start_haproxy()

    def cloud_instance(self, number, prefix=(), environment=None):
        """The process of one instance, not yet started."""
        name = f"cloud-{number + 1}" if len(self.cloud_ports) > 1 else "cloud"
        return Process(
            [*prefix, self.program("turing-cloud"), "run", "-c",
             self.cloud_confs[number]],
            os.path.join(self.folder, name + ".log"),
            self.cloud_ports[number], environment)

    def start_haproxy(self):
        """Starts it unless it runs; the instances are seen as up then."""
        if self.haproxy is None:
            self.haproxy = Process(
                balancer.arguments(),
                os.path.join(self.folder, "haproxy.log"), self.pages_port,
                balancer.environment(
                    (self.pages_port, self.api_port, self.plain_port),
                    self.cloud_ports, self.haproxy_socket,
                    **self.haproxy_settings)).start()
        wait_for(self.balancer_sees_all, 20, "HAProxy sees all clouds")

    def balancer_sees_all(self):
        """Whether HAProxy runs, with its socket, and all instances are up."""
        try:
            states = balancer.server_states(self.haproxy_socket).values()
        except OSError:
            return False
        return states and all(one.startswith("UP") for one in states)

    def start_agent(self, prefix=(), wait=True, environment=None):
        self.agent = Process(
            [*prefix, self.program("turing-agent"), "run", "-c",
             self.agent_conf], os.path.join(self.folder, "agent.log"),
            self.smtp_port, environment).start(wait)

    def wait_policy(self):
        """Until the agent knows its domains."""
        wait_for(lambda: self.probe_recipient() == 250, 20,
                 "the agent has its policy")

    def probe_recipient(self, recipient=f"postmaster@{DOMAIN}"):
        try:
            with smtplib.SMTP("127.0.0.1", self.smtp_port, timeout=10) as c:
                c.ehlo("probe.example")
                c.mail("probe@probe.example")
                return c.rcpt(recipient)[0]
        except (OSError, smtplib.SMTPException):
            return 0

    def close(self):
        for daemon in (self.agent, self.haproxy, self.cloud, self.sandbox):
            if daemon is not None:
                daemon.kill()
        self.store.close()
        if not self.keep:
            shutil.rmtree(self.folder, ignore_errors=True)

    # --- SMTP ---------------------------------------------------------

    def send(self, sender, recipients, data=None, client=None):
        """Sends one mail; gives the final reply (code, text)."""
        if isinstance(recipients, str):
            recipients = [recipients]
        if data is None:
            data = sample(sender, recipients[0])
        with smtplib.SMTP("127.0.0.1", self.smtp_port, timeout=60) as c:
            c.ehlo("mx.customer.example")
            if client:
                c.docmd("XFORWARD", f"ADDR={client} PROTO=ESMTP")
            return transact(c, sender, recipients, data)

    def delivered(self, recipient):
        """The files of a recipient's Maildir, oldest first."""
        name = re.sub(r"[^a-z0-9@+=_.-]", "_", recipient.lower())
        folder = os.path.join(self.mail, re.sub(r"^\.", "_", name), "new")
        try:
            names = sorted(os.listdir(folder))
        except FileNotFoundError:
            return []
        found = []
        for name in names:
            with open(os.path.join(folder, name), "rb") as message:
                found.append(message.read())
        return found

    def wait_delivered(self, recipient, count=1, seconds=20):
        return wait_for(
            lambda: (lambda got: got if len(got) >= count else None)(
                self.delivered(recipient)),
            seconds, f"{count} mail(s) for {recipient}")

    # --- the stores ---------------------------------------------------

    def count_messages(self):
        """How many messages are registered."""
        return self.store.count_messages()

    def messages(self):
        """The registered messages by id: the fields of store/registry/registry.h;
        recipients as {address: {"state": word, ...}}."""
        return self.store.messages()

    def challenges(self):
        """All challenges, the oldest first: sender, state, mail, code, ..."""
        return self.store.challenges()

    def decisions(self):
        """The log of decisions, in its order."""
        return self.store.decisions()

    def queue(self, *arguments):
        """The agent's queue as its CLI tells it, all pages."""
        if "--state" not in arguments:
            arguments = ("--state", "all", *arguments)
        found = []
        while True:
            after = ("--after", found[-1]["id"]) if found else ()
            out = self.agent_cli("queue", "list", "--json", "--limit",
                                 "1000", *arguments, *after).stdout
            page = [json.loads(line) for line in out.splitlines()]
            found += page
            if len(page) < 1000:
                return found

    # --- the page -----------------------------------------------------

    def challenge_link(self, sender, seconds=20):
        """The link in the newest challenge mail to the sender."""
        data = self.wait_delivered(sender, 1, seconds)[-1]
        return link_in(data)

    def code_of(self, sender):
        """What the image shows, as only the registry knows."""
        return [c["code"] for c in self.challenges()
                if c["sender"] == sender][-1]

    def get(self, url, method="GET", body=None, headers=None, source=None):
        parts = urllib.parse.urlsplit(url)
        connection = connect(parts, source)
        path = parts.path + ("?" + parts.query if parts.query else "")
        connection.request(method, path, body, headers or {})
        answer = connection.getresponse()
        data = answer.read()
        connection.close()
        return answer.status, answer.headers, data

    def post_form(self, url, **fields):
        return self.get(url, "POST", urllib.parse.urlencode(fields),
                        {"Content-Type": "application/x-www-form-urlencoded"})

    def solve(self, sender, link=None):
        """Answers the newest challenge rightly; gives status and page."""
        link = link or self.challenge_link(sender)
        _, _, page = self.get(link)
        serial = re.search(rb'name="serial"\s+value="(\d+)"', page)
        assert serial, page[:2000]
        status, _, page = self.post_form(link, answer=self.code_of(sender),
                                         serial=serial.group(1).decode())
        return status, page

    def metric(self, daemon, name, label=""):
        """The sum of a metric over its labels, of those with this text."""
        ports = [self.metrics_port] if daemon == "agent" else \
            self.cloud_ports
        return sum(metric_at(port, name, label) for port in ports)


def connect(parts, source=None):
    """An HTTP connection to a URL's host, from this address of ours."""
    source = (source, 0) if source else None
    if parts.scheme == "https":
        return http.client.HTTPSConnection(
            parts.hostname, parts.port, timeout=30, source_address=source,
            context=ssl.create_default_context(
                cafile=balancer.certificate()[0]))
    return http.client.HTTPConnection(parts.hostname, parts.port, timeout=30,
                                      source_address=source)


def metric_at(port, name, label=""):
    """The sum of a metric of the daemon on this port; 0 while it is away."""
    try:
        connection = http.client.HTTPConnection("127.0.0.1", port, timeout=30)
        connection.request("GET", "/metrics")
        text = connection.getresponse().read()
        connection.close()
    except OSError:
        return 0.0
    total = 0.0
    for line in text.decode().splitlines():
        found = re.match(re.escape(name) + r"(\{[^}]*\})? (\S+)$", line)
        if found and label in (found.group(1) or ""):
            total += float(found.group(2))
    return total


def transact(client, sender, recipients, data):
    """MAIL, RCPT, DATA with these very bytes; the final reply."""
    code, text = client.docmd("MAIL", f"FROM:<{sender}>")
    if code != 250:
        return code, text
    accepted = 0
    for recipient in recipients:
        code, text = client.docmd("RCPT", f"TO:<{recipient}>")
        accepted += code == 250
    if not accepted:
        return code, text
    code, text = client.docmd("DATA")
    if code != 354:
        return code, text
    client.send(stuff(data) + b".\r\n")
    return client.getreply()


def link_in(data):
    """The address of the challenge page in a challenge mail."""
    message = email.message_from_bytes(data, policy=email.policy.default)
    text = message.get_body(("plain",)).get_content()
    links = set(re.findall(r"https?://\S+/c/[A-Za-z0-9_-]+", text))
    assert len(links) == 1, (links, text)
    return links.pop()
