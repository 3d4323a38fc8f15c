"""Registrations a second: batches of new senders, each of whom is challenged,
one batch after the other."""
import contextlib
import os
import time

from beside_bench import BATCH, Tenant, batch_of, engine_of
from harness import Stack, free_port

BATCHES = 4


class Registering:
    """A stack of one build, whose challenge mails stay where they are."""

    def __init__(self, backend, build):
        self.stack = Stack(store=backend, build=build,
                           smarthost=f'address = "127.0.0.1:{free_port()}"')

    def __enter__(self):
        self.stack.__enter__()
        self.tenant = Tenant(self.stack, "load")
        self.rate(1)  # not counted: warms up
        return self

    def __exit__(self, kind, value, trace):
        self.stack.__exit__(kind, value, trace)

    def rate(self, batches):
        """Messages a second."""
        bodies = [batch_of(BATCH, self.tenant.domain) for _ in range(batches)]
        started = time.monotonic()
        for body in bodies:
            self.tenant.register(body)
        return batches * BATCH / (time.monotonic() - started)


def figures(bench, backend, before):
    """The rate, beside that of the build before where one is named."""
    conditions = (f"{BATCHES} batches of {BATCH} new senders a run, one after"
                  " the other, no caps, the smarthost is away,"
                  f" {os.cpu_count()} cores")
    with contextlib.ExitStack() as opened:
        stacks = [opened.enter_context(Registering(backend, build))
                  for build in ([None, before] if before else [None])]
        found = [[] for _ in stacks]
        for _ in range(bench.runs):
            for one, rates in zip(stacks, found):
                rates.append(one.rate(BATCHES))
        bench.alternated(f"{backend}: registrations with challenges",
                         "messages/s", conditions, engine_of(stacks[0].stack),
                         found, 3)
