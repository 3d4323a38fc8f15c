"""Where a stack keeps its data, SQLite or MongoDB, and what the registry holds
as the tests read it, past the daemons."""
import atexit
import json
import os
import re
import sqlite3
import sys
import urllib.parse
import uuid

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.dirname(
    os.path.abspath(__file__)))))
STORE = os.environ.get("TURING_E2E_STORE", "sqlite")
STATES = ["held", "released", "discarded", "expired", "delivered", "failed"]
VERDICTS = ["release", "discard", "expire"]
CHALLENGE_STATES = ["open", "solved", "settled", "expired", "bounced"]
MAIL_STATES = ["pending", "sent", "failed"]
SHARDING = re.compile(r'sh\.shardCollection\("turing_(\w+)\.([\w.]+)",'
                      r' (\{.*\})(, true)?\)')

if STORE == "mongodb":
    # What libmongoc is known for, for daemons built with sanitizers.
    for _name in ("lsan", "tsan"):
        os.environ.setdefault(
            f"{_name.upper()}_OPTIONS", "suppressions=" + os.path.join(
                ROOT, "tests", "mongodb", "suppressions-" + _name))


class SqliteStore:
    """Files in the stack's folder."""
    name = "sqlite"

    def __init__(self, folder):
        self.registry = os.path.join(folder, "cloud")
        self.spool = os.path.join(folder, "agent")

    def cloud_settings(self):
        return f'store {{ backend = "sqlite", location = "{self.registry}" }}'

    def agent_settings(self):
        return f'spool {{ backend = "sqlite", location = "{self.spool}" }}'

    def rows(self, query):
        path = os.path.join(self.registry, "registry.db")
        with sqlite3.connect(path, timeout=20) as database:
            database.row_factory = sqlite3.Row
            return [dict(row) for row in database.execute(query)]

    def count_messages(self):
        return self.rows("SELECT count(*) AS n FROM message")[0]["n"]

    def messages(self):
        found = {}
        for row in self.rows("SELECT * FROM message ORDER BY id"):
            row["id"] = str(uuid.UUID(bytes=row["id"]))
            row["recipients"] = {}
            found[row["id"]] = row
        for row in self.rows("SELECT * FROM recipient"):
            message = found.get(str(uuid.UUID(bytes=row["message"])))
            if message:  # else it came between the two queries
                row["state"] = STATES[row["state"]]
                message["recipients"][row["address"]] = row
        return list(found.values())

    def challenges(self):
        rows = self.rows("SELECT * FROM challenge ORDER BY id")
        for row in rows:
            row["state"] = CHALLENGE_STATES[row["state"]]
            row["mail"] = MAIL_STATES[row["mail"]]
        return rows

    def decisions(self):
        rows = self.rows("SELECT * FROM decision ORDER BY tenant, sequence")
        for row in rows:
            row["message"] = str(uuid.UUID(bytes=row["message"]))
            row["verdict"] = VERDICTS[row["verdict"]]
        return rows

    def close(self):
        """The files go with the stack's folder."""


class MongodbStore:
    """Two databases of their own on one server. uri: what the daemons use,
    through a proxy perhaps; direct: what the tests use."""
    name = "mongodb"

    def __init__(self, uri=None, direct=None):
        import pymongo  # pylint: disable=import-outside-toplevel
        uri = uri or shared_server_uri()
        mark = uuid.uuid4().hex[:12]
        self.names = [f"turing_e2e_{mark}_cloud", f"turing_e2e_{mark}_agent"]
        self.registry, self.spool = (with_database(uri, name)
                                     for name in self.names)
        self.client = pymongo.MongoClient(
            direct or uri, uuidRepresentation="standard",
            serverSelectionTimeoutMS=20000)
        self.database = self.client[self.names[0]]
        self.spool_database = self.client[self.names[1]]
        if os.environ.get("TURING_TEST_MONGODB_SHARDED") == "1":
            self.shard()

    def shard(self):
        """By the commands of docs/mongodb.md, on a sharded cluster."""
        names = dict(zip(("registry", "spool"), self.names))
        for name in self.names:
            self.client.admin.command("enableSharding", name)
        for store, collection, key, unique in SHARDING.findall(
                open(os.path.join(ROOT, "docs", "mongodb.md"),
                     encoding="utf-8").read()):
            self.client.admin.command(
                "shardCollection", f"{names[store]}.{collection}",
                key=json.loads(re.sub(r"(\w+):", r'"\1":', key)),
                unique=bool(unique))

    def cloud_settings(self):
        return f'store {{ backend = "mongodb", location = "{self.registry}" }}'

    def agent_settings(self):
        return f'spool {{ backend = "mongodb", location = "{self.spool}" }}'

    def count_messages(self):
        return self.database.message.count_documents({})

    def messages(self):
        found = []
        for row in self.database.message.find({}, sort=[("_id", 1)]):
            row["id"] = str(row["_id"])
            row["recipients"] = {r["address"]: r for r in row["recipients"]}
            found.append(row)
        return found

    def challenges(self):
        return list(self.database.challenge.find({}, sort=[("_id", 1)]))

    def decisions(self):
        rows = list(self.database.decision.find(
            {}, sort=[("tenant", 1), ("sequence", 1)]))
        for row in rows:
            row["message"] = str(row["message"])
        return rows

    def close(self):
        for name in self.names:
            self.client.drop_database(name)
        self.client.close()


def with_database(uri, name):
    """The URI with this database in it."""
    parts = urllib.parse.urlsplit(uri)
    return urllib.parse.urlunsplit(parts._replace(path="/" + name))


SERVERS = []


def server_module():
    sys.path.insert(0, os.path.join(ROOT, "tests", "mongodb"))
    import mongodb_server  # pylint: disable=import-outside-toplevel
    return mongodb_server


def shared_server():
    """The server of this run of the tests; started when first wanted. One
    member: three take three times its processor time, and what they add is
    asked by the tests of elections and of the stores themselves."""
    if not SERVERS:
        SERVERS.append(server_module().MongodbServer(members=1).start())
        atexit.register(SERVERS[0].stop)
        print(f"mongodb: {SERVERS[0].name}", file=sys.__stderr__)
    return SERVERS[0]


def shared_server_uri():
    return shared_server().uri


def open_store(folder, name=None):
    """The store that TURING_E2E_STORE names, or this one."""
    name = name or STORE
    if name == "sqlite":
        return SqliteStore(folder)
    if name == "mongodb":
        return MongodbStore()
    raise ValueError(f"TURING_E2E_STORE={name}: sqlite or mongodb")
