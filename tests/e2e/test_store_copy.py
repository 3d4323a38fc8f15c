"""Stores on the move: copied between SQLite and MongoDB and back, killed
meanwhile; saved beside running daemons and put back."""
import os
import re
import shutil
import smtplib
import subprocess
import threading
import time

import pytest

import stores
from harness import (DOMAIN, Stack, same_after_trace, sample, transact,
                     wait_for)

# They name the backends of both sides themselves.
pytestmark = pytest.mark.sqlite

MESSAGES = int(os.environ.get("TURING_COPY_MESSAGES", "5000"))
SESSIONS = 4
# No UTF-8. Over what a document of MongoDB holds; over a megabyte, which is
# carried in memory; just over what goes to a file.
BODY = b"\x01\xff\xfe caf\xe9\r\nline\r\n"
LINE = bytes(byte for byte in range(1, 256) if byte not in b"\r\n") + b"\r\n"
LARGE = {"huge": LINE * 78000, "large": LINE * 4200, "file": LINE * 400}


@pytest.fixture(name="stack")
def sqlite_stack():
    with Stack(store="sqlite") as running:
        yield running


@pytest.fixture(name="mongo")
def mongodb_store():
    store = stores.MongodbStore()
    yield store
    store.close()


def mail(name, body=BODY):
    return sample(f"{name}@else.example", f"{name}@{DOMAIN}", name,
                  headers="List-Id: <load>\r\n") + body


def send_some(stack, names, refused):
    with smtplib.SMTP("127.0.0.1", stack.smtp_port, timeout=60) as client:
        client.ehlo("mx.customer.example")
        for name in names:
            code, text = transact(client, f"{name}@else.example",
                                  [f"{name}@{DOMAIN}", f"also@{DOMAIN}"],
                                  mail(name))
            if code != 250:
                refused.append((name, code, text))


