"""A MongoDB server for the tests, the end-to-end tests and the benchmarks.

    from mongodb_server import MongodbServer
    with MongodbServer() as server:             # what there is, see below
        server.uri                              # mongodb://127.0.0.1:PORT/...
        server.uri_for("turing_x")              # the same with a database
        server.name                             # "MongoDB 6.0.5 (3 members)"
    with MongodbServer(private=True) as server: # one that may be hurt
        server.kill9(); server.restart()        # same port, same data
        server.step_down(); server.kill_primary()

Which one: the server that TURING_TEST_MONGODB_URI names; else private ones
from the mongod that TURING_TEST_MONGOD names, that is on PATH or that is
fetched once to build/mongodb (three members as a replica set in a temporary
folder); else the stand-in mongo-java-server, fetched once with Maven to
build/mongodb-stand-in. kind picks one: "given",
"mongod", "h2" (the stand-in on disk), "memory" (the stand-in in memory).
private=True never takes the given one and wants data that survive kill -9:
"mongod" or "h2".

Every process started here ends with this one. ServerAbsent is raised when
there is none to be had.
"""
import atexit
import contextlib
import fcntl
import functools
import os
import random
import shutil
import signal
import socket
import subprocess
import tempfile
import time
import urllib.parse

from fetched import (LIBRARIES, find_mongod, has_stand_in, why_no_mongod,
                     why_no_stand_in)

HERE = os.path.dirname(os.path.abspath(__file__))
STAND_IN = "mongo-java-server 1.47.0"
KINDS = ("given", "mongod", "h2", "memory")
START_SECONDS = 120
# What the data of a run take at most, several times over.
MEMORY_BYTES = 4 << 30


class ServerAbsent(Exception):
    """There is no server of the kind asked for."""


def choose_kind(private=False):
    """The kind that is started when none is asked for."""
    if os.environ.get("TURING_TEST_MONGODB_URI") and not private:
        return "given"
    if find_mongod():
        return "mongod"
    return "h2" if private else "memory"


def kind_here():
    """The kind that can be started without fetching anything; None."""
    if find_mongod(fetch=False):
        return "mongod"
    return "memory" if has_stand_in() else None


# A byte of it is locked for each port that was given, until its process ends.
GIVEN_PORTS = os.path.join(tempfile.gettempdir(), "turing-test-ports")
OWN_PORTS = set()


@functools.cache
def given_ports():
    """The descriptor of GIVEN_PORTS: opened once, for closing any other one of
    the same file would drop the locks."""
    return os.open(GIVEN_PORTS, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)


def take_port(port):
    """Whether the port is this process's from now on, and nobody listens."""
    try:
        fcntl.lockf(given_ports(), fcntl.LOCK_EX | fcntl.LOCK_NB, 1, port)
    except OSError:
        return False
    with socket.socket() as probe:
        try:
            probe.bind(("127.0.0.1", port))
            return True
        except OSError:
            return False


def free_port(first=26000, end=32000):
    """A port from first to below end that nobody listens on, and that no run of
    the tests beside this one was given: not one of those that the system takes
    for connections, for it is bound some time later, and again after a kill."""
    while True:
        port = random.randrange(first, end)
        if port not in OWN_PORTS and take_port(port):
            OWN_PORTS.add(port)
            return port


def fetch_stand_in():
    """The folder with the stand-in's libraries."""
    why = why_no_stand_in()
    if why:
        raise ServerAbsent(why)
    return LIBRARIES


class _Process:
    """One server process on a port of its own, with data of its own."""

    def __init__(self, arguments, port, log):
        self.arguments = arguments
        self.port = port
        self.log = log
        self.process = None

    def begin(self):
        """Starts it; wait() for its port."""
        with open(self.log, "a", encoding="utf-8") as log:
            self.process = subprocess.Popen(
                self.arguments, stdin=subprocess.PIPE, stdout=log, stderr=log)

    def wait(self):
        """Until its port is open."""
        end = time.monotonic() + START_SECONDS
        while not self.answers():
            if self.process.poll() is not None or time.monotonic() > end:
                raise ServerAbsent("the server does not start: "
                                   + self.tail())
            time.sleep(0.05)

    def answers(self):
        try:
            socket.create_connection(("127.0.0.1", self.port), 1).close()
            return True
        except OSError:
            return False

    def tail(self):
        with open(self.log, encoding="utf-8", errors="replace") as log:
            return log.read()[-2000:]

    def running(self):
        return self.process is not None and self.process.poll() is None

    def end(self, number, wait=30):
        """Sends the signal and waits; another one after wait seconds."""
        if not self.process:
            return
        if self.running():
            self.process.send_signal(number)
            try:
                self.process.wait(wait)
            except subprocess.TimeoutExpired:
                self.process.kill()
                self.process.wait()
        self.process.stdin.close()
        self.process = None


