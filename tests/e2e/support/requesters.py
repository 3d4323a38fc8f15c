"""Browsers and agents that call the clouds without a pause and note every
call that fails."""
import time
import urllib.parse

from harness import connect
from load import Workers


class Requesters(Workers):
    """Pages over new connections, the agents' calls over one that is kept,
    and long-polls."""

    def __init__(self, stack, link):
        self.stack = stack
        self.link = link
        self.key = {"Authorization": "Bearer " + stack.key}
        self.pages = self.calls = self.polls = 0
        self.longest = 0.0
        self.failed = []
        super().__init__((self.read_pages, self.read_pages, self.call,
                          self.call, self.poll))

    def note(self, what, started, status, wanted):
        self.longest = max(self.longest, time.monotonic() - started)
        if status not in wanted:
            self.failed.append((what, status))

    def read_pages(self):
        while not self.over.wait(0.02):
            started = time.monotonic()
            try:
                status = self.stack.get(self.link)[0]
            except OSError as problem:
                status = repr(problem)
            self.note("page", started, status, (200,))
            self.pages += 1

    def kept(self, path, what, wanted):
        """A call over a connection that is kept for as long as it is."""
        parts = urllib.parse.urlsplit(self.stack.api_url)
        connection = connect(parts)
        while True:
            started = time.monotonic()
            try:
                connection.request("GET", path(), headers=self.key)
                answer = connection.getresponse()
                answer.read()
                status = answer.status
            except (OSError, ValueError) as problem:
                status = repr(problem)
                connection.close()
            self.note(what, started, status, wanted)
            yield

    def call(self):
        for _ in self.kept(lambda: "/v1/agent/policy?after=0", "call",
                           (200,)):
            self.calls += 1
            if self.over.wait(0.02):
                return

    def poll(self):
        """Decisions from the end on: 204 after the wait, or sooner where the
        instance drains."""
        for _ in self.kept(lambda: "/v1/agent/decisions?after=1000000&wait=3",
                           "poll", (204,)):
            self.polls += 1
            if self.over.is_set():
                return
