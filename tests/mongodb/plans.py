"""How a mongod served what it was asked: read from its log, where it writes
every operation with its plan once it is told to.

    with record(server) as seen:   # a server of MongodbServer("mongod")
        ...
    seen.operations                # a list of Operation
"""
import collections
import contextlib
import json
import os

Operation = collections.namedtuple(
    "Operation", "collection kind filter sort plan keys documents found"
    " sorted_in_memory index")


class Seen:
    operations = ()


def shape(query):
    """The fields of a filter with their operators: "_id:$in tenant"."""
    parts = []
    for key, value in query.items():
        if key in ("$or", "$and"):
            parts.append(key + "(" + "|".join(shape(v) for v in value) + ")")
        elif isinstance(value, dict):
            operators = [k for k in value if k.startswith("$") and
                         k not in ("$binary", "$uuid", "$date", "$oid")]
            parts.append(key + (":" + ",".join(operators) if operators
                                else ""))
        else:
            parts.append(key)
    return " ".join(parts)


def read_operation(attributes):
    command = attributes.get("command") or {}
    if "getMore" in command:
        command = attributes.get("originatingCommand", command)
    kind, query = attributes["type"], command.get("q")
    if query is None:
        kind = next(iter(command), "")
        query = command.get("filter", command.get("query"))
        pipeline = command.get("pipeline") or [{}]
        if query is None and isinstance(pipeline[0], dict):
            query = pipeline[0].get("$match")
    plan = attributes["planSummary"]
    return Operation(
        attributes["ns"].split(".", 1)[1], kind, shape(query or {}),
        json.dumps(command["sort"]) if command.get("sort") else "", plan,
        attributes.get("keysExamined", 0), attributes.get("docsExamined", 0),
        sum(attributes.get(name, 0)
            for name in ("nreturned", "nMatched", "ndeleted")),
        bool(attributes.get("hasSortStage")), plan.partition(" ")[2])


@contextlib.contextmanager
def record(server, prefix="turing_"):
    """What is asked of databases of that prefix while the body runs."""
    log = server.processes[0].log
    start = os.path.getsize(log)
    seen = Seen()
    with server.client() as client:
        client.admin.command({"profile": 0, "slowms": -1})
        yield seen
        client.admin.command({"profile": 0, "slowms": 10000})
    seen.operations = []
    with open(log, encoding="utf-8", errors="replace") as lines:
        lines.seek(start)
        for line in lines:
            if '"Slow query"' not in line:
                continue
            attributes = json.loads(line)["attr"]
            if attributes.get("ns", "").startswith(prefix) and \
                    "planSummary" in attributes:
                seen.operations.append(read_operation(attributes))
