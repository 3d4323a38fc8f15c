"""Both stores on a MongoDB with thousands of messages in them, and every
operation as the server says it served it: by an index, in the index's order,
reading about as much as it gives."""
import os
import re
import subprocess
import time

import pytest

import stores
from harness import BUILD, DOMAIN, ROOT, Stack, wait_for
from test_store_faults import Letters, registered, welcome_friends

pytestmark = [pytest.mark.mongodb, pytest.mark.mongod]
STORED = int(os.environ.get("TURING_PLANS_STORED", "3000"))

# What is not to be served in the index's order, and why; docs/mongodb.md.
SORTED = [
    ("key", "tenant"),                  # a tenant has few keys
    ("message", r".*pending:\$gt.*"),   # the index has what is pending alone
    # Of searches the ids are sorted first, at most a page of them.
    ("message", r".*(expires:\$lt|recipients|sender_normal).* _id:\$(gt|in)"),
    ("message", r"turing\.hold_until:\$lt _id:\$gt"),
]
# What reads all of a collection: the check of a whole store; and a change
# stream, whose collection is the oplog.
WHOLE = [("domain", "", '{"revision": -1}'), ("entry", "", '{"revision": -1}'),
         ("message", "", "find"), ("signal", "", "aggregate")]
# What may read more than it gives.
MUCH = [
    # The number of held recipients: a sum over the index of what is held.
    ("message", r"held:\$gt", "aggregate"),
    # The spool's numbers by state: the same, over the index of the tallies.
    ("message", r"turing\.tally:\$gte", "aggregate"),
    ("message", "", "count"),
    ("challenge", "state.*", "aggregate"),
    # Those of a group within a window, up to its cap.
    ("challenge", r".*created:\$gte.*", "aggregate"),
    # Searches that ask for more than an index has: a page at a time.
    ("message", r".*_id:\$(gt|in)", "find"),
    # A claim begins with what is longest due; others may have that.
    ("message", r"turing\.due:\$lte", "find"),
    ("challenge", "state mail .*", "find"),
]
# Indexes of other tools, and of pages that are not built yet.
FOREIGN = {"filename_1_uploadDate_1", "user_of_tenant"}


@pytest.fixture(scope="module", name="server")
def lone_member():
    with stores.server_module().MongodbServer("mongod", members=1) as running:
        yield running


def run(name, *arguments, **environment):
    """A program of tests/bench."""
    path = os.path.join(BUILD, "tests", "bench", name)
    if not os.path.exists(path):
        subprocess.run(["make", "-s", "-j2", f"BUILD={BUILD}", path],
                       cwd=ROOT, check=True)
    subprocess.run([path, *arguments], check=True, timeout=300,
                   capture_output=True, env=dict(os.environ, **environment))


def matches(rows, operation):
    return any(row[0] == operation.collection and
               re.fullmatch(row[1], operation.filter) and
               (len(row) < 3 or row[2] in (operation.kind, operation.sort))
               for row in rows)


def faults_of(operation):
    """What is wrong with how it was served."""
    if "COLLSCAN" in operation.plan and not matches(WHOLE, operation):
        yield "reads the whole collection"
    if operation.sorted_in_memory and not matches(SORTED + WHOLE, operation):
        yield "sorts in memory"
    most = 3 * operation.found + 100
    if max(operation.keys, operation.documents) > most and \
            not matches(MUCH + WHOLE, operation):
        yield "reads more than it gives"