def fill(stack, count=MESSAGES):
    """Held mail, some of it large; one mail delivered, one discarded."""
    refused = []
    names = [f"m{number}" for number in range(count)]
    threads = [threading.Thread(target=send_some, args=(
        stack, names[number::SESSIONS], refused)) for number in range(SESSIONS)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not refused, refused[:3]
    for name, body in LARGE.items():
        assert stack.send(f"{name}@else.example", f"{name}@{DOMAIN}",
                          mail(name, body))[0] == 250
    ids = {name: find_id(stack, name) for name in ("m0", "m1", "m2")}
    for command, name in (("release", "m0"), ("discard", "m1")):
        stack.agent_cli("queue", command, ids[name])
    stack.wait_delivered(f"m0@{DOMAIN}")
    wait_registered(stack, count + len(LARGE))


def find_id(stack, name):
    page = stack.agent_cli("queue", "list", "--json", "--sender",
                           f"{name}@else.example").stdout
    return re.search(r'"id": ?"([0-9a-f-]+)"', page).group(1)


def wait_registered(stack, count):
    wait_for(lambda: stack.store.count_messages() == count, 60,
             f"{count} messages are registered")


def use(stack, store):
    """The CLI and the daemons take this store from now on."""
    stack.store = store
    stack.write_configuration()


def sqlite_at(stack, name):
    return stores.SqliteStore(os.path.join(stack.folder, name))


def location_of(program, store):
    return store.spool if program == "turing-agent" else store.registry


def digests(stack, program):
    """What "store check" tells: part, count, digest."""
    done = stack.run_cli(program, "store", "check")
    return [line.split() for line in done.stdout.splitlines()[1:]]


def start_copy(stack, program, store):
    conf = stack.cloud_conf if program == "turing-cloud" else stack.agent_conf
    child = subprocess.Popen(
        [stack.program(program), "store", "copy", "-c", conf,
         "--to-backend", store.name, "--to-location", "-"],
        stdin=subprocess.PIPE, stdout=subprocess.PIPE,
        stderr=subprocess.PIPE, text=True)
    child.stdin.write(location_of(program, store) + "\n")
    child.stdin.flush()
    return child


def copy(stack, program, store):
    """One run to its end."""
    start_copy(stack, program, store).communicate(timeout=300)


def copy_killed(stack, program, store):
    """Killed again and again, ever later, until one run comes to its end;
    gives how often it was killed."""
    pause, kills = 0.05, 0
    while True:
        child = start_copy(stack, program, store)
        try:
            out, err = child.communicate(timeout=pause)
        except subprocess.TimeoutExpired:
            child.kill()
            child.communicate()
            kills += 1
            pause *= 1.6
            continue
        assert child.returncode == 0, out + err
        assert "DIFFERENT" not in out
        return kills


def test_a_spool_moves_there_and_back(stack, mongo):
    fill(stack)
    stack.agent.stop()
    first = digests(stack, "turing-agent")
    assert int(first[0][1]) == MESSAGES + len(LARGE)
    child = start_copy(stack, "turing-agent", mongo)
    assert child.stderr.readline().startswith("copying from SQLite")
    child.terminate()
    text = child.communicate(timeout=30)[1]
    assert child.returncode == 75 and "run it again" in text
    start = time.monotonic()
    kills = copy_killed(stack, "turing-agent", mongo)
    print(f"to MongoDB: {kills} kills, {time.monotonic() - start:.1f} s")
    use(stack, mongo)
    assert digests(stack, "turing-agent") == first
    back = sqlite_at(stack, "back")
    start = time.monotonic()
    more_kills = copy_killed(stack, "turing-agent", back)
    print(f"to SQLite: {more_kills} kills, {time.monotonic() - start:.1f} s")
    assert kills > 1 and more_kills > 1
    use(stack, back)
    assert digests(stack, "turing-agent") == first
    stack.start_agent()
    for name, body in LARGE.items():
        stack.agent_cli("queue", "release", find_id(stack, name))
        stored = stack.wait_delivered(f"{name}@{DOMAIN}", seconds=60)[0]
        assert stored.endswith(body)
    assert len(stack.delivered(f"m0@{DOMAIN}")) == 1
    assert not stack.delivered(f"m1@{DOMAIN}")


def test_a_registry_moves_there_and_back(stack, mongo):
    sender = "human@else.example"
    data = sample(sender, f"bob@{DOMAIN}")
    fill(stack, 600)
    assert stack.send(sender, f"bob@{DOMAIN}", data)[0] == 250
    link = stack.challenge_link(sender)
    stack.cloud_cli("entry", "add", "customer", "black", "domain",
                    "black.example", "--note", "caf\u00e9")
    # Beside the running cloud; then what is still missing.
    copy(stack, "turing-cloud", mongo)
    stack.agent.stop()
    stack.cloud.stop()
    first = digests(stack, "turing-cloud")
    copy_killed(stack, "turing-cloud", mongo)
    use(stack, mongo)
    assert digests(stack, "turing-cloud") == first
    back = sqlite_at(stack, "back")
    kills = copy_killed(stack, "turing-cloud", back)
    assert kills > 0
    back.spool = os.path.join(stack.folder, "agent")
    use(stack, back)
    assert digests(stack, "turing-cloud") == first
    stack.start_cloud()
    stack.start_agent()
    status, page = stack.solve(sender, link)
    assert status == 200, page
    stored = stack.wait_delivered(f"bob@{DOMAIN}")
    assert same_after_trace(stored[0], data)


def test_a_copy_from_a_running_agent_is_refused(stack):
    done = stack.agent_cli("store", "copy", "--to-backend", "sqlite",
                           "--to-location",
                           os.path.join(stack.folder, "x"), check=False)
    assert done.returncode == 1
    assert "stop the agent" in done.stderr


@pytest.mark.parametrize("program", ["turing-agent", "turing-cloud"])
def test_a_password_is_never_told(stack, program):
    stack.agent.stop()
    uri = "mongodb://user:pa55word@127.0.0.1:1/x?serverSelectionTimeoutMS=900"
    conf = stack.cloud_conf if program == "turing-cloud" else stack.agent_conf
    child = subprocess.Popen(
        [stack.program(program), "store", "copy", "-c", conf,
         "--to-backend", "mongodb", "--to-location", uri],
        stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)

    def shown():
        with open(f"/proc/{child.pid}/cmdline", "rb") as arguments:
            return arguments.read()
    wait_for(lambda: b"pa55word" not in shown(), 20, "it is hidden")
    out, err = child.communicate(timeout=60)
    assert child.returncode in (1, 75), err
    assert "pa55word" not in out + err
    for wrong in (["store", "copy", f"--to-locatoin={uri}"],
                  ["store", "copy", uri], ["store", "check", uri],
                  ["backup", uri, uri], ["restore", uri, uri],
                  [f"-l{uri}"], [uri], ["check-config", uri]):
        done = stack.run_cli(program, *wrong, check=False)
        assert done.returncode == 2
        assert "pa55word" not in done.stdout + done.stderr


def test_a_backup_of_mongodb_is_refused(stack, mongo):
    stack.agent.stop()
    stack.cloud.stop()
    use(stack, mongo)
    for program in ("turing-agent", "turing-cloud"):
        done = stack.run_cli(program, "backup",
                             os.path.join(stack.folder, "saved"), check=False)
        assert done.returncode == 1
        assert "mongodump" in done.stderr and "store copy" in done.stderr


def hold(stack, name):
    assert stack.send(f"{name}@else.example", f"{name}@{DOMAIN}",
                      mail(name))[0] == 250
    return find_id(stack, name)


def put_back(stack, program, directory):
    """What a restore tells: part -> (put back, there)."""
    done = stack.run_cli(program, "restore", directory)
    rows = [line.split() for line in done.stdout.splitlines()[1:]]
    return {row[0]: (int(row[1]), int(row[2])) for row in rows}


@pytest.mark.parametrize("backend", ["sqlite", "mongodb"])
def test_a_spool_is_put_back(stack, mongo, backend):
    names = [f"r{number}" for number in range(20)]
    ids = {name: hold(stack, name) for name in names}
    saved = os.path.join(stack.folder, "saved")
    stack.agent_cli("backup", saved)
    stack.agent_cli("restore", saved, "--check")
    # Beside the agent, with everything there: nothing comes twice.
    stack.agent_cli("queue", "release", ids["r0"])
    stack.wait_delivered(f"r0@{DOMAIN}")
    assert put_back(stack, "turing-agent", saved)["messages"] == (0, 20)
    # The spool is lost; the agent has begun a new one meanwhile.
    stack.agent.kill()
    if backend == "mongodb":
        settings = mongo.agent_settings()
        stack.store.agent_settings = lambda: settings
        stack.write_configuration()
    else:
        shutil.rmtree(stack.store.spool)
    stack.start_agent()
    stack.wait_policy()
    hold(stack, "late")
    assert put_back(stack, "turing-agent", saved)["messages"] == (20, 0)
    assert put_back(stack, "turing-agent", saved)["messages"] == (0, 20)
    for name in ("r1", "late"):
        stack.agent_cli("queue", "release", find_id(stack, name))
        stored = stack.wait_delivered(f"{name}@{DOMAIN}")
        assert len(stored) == 1 and stored[0].endswith(
            BODY)
    assert len(stack.delivered(f"r0@{DOMAIN}")) == 1


def test_a_registry_is_put_back(stack):
    hold(stack, "before")
    sender = "human@else.example"
    assert stack.send(sender, f"bob@{DOMAIN}")[0] == 250
    link = stack.challenge_link(sender)
    saved = os.path.join(stack.folder, "saved")
    wait_registered(stack, 2)
    stack.cloud_cli("backup", saved)
    stack.cloud_cli("restore", saved, "--check")
    # Decided after the backup, and read by the agent.
    stack.cloud_cli("entry", "add", "customer", "white", "address",
                    "before@else.example")
    stack.wait_delivered(f"before@{DOMAIN}")
    stack.cloud.kill()
    shutil.rmtree(stack.store.registry)
    found = put_back(stack, "turing-cloud", saved)
    assert found["messages"] == (2, 0) and found["tenants"] == (1, 0)
    assert found["secrets"][0] >= 3
    stack.start_cloud()
    # The link is known, and the agent sees decisions made from now on.
    status, page = stack.solve(sender, link)
    assert status == 200, page
    stack.wait_delivered(f"bob@{DOMAIN}")
    hold(stack, "after")
    wait_registered(stack, 3)
    stack.cloud_cli("entry", "add", "customer", "white", "address",
                    "after@else.example")
    stack.wait_delivered(f"after@{DOMAIN}")
    assert len(stack.delivered(f"before@{DOMAIN}")) == 1
    assert put_back(stack, "turing-cloud", saved)["messages"] == (0, 2)
