"""Figures of the two stores: how fast the agent holds with much or little
stored, what a held message takes on disk, and the registry's operations."""
import json
import os
import sqlite3
import statistics
import subprocess
import tempfile

from harness import BUILD, ROOT, Stack, wait_for
import stores

SESSIONS = (1, 10, 50)
SIZE = 5120


def program(name):
    path = os.path.join(BUILD, "tests", "bench", name)
    if not os.path.exists(path):
        subprocess.run(["make", "-s", "-j2", f"BUILD={BUILD}", path],
                       cwd=ROOT, check=True)
    return path


def bytes_below(folder):
    """What the files of a folder take."""
    total = 0
    for place, _, names in os.walk(folder):
        for name in names:
            total += os.path.getsize(os.path.join(place, name))
    return total


def engine_of(stack):
    """The store's name and version, as the agent's log tells it."""
    for line in stack.agent.text().splitlines():
        if " spool: " in line:
            return line.split(" spool: ", 1)[1].split(",")[0]
    raise AssertionError("the agent did not log its engine")


class Ground:
    """A stack whose spool holds a number of messages, with the cloud away."""

    def __init__(self, backend, stored):
        self.stored = stored
        self.stack = Stack(store=backend)

    def __enter__(self):
        stack = self.stack.__enter__()
        stack.cloud.stop()
        stack.agent.stop()
        before = self.disk_bytes()
        print(subprocess.run(
            [program("bench-fill"), stack.store.name, stack.store.spool,
             str(self.stored)], check=True, capture_output=True,
            text=True).stdout.strip(), flush=True)
        taken = self.disk_bytes()
        self.bytes_each = None if taken is None else \
            (taken - before) / self.stored
        stack.start_agent()
        stack.wait_policy()
        self.engine = engine_of(stack)
        return self

    def __exit__(self, kind, value, trace):
        self.stack.__exit__(kind, value, trace)

    def disk_bytes(self):
        """None where the server keeps nothing on disk."""
        store = self.stack.store
        if store.name == "sqlite":
            return bytes_below(store.spool)
        stats = store.spool_database.command("dbStats")
        return stats.get("storageSize") or stats.get("fileSize") or None

    def hold(self, source, sessions, messages):
        """Messages a second that the agent takes."""
        name = "turing_agent_messages_total"
        before = self.stack.metric("agent", name)
        seconds = source(self.stack.smtp_port, messages,
                         "stranger@bench.example", sessions)
        wait_for(lambda: self.stack.metric("agent", name) - before
                 == messages, 20, "all counted")
        return messages / seconds


def hold_figures(bench, source, backend, sizes):
    """The hold rate by sessions and by what is stored, alternated."""
    with Ground(backend, sizes[0]) as small, \
            Ground(backend, sizes[-1]) as large:
        for sessions in SESSIONS:
            messages = bench.messages if sessions > 1 \
                else max(bench.messages // 4, 1)
            rates = {small: [], large: []}
            for ground in rates:  # not counted: warms up
                ground.hold(source, sessions, messages)
            for _ in range(bench.runs):
                for ground, found in rates.items():
                    found.append(ground.hold(source, sessions, messages))
            conditions = (f"{SIZE} B, smtp-source, {messages} messages a run,"
                          " the cloud is away")
            bench.sizes(f"{backend}: hold, {sessions} sessions",
                        "messages/s", conditions, small.engine,
                        [(g.stored, rates[g]) for g in (small, large)],
                        0.8 if backend == "sqlite" else None)
        for ground in (small, large):
            if ground.bytes_each is not None:
                bench.store_note(
                    f"{backend}: bytes on disk per held message",
                    round(ground.bytes_each), "bytes",
                    f"{SIZE} B of random base64 each,"
                    f" {ground.stored} stored", ground.engine)


def registry_run(backend, location, arguments):
    """The figures of one run of bench-registry."""
    done = subprocess.run(
        [program("bench-registry"), "--backend", backend, "--location",
         location, *arguments], check=True, capture_output=True, text=True)
    return [json.loads(line) for line in done.stdout.splitlines()
            if line.startswith("{")]


def registry_figures(bench, backend, sizes, purged):
    """The registry's operations with little and with much stored."""
    with tempfile.TemporaryDirectory(prefix="turing-bench-") as folder:
        places = {}
        opened = []
        for stored in sizes:
            inner = os.path.join(folder, str(stored))
            os.mkdir(inner)
            store = stores.open_store(inner, backend)
            opened.append(store)
            places[stored] = store.registry
            registry_run(backend, store.registry, ["--fill", str(stored)])
        found = {}
        for _ in range(bench.runs):
            for stored in sizes:
                for figure in registry_run(
                        backend, places[stored],
                        ["--fill", str(stored), "--measure"]):
                    found.setdefault(figure["name"], {}).setdefault(
                        stored, []).append(figure)
        for name, by_size in found.items():
            first = by_size[sizes[0]][0]
            bench.sizes(f"{backend}: {name}", first["unit"],
                        first["conditions"].rsplit("; ", 1)[0],
                        first["engine"],
                        [(stored, [f["value"] for f in by_size[stored]])
                         for stored in sizes],
                        0.8 if backend == "sqlite" else None)
        for figure in registry_run(backend, places[sizes[0]],
                                   ["--fill", str(sizes[0]), "--purge",
                                    str(purged)]):
            bench.store_note(f"{backend}: {figure['name']}", figure["value"],
                             figure["unit"], figure["conditions"],
                             figure["engine"])
        for store in opened:
            store.close()


def latency_figures(bench, purged, seconds):
    """Commits to SQLite beside a purge, and beside readers and backups."""
    for arguments in (["bench-purge", str(purged)],
                      ["bench-checkpoint", str(seconds)]):
        with tempfile.TemporaryDirectory(prefix="turing-bench-") as folder:
            done = subprocess.run(
                [program(arguments[0]), folder, *arguments[1:]], check=True,
                stdout=subprocess.PIPE, text=True)
        for line in done.stdout.splitlines():
            figure = json.loads(line)
            bench.store_note(figure["name"], figure["value"], figure["unit"],
                             figure["conditions"],
                             "SQLite " + sqlite3.sqlite_version)


def median_and_range(values):
    return (round(statistics.median(values), 1),
            [round(min(values), 1), round(max(values), 1)])
