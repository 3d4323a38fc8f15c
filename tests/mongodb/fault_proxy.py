"""A TCP proxy between a client of MongoDB and the server that hurts one
exchange at a time.

    from fault_proxy import FaultProxy
    with FaultProxy(server.uri) as proxy:    # the first host of the URI, or
                                             # FaultProxy(..., port=N) of it
        proxy.uri                            # through it; directConnection
        proxy.uri_for("turing_x")            # the same with a database
        proxy.arm("cut-before", at=3)        # the third exchange from now
        proxy.arm("swallow", command="update", times=2)
        proxy.arm("stall-after", seconds=5, times=None)   # all, until disarm()
        proxy.disarm()                       # how often it happened
        proxy.reset(); proxy.count; proxy.commands        # exchanges so far
        proxy.down(); proxy.up()             # nobody gets through; again

An exchange is a command and its answer; those by which drivers watch a server
(hello, isMaster, ping ...) pass and are not counted. Faults:

    cut-before    the connection ends before the command reaches the server
    cut-after     the server has done it; the connection ends without an answer
    cut-middle    the connection ends in the middle of the answer
    swallow       the server has done it; the answer never comes
    stall-before  the command waits for seconds on its way
    stall-after   the answer waits for seconds on its way

A program that is not written in Python speaks to the control port, a line a
request and a line an answer: "arm FAULT AT COMMAND SECONDS TIMES" ("*" for any
command, TIMES 0 for all), "disarm" (answers how often), "reset", "count",
"commands", "down", "up".

usage: fault_proxy.py URI run COMMAND...   runs it with TURING_TEST_MONGODB_URI
       leading through the proxy (to the primary, with short timeouts),
       TURING_TEST_DIRECT_URI past it, and TURING_TEST_FAULT_PORT the control
       port
"""
import os
import socket
import struct
import subprocess
import sys
import threading
import time
import urllib.parse

FAULTS = ("cut-before", "cut-after", "cut-middle", "swallow", "stall-before",
          "stall-after")
NOT_COUNTED = {"hello", "ismaster", "ping", "buildinfo", "endsessions",
               "saslstart", "saslcontinue", "killcursors"}
OP_QUERY, OP_MSG = 2004, 2013


class _Closed(Exception):
    """The other end has gone."""


def _read(sock, size):
    parts = bytearray()
    while len(parts) < size:
        more = sock.recv(min(size - len(parts), 1 << 16))
        if not more:
            raise _Closed
        parts += more
    return bytes(parts)


def _read_message(sock):
    """One message of the wire protocol: id, id answered, opcode, bytes."""
    header = _read(sock, 16)
    size, number, answered, opcode = struct.unpack("<iiii", header)
    if not 16 <= size <= 1 << 26:
        raise _Closed
    return number, answered, opcode, header + _read(sock, size - 16)


def command_name(opcode, message):
    """The name of the command in a message, "" when it is none."""
    if opcode == OP_MSG:
        if message[20] != 0:
            return ""
        start = 21 + 4 + 1
    elif opcode == OP_QUERY:
        start = message.index(b"\0", 20) + 1 + 8 + 4 + 1
    else:
        return ""
    return message[start:message.index(b"\0", start)].decode("ascii",
                                                             "replace")


def _close(*socks):
    for sock in socks:
        try:
            sock.shutdown(socket.SHUT_RDWR)
        except OSError:
            pass
        sock.close()


class _Armed:
    """A fault that waits for its exchange."""

    def __init__(self, fault, at, command, seconds, times):
        if fault not in FAULTS:
            raise ValueError(f"unknown fault {fault}")
        self.fault = fault
        self.wait = max(1, at)
        self.command = None if command in (None, "*") else command.lower()
        self.seconds = seconds
        self.times = times
        self.fired = 0

    def takes(self, name):
        """Whether this exchange is the one; counts it."""
        if self.times is not None and self.fired >= self.times:
            return False
        if self.command and name.lower() != self.command:
            return False
        self.wait -= 1
        if self.wait > 0:
            return False
        self.fired += 1
        return True