def tour(stack):
    """The daemons' and the command lines' work, on full stores."""
    welcome_friends(stack)
    letters = Letters(stack)
    for _ in range(21):
        assert letters.send() == 250
    # Another one of a sender who has an open challenge.
    stack.send("s3@stranger.example", f"again@{DOMAIN}")
    held = [r for r, (sender, _) in letters.acknowledged.items()
            if sender.endswith("stranger.example")]
    wait_for(lambda: registered(stack, held), 60, "all registered")
    for recipient in held[:3]:
        sender = letters.acknowledged[recipient][0]
        stack.challenge_link(sender)
        assert stack.solve(sender)[0] == 200
        stack.wait_delivered(recipient, 1, 30)
    ids = [m["id"] for m in stack.queue("--state", "held")][-2:]
    stack.agent_cli("queue", "show", ids[0])
    stack.agent_cli("queue", "release", ids[0])
    stack.agent_cli("queue", "discard", ids[1])
    stack.cloud_cli("user", "add", "customer", "u@customer.example", "--role",
                    "admin", stdin="a long enough password\n")
    for words in (("message", "list", "customer"), ("challenge", "list"),
                  ("entry", "list", "customer"), ("tenant", "list"),
                  ("domain", "list", "customer"), ("agent", "list", "customer"),
                  ("user", "show", "u@customer.example"),
                  ("audit", "customer"), ("store", "check")):
        stack.cloud_cli(*words)
    stack.agent_cli("store", "check")
    for daemon in ("cloud", "agent"):
        stack.get(f"{stack.api_url}/metrics" if daemon == "cloud" else
                  f"http://127.0.0.1:{stack.metrics_port}/metrics")
    stack.agent.stop()
    stack.start_agent()
    stack.wait_policy()
    for name, cli in (("cloud", stack.cloud_cli), ("agent", stack.agent_cli)):
        if name == "agent":
            stack.agent.stop()
        cli("store", "copy", "--to-backend", "sqlite", "--to-location",
            os.path.join(stack.folder, "copy-" + name))


def test_every_operation_has_its_index(server, capsys):
    import plans  # pylint: disable=import-outside-toplevel
    store = stores.MongodbStore(server.uri, server.uri)
    run("bench-registry", "--backend", "mongodb", "--location",
        store.registry, "--fill", str(STORED))
    run("bench-fill", "mongodb", store.spool, str(STORED))
    # Caps that are counted and never reached.
    caps = "".join(f" cap_{group}_{window} = 100000;"
                   for window in ("hour", "day") for group in
                   ("sender", "client", "domain", "tenant", "all"))
    with plans.record(server) as seen, \
            Stack(store=store, capped=True,
                  cloud_settings=f"challenge {{{caps} }}") as stack:
        tour(stack)
        run("bench-registry", "--backend", "mongodb", "--location",
            store.registry, "--measure")
        run("bench-registry", "--backend", "mongodb", "--location",
            store.registry, "--purge", "500")
        run("bench-purge", store.spool, "500", "100",
            TURING_TEST_BACKEND="mongodb")
        names = {index["name"]: index["key"]
                 for database in (store.database, store.spool_database)
                 for collection in database.list_collection_names()
                 for index in database[collection].list_indexes()}
        time.sleep(0.5)
    shapes = {}
    for operation in seen.operations:
        for fault in faults_of(operation):
            shapes.setdefault((fault, operation.collection, operation.kind,
                               operation.filter, operation.sort,
                               operation.plan), operation)
    used = " ".join({operation.plan for operation in seen.operations})
    unused = [name for name, key in names.items()
              if name not in FOREIGN and name != "_id_" and
              "{ " + ", ".join(f"{k}: {int(v)}" for k, v in key.items())
              + " }" not in used]
    with capsys.disabled():
        print(f"\n{server.name}: {len(seen.operations)} operations on stores"
              f" of {STORED} messages,"
              f" {len({o[:4] for o in seen.operations})} different ones, each by"
              " its index but the checks of whole stores and the stream's"
              f" oplog; indexes that none used: {unused}")
    assert len(seen.operations) > 1000
    assert not unused
    assert not shapes, "\n".join(f"{key}: {operation}" for key, operation in
                                 shapes.items())


def test_the_check_sees_what_is_wrong(server):
    import plans  # pylint: disable=import-outside-toplevel
    with plans.record(server) as seen, server.client() as client:
        message = client.turing_plans.message
        message.insert_many([{"n": n} for n in range(300)])
        list(message.find({"x": 1}))
        list(message.find({"_id": {"$exists": True}}, sort=[("n", 1)]))
        client.drop_database("turing_plans")
    found = [set(faults_of(o)) for o in seen.operations if o.kind == "find"]
    assert found[0] == {"reads the whole collection",
                        "reads more than it gives"}
    assert "sorts in memory" in found[1]