def _roomy_memory():
    """Where data need no disk, if much fits there: three members sync each
    write, and survive a kill -9 there too. None for the usual folder."""
    try:
        room = os.statvfs("/dev/shm")
    except OSError:
        return None
    return "/dev/shm" if room.f_bavail * room.f_frsize >= MEMORY_BYTES \
        else None


def _start(processes):
    """All at once; returns when all their ports are open."""
    for process in processes:
        process.begin()
    for process in processes:
        process.wait()


class MongodbServer:
    """See the top of this file. kind, private and members as told there;
    folder is where data go (a temporary one by default). election_ms is how
    long a primary may be silent until the others elect one: a busy machine is
    to make them do so only where elections are tested."""

    def __init__(self, kind=None, private=False, members=3, folder=None,
                 election_ms=30000):
        self.kind = kind or choose_kind(private)
        if self.kind not in KINDS:
            raise ValueError(f"unknown kind {self.kind}")
        self.members = members if self.kind == "mongod" else 1
        self.folder = folder
        self.election_ms = election_ms
        self.uri = ""
        self.version = ""
        self.name = ""
        self.processes = []
        self._own_folder = folder is None

    def __enter__(self):
        return self.start()

    def __exit__(self, *_):
        self.stop()

    # --- life ------------------------------------------------------------

    def start(self):
        """Starts it, waits until it can be written to; returns self."""
        if self.kind == "given":
            self.uri = os.environ["TURING_TEST_MONGODB_URI"]
            self.version = self.client().server_info()["version"]
            self.name = f"MongoDB {self.version} (given)"
            return self
        if self.folder is None:
            self.folder = tempfile.mkdtemp(prefix="turing-mongodb-",
                                           dir=_roomy_memory())
        atexit.register(self.stop)
        try:
            if self.kind == "mongod":
                self._start_mongod()
            else:
                self._start_stand_in()
        except BaseException:
            self.stop()
            raise
        return self

    def stop(self):
        """Ends it for good and deletes its data."""
        for process in self.processes:
            process.end(signal.SIGKILL)
        self.processes = []
        atexit.unregister(self.stop)
        if self._own_folder and self.folder:
            shutil.rmtree(self.folder, ignore_errors=True)
            self.folder = None

    def kill9(self):
        """kill -9 of every process; restart() brings them back."""
        self._must_be_ours()
        for process in self.processes:
            process.end(signal.SIGKILL)

    def terminate(self):
        """Ends every process in order (SIGTERM); restart() as above."""
        self._must_be_ours()
        for process in self.processes:
            process.end(signal.SIGTERM)

    def restart(self):
        """Starts what does not run, same ports, same data (those of "memory"
        are gone), and waits until it can be written to."""
        self.start_missing()
        self.wait_writable()

    def start_missing(self):
        """As restart(), but waits for no more than open ports."""
        self._must_be_ours()
        _start([p for p in self.processes if not p.running()])

    def freeze(self, seconds):
        """Stops every process for that long (SIGSTOP): it answers late."""
        self._must_be_ours()
        for number in (signal.SIGSTOP, signal.SIGCONT):
            for process in self.processes:
                process.process.send_signal(number)
            if number == signal.SIGSTOP:
                time.sleep(seconds)

    def _must_be_ours(self):
        if self.kind == "given":
            raise RuntimeError("a server that was given is not touched")

    # --- the three kinds -------------------------------------------------

    def _start_stand_in(self):
        port = free_port()
        data = os.path.join(self.folder, "data.mv")
        libraries = fetch_stand_in()
        arguments = ["java", "-Xmx2g", "-cp", libraries + "/*",
                     "-Dorg.slf4j.simpleLogger.defaultLogLevel=warn",
                     os.path.join(HERE, "StandIn.java"), str(port), self.kind]
        if self.kind == "h2":
            arguments.append(data)
        process = _Process(arguments, port,
                           os.path.join(self.folder, "log"))
        self.processes = [process]
        _start(self.processes)
        self.uri = f"mongodb://127.0.0.1:{port}/"
        self.version = STAND_IN.rsplit(" ", 1)[1]
        where = "on disk" if self.kind == "h2" else "in memory"
        self.name = f"{STAND_IN} ({where})"
        self.wait_writable()

    def _start_mongod(self):
        mongod = find_mongod()
        if not mongod:
            raise ServerAbsent("no mongod: " + why_no_mongod())
        hosts = []
        for i in range(self.members):
            port = free_port()
            data = os.path.join(self.folder, f"member-{i}")
            os.makedirs(data, exist_ok=True)
            self.processes.append(_Process(
                [mongod, "--replSet", "turing", "--dbpath", data, "--port",
                 str(port), "--bind_ip", "127.0.0.1",
                 "--wiredTigerCacheSizeGB", "0.25", "--quiet",
                 *self.more_arguments()], port,
                os.path.join(self.folder, f"log-{i}")))
            hosts.append(f"127.0.0.1:{port}")
        _start(self.processes)
        self.uri = f"mongodb://{','.join(hosts)}/?replicaSet=turing"
        self._initiate(hosts)
        self.after_initiation(hosts)
        self.wait_writable()
        with self.client() as client:
            config = client.admin.command("replSetGetConfig")["config"]
            config["version"] += 1
            config["settings"]["electionTimeoutMillis"] = self.election_ms
            client.admin.command("replSetReconfig", config)
        self.version = self.client().server_info()["version"]
        self.name = f"MongoDB {self.version} ({self.members} member" + \
            ("s)" if self.members > 1 else ")")

    def more_arguments(self):
        """What else each mongod is started with."""
        return []

    def after_initiation(self, hosts):
        """What is done once the set has its members, before the first use."""

    def _initiate(self, hosts):
        config = {"_id": "turing", "version": 1,
                  # The first one is to come soon.
                  "settings": {"electionTimeoutMillis": 2000,
                               "heartbeatIntervalMillis": 500},
                  "members": [{"_id": i, "host": host}
                              for i, host in enumerate(hosts)]}
        direct = self._member_client(hosts[0])
        direct.admin.command("replSetInitiate", config)
        direct.close()

    # --- talking to it ---------------------------------------------------

    def _member_client(self, host):
        import pymongo  # pylint: disable=import-outside-toplevel
        return pymongo.MongoClient("mongodb://" + host, directConnection=True,
                                   serverSelectionTimeoutMS=5000,
                                   **self.client_options())

    def client_options(self):
        """What pymongo wants to know beside hosts and users."""
        return {}

    def client(self, **options):
        """A pymongo client of it."""
        import pymongo  # pylint: disable=import-outside-toplevel
        options.setdefault("serverSelectionTimeoutMS", 10000)
        return pymongo.MongoClient(self.uri, **options)

    def wait_writable(self, seconds=START_SECONDS):
        """Waits until there is a primary that takes a write."""
        import pymongo  # pylint: disable=import-outside-toplevel
        end = time.monotonic() + seconds
        while True:
            try:
                with self.client(serverSelectionTimeoutMS=1000) as client:
                    client.turing_probe.probe.update_one(
                        {"_id": 1}, {"$set": {"n": 1}}, upsert=True)
                    return
            except pymongo.errors.PyMongoError as problem:
                if time.monotonic() > end:
                    raise ServerAbsent(f"cannot be written to: {problem}") \
                        from problem
                time.sleep(0.1)

    def uri_for(self, database):
        """The URI with this database in it."""
        parts = urllib.parse.urlsplit(self.uri)
        return urllib.parse.urlunsplit(parts._replace(path="/" + database))

    def drop(self, database):
        """Drops a database; no matter when it is not there."""
        with self.client() as client:
            client.drop_database(database)

    # --- replica sets ----------------------------------------------------

    @property
    def is_replica_set(self):
        """Whether it has elections and change streams."""
        if self.kind != "given":
            return self.kind == "mongod"
        with self.client() as client:
            return bool(client.admin.command("isMaster").get("setName"))

    def primary(self):
        """The process of the primary; None while there is none."""
        for process in self.processes:
            if not process.running():
                continue
            try:
                client = self._member_client(f"127.0.0.1:{process.port}")
                with client:
                    if client.admin.command("isMaster").get("ismaster"):
                        return process
            except Exception:  # pylint: disable=broad-except
                continue
        return None

    def states(self):
        """For each process whether it is a primary or a secondary now."""
        found = []
        for process in self.processes:
            if not process.running():
                found.append(False)
                continue
            try:
                client = self._member_client(f"127.0.0.1:{process.port}")
                with client:
                    told = client.admin.command("isMaster")
                found.append(bool(told.get("ismaster") or
                                  told.get("secondary")))
            except Exception:  # pylint: disable=broad-except
                found.append(False)
        return found

    def kill_primary(self):
        """kill -9 of the primary alone; restart() brings it back."""
        self._must_be_ours()
        process = self.primary()
        if process:
            process.end(signal.SIGKILL)
        return process is not None

    def step_down(self, seconds=5):
        """Makes the primary step down; another one is elected."""
        import pymongo  # pylint: disable=import-outside-toplevel
        with self.client() as client:
            try:
                client.admin.command("replSetStepDown", seconds,
                                     secondaryCatchUpPeriodSecs=2, force=True)
            except pymongo.errors.AutoReconnect:
                pass