class FaultProxy:
    """See the top of this file. Every method may be called by any thread."""

    def __init__(self, uri, port=None):
        parts = urllib.parse.urlsplit(uri)
        host = parts.netloc.rsplit("@", 1)[-1].split(",")[0]
        name, _, given = host.partition(":")
        self.target = (name, port or int(given or 27017))
        self._credentials = parts.netloc.rsplit("@", 1)[0] + "@" \
            if "@" in parts.netloc else ""
        self._lock = threading.Lock()
        self._armed = None
        self._open = set()
        self._is_down = False
        self.commands = []
        self._listener = self._listen()
        self.port = self._listener.getsockname()[1]
        self._control = self._listen()
        self.control_port = self._control.getsockname()[1]

    @staticmethod
    def _listen():
        listener = socket.socket()
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind(("127.0.0.1", 0))
        listener.listen(128)
        return listener

    def start(self):
        """Starts to listen; returns self."""
        for listener, serve in ((self._listener, self._serve),
                                (self._control, self._serve_control)):
            threading.Thread(target=self._accept, args=(listener, serve),
                             daemon=True).start()
        return self

    def stop(self):
        """Cuts everything; the proxy is of no more use."""
        _close(self._listener, self._control)
        self._cut_all()

    def __enter__(self):
        return self.start()

    def __exit__(self, *_):
        self.stop()

    @property
    def uri(self):
        """The URI that leads through the proxy, to this one server."""
        return self.uri_for("")

    def uri_for(self, database, options=""):
        """As uri, with a database and more options ("a=b&c=d")."""
        more = "&" + options if options else ""
        return (f"mongodb://{self._credentials}127.0.0.1:{self.port}/"
                f"{database}?directConnection=true{more}")

    # --- faults ----------------------------------------------------------

    def arm(self, fault, at=1, command=None, seconds=1.0, times=1):
        """Hurts the at-th exchange from now (of this command, where one is
        named), and the ones after it until it happened times (None: all)."""
        with self._lock:
            self._armed = _Armed(fault, at, command, seconds, times)

    def disarm(self):
        """No more faults; how often the last one happened."""
        with self._lock:
            fired = self._armed.fired if self._armed else 0
            self._armed = None
            return fired

    def down(self):
        """Cuts every connection and takes no new ones until up()."""
        self._is_down = True
        self._cut_all()

    def up(self):
        """Ends down()."""
        self._is_down = False

    def reset(self):
        """Forgets the exchanges so far."""
        with self._lock:
            self.commands = []

    @property
    def count(self):
        """How many exchanges there were since reset()."""
        return len(self.commands)

    def _cut_all(self):
        with self._lock:
            held = list(self._open)
            self._open.clear()
        _close(*held)

    def _fault_for(self, name):
        if not name or name.lower() in NOT_COUNTED:
            return None
        with self._lock:
            self.commands.append(name)
            armed = self._armed
            return armed if armed and armed.takes(name) else None

    # --- connections -----------------------------------------------------

    @staticmethod
    def _accept(listener, serve):
        while True:
            try:
                sock, _ = listener.accept()
            except OSError:
                return
            threading.Thread(target=serve, args=(sock,), daemon=True).start()

    def _serve(self, client):
        if self._is_down:
            _close(client)
            return
        try:
            server = socket.create_connection(self.target, 5)
        except OSError:
            _close(client)
            return
        server.settimeout(None)
        for sock in (client, server):
            sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        with self._lock:
            self._open |= {client, server}
        pending = {}
        threading.Thread(target=self._answers, args=(client, server, pending),
                         daemon=True).start()
        self._requests(client, server, pending)

    def _requests(self, client, server, pending):
        """From the client to the server."""
        try:
            while True:
                number, _, opcode, message = _read_message(client)
                armed = self._fault_for(command_name(opcode, message))
                if armed:
                    if armed.fault == "cut-before":
                        raise _Closed
                    if armed.fault == "stall-before":
                        time.sleep(armed.seconds)
                    else:
                        pending[number] = armed
                server.sendall(message)
        except (_Closed, OSError, ValueError):
            self._end(client, server)

    def _answers(self, client, server, pending):
        """From the server to the client."""
        try:
            while True:
                _, answered, _, message = _read_message(server)
                armed = pending.pop(answered, None)
                if armed is None:
                    client.sendall(message)
                elif armed.fault == "cut-after":
                    raise _Closed
                elif armed.fault == "cut-middle":
                    client.sendall(message[:len(message) // 2])
                    raise _Closed
                elif armed.fault == "stall-after":
                    time.sleep(armed.seconds)
                    client.sendall(message)
        except (_Closed, OSError):
            self._end(client, server)

    def _end(self, client, server):
        with self._lock:
            self._open -= {client, server}
        _close(client, server)

    # --- the control port ------------------------------------------------

    def _serve_control(self, sock):
        with sock, sock.makefile("rw", encoding="ascii") as stream:
            for line in stream:
                try:
                    answer = self._control_line(line.split())
                except (ValueError, IndexError) as problem:
                    answer = f"error {problem}"
                stream.write(f"{answer}\n")
                stream.flush()

    def _control_line(self, words):
        if words[0] == "arm":
            self.arm(words[1], int(words[2]), words[3], float(words[4]),
                     int(words[5]) or None)
        elif words[0] == "disarm":
            return self.disarm()
        elif words[0] == "count":
            return self.count
        elif words[0] == "commands":
            return " ".join(self.commands)
        elif words[0] in ("reset", "down", "up"):
            getattr(self, words[0])()
        else:
            raise ValueError("unknown request")
        return "ok"


def primary_port(uri):
    """The port of the primary of a replica set on this machine; None for a
    server that is alone."""
    import pymongo  # pylint: disable=import-outside-toplevel
    with pymongo.MongoClient(uri, serverSelectionTimeoutMS=10000) as client:
        client.admin.command("ping")
        return client.primary[1] if client.primary else None


def main():
    if len(sys.argv) < 4 or sys.argv[2] != "run":
        print(__doc__, file=sys.stderr)
        return 2
    uri = sys.argv[1]
    with FaultProxy(uri, primary_port(uri)) as proxy:
        through = proxy.uri_for("", "socketTimeoutMS=400&"
                                "serverSelectionTimeoutMS=3000")
        environment = dict(os.environ, TURING_TEST_MONGODB_URI=through,
                           TURING_TEST_DIRECT_URI=uri,
                           TURING_TEST_FAULT_PORT=str(proxy.control_port))
        return subprocess.run(sys.argv[3:], env=environment,
                              check=False).returncode


if __name__ == "__main__":
    sys.exit(main())
