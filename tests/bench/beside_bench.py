"""How long others wait beside large registrations: the p99 of /healthz, of a
captcha page and of another tenant's registration."""
import json
import math
import os
import statistics
import threading
import time
import uuid

from harness import Stack

BATCH = 500
TENANTS = 4
PAUSE = 0.02
AIMS_MS = {"/healthz": 50, "a captcha page": 100,
           "another tenant's registration": 250}


def stamp(seconds):
    return time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(seconds))


def version_7():
    """A UUID of now (RFC 9562 section 5.7)."""
    bits = (time.time_ns() // 1000000 << 80 |
            int.from_bytes(os.urandom(10), "big"))
    bits = bits & ~(0xf << 76) | 7 << 76
    return str(uuid.UUID(int=bits & ~(3 << 62) | 2 << 62))


def batch_of(count, domain):
    """A body of messages, each of a sender who never wrote before."""
    now = time.time()
    return json.dumps({"messages": [{
        "id": version_7(), "received_at": stamp(now),
        "expires_at": stamp(now + 86400), "size": 5120,
        "sender": f"{uuid.uuid4().hex}@stranger.example",
        "subject": "Our talk of last week",
        "auth": {"stated": True, "spf": "pass",
                 "spf_domain": "stranger.example"},
        "recipients": [f"jean@{domain}"]} for _ in range(count)]}).encode()


class Tenant:
    """A tenant with a key, and what its agent would send."""

    def __init__(self, stack, name):
        self.stack, self.domain = stack, f"{name}.example"
        stack.cloud_cli("tenant", "add", name, "--language", "en")
        stack.cloud_cli("domain", "add", name, self.domain)
        self.key = stack.cloud_cli("agent", "add", name, "a").stdout.strip()

    def register(self, body):
        status, _, data = self.stack.get(
            self.stack.api_url + "/v1/agent/messages", "POST", body,
            {"Authorization": f"Bearer {self.key}",
             "Content-Type": "application/json"})
        assert status == 200, (status, data[:300])
        words = {r["status"] for r in json.loads(data)["results"]}
        assert words == {"registered"}, words


def p99(values):
    return sorted(values)[math.ceil(0.99 * len(values)) - 1]


class Beside:
    """Registrations that go on, and what is asked for beside them."""

    def __init__(self, stack):
        self.stack = stack
        self.loaders = [Tenant(stack, f"load{n}") for n in range(TENANTS)]
        self.other = Tenant(stack, "other")
        stack.send("first@stranger.example", "jean@customer.example")
        self.link = stack.challenge_link("first@stranger.example")

    def health(self):
        assert self.stack.get(self.stack.api_url + "/healthz")[0] == 200

    def page(self):
        assert self.stack.get(self.link)[0] == 200

    def registration(self):
        self.other.register(batch_of(1, self.other.domain))

    def probes(self):
        return dict(zip(AIMS_MS, (self.health, self.page, self.registration)))

    def run(self, seconds):
        """The times of each probe, in ms, and how many were registered a
        second meanwhile."""
        times = {name: [] for name in AIMS_MS}
        faults, done = [], []
        ends = threading.Event()

        def load(tenant):
            while not ends.is_set():
                body = batch_of(BATCH, tenant.domain)
                started = time.monotonic()
                tenant.register(body)
                done.append(BATCH / (time.monotonic() - started))

        def probe(name, ask):
            while not ends.wait(PAUSE):
                started = time.monotonic()
                ask()
                times[name].append((time.monotonic() - started) * 1000)

        def guard(work, *arguments):
            try:
                work(*arguments)
            except BaseException as fault:  # told by the caller
                faults.append(fault)
                ends.set()

        threads = [threading.Thread(target=guard, args=(load, tenant))
                   for tenant in self.loaders]
        threads += [threading.Thread(target=guard, args=(probe, name, ask))
                    for name, ask in self.probes().items()]
        for thread in threads:
            thread.start()
        # Until each probe was answered: one that waits is a figure too.
        end = time.monotonic() + seconds
        while time.monotonic() < end and not faults:
            time.sleep(0.1)
        ends.set()
        for thread in threads:
            thread.join()
        if faults:
            raise faults[0]
        return times, TENANTS * statistics.mean(done)


def engine_of(stack):
    """The store's name and version, as the cloud's log tells it."""
    return "SQLite" if stack.store.name == "sqlite" else "MongoDB"


def figures(bench, backend, seconds):
    """p99 beside four batches of new senders at a time; median of the runs."""
    with Stack(store=backend) as stack:
        beside = Beside(stack)
        beside.run(1)  # not counted: warms up
        found = {name: [] for name in AIMS_MS}
        rates = []
        for _ in range(bench.runs):
            times, rate = beside.run(seconds)
            rates.append(rate)
            for name, values in times.items():
                found[name].append(p99(values))
        conditions = (f"beside {TENANTS} batches of {BATCH} new senders at a"
                      f" time, {seconds} s a run, {os.cpu_count()} cores;"
                      " median of the runs")
        for name, values in found.items():
            bench.store_note(f"{backend}: p99 of {name}",
                             round(statistics.median(values), 1), "ms",
                             f"{conditions}; aim: {AIMS_MS[name]} ms",
                             engine_of(stack))
        bench.store_note(f"{backend}: registered meanwhile",
                         round(statistics.median(rates)), "messages/s",
                         conditions, engine_of(stack))
