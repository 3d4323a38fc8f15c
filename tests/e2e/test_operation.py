"""What an admin meets: configuration, health, CLI, graceful stop."""
import os
import re
import signal
import smtplib
import socket
import subprocess

import pytest

import stores
from harness import BUILD, DOMAIN, ROOT, Process, Stack, free_port, \
    sample, wait_for

JEAN = f"jean@{DOMAIN}"


def program(name, *arguments, **options):
    return subprocess.run([os.path.join(BUILD, name), *arguments],
                          capture_output=True, text=True, timeout=60,
                          **options)


@pytest.mark.parametrize("name", ["turing-agent", "turing-cloud"])
def test_help_and_version(name):
    done = program(name, "--help")
    assert done.returncode == 0 and "check-config" in done.stdout
    done = program(name, "--version")
    assert done.returncode == 0 and re.search(r"\d+\.\d+\.\d+", done.stdout)
    for arguments in ([], ["nonsense"], ["run", "--nonsense"]):
        done = program(name, *arguments)
        assert done.returncode == 2 and done.stderr, arguments
    done = program(name, "run", "-c", "/nonexistent/file.conf")
    assert done.returncode != 0 and "/nonexistent/file.conf" in done.stderr


KEY = "a" * 8 + "_" + "b" * 43
AGENT = """agent {{ name = "a" }}
spool {{ location = "{place}" }}
cloud {{ url = "http://127.0.0.1:1", key = "tk_{key}" }}
policy {{ authserv_id = "mx" }}
{extra}
"""


@pytest.mark.parametrize("extra,line,word", [
    ("smtp { lisen = \"127.0.0.1:25\" }", 5, "smtp.lisen"),
    ("smtp { listen = \"nonsense\" }", None, "smtp.listen"),
    ("smtp { max_recipients = 0 }", 5, "smtp.max_recipients"),
    ("smtp { max_recipients = many }", 5, "smtp.max_recipients"),
    ("queue { retry_min = 5 parsecs }", 5, "queue.retry_min"),
    ("agent { name = \"b\" }", 5, "agent.name"),
    ("cloud { url = \"http://cloud.example/\" }", None, "cloud.url"),
    ("spool { backend = \"oracle\" }", 5, "spool.backend"),
    ("smtp {", None, ""),
])
def test_wrong_configuration(tmp_path, extra, line, word):
    path = tmp_path / "agent.conf"
    path.touch(0o600)
    path.write_text(AGENT.format(place=tmp_path / "spool", extra=extra,
                                 key=KEY))
    for command in ("check-config", "run"):
        done = program("turing-agent", command, "-c", str(path))
        assert done.returncode == 1, done.stdout + done.stderr
        assert word in done.stderr
        if line:
            assert f"agent.conf:{line}:" in done.stderr
    assert not (tmp_path / "spool").exists()


def test_authentication_must_be_switched_off_in_words(tmp_path):
    path = tmp_path / "agent.conf"
    text = AGENT.format(place=tmp_path, key=KEY, extra=f"""
smtp {{ listen = "127.0.0.1:{free_port()}" }}
metrics {{ listen = "127.0.0.1:{free_port()}" }}
""").replace("authserv_id = \"mx\"", "")
    path.touch(0o600)
    path.write_text(text)
    done = program("turing-agent", "check-config", "-c", str(path))
    assert done.returncode == 1
    assert "challenge_unauthenticated_senders" in done.stderr
    path.write_text(text.replace(
        "policy {", "policy { challenge_unauthenticated_senders = yes"))
    assert program("turing-agent", "check-config", "-c",
                   str(path)).returncode == 0


def test_check_config_says_what_will_fail(tmp_path):
    """Files, keys and ports; a daemon that runs has its ports itself."""
    pem = tmp_path / "ca.pem"
    pem.write_text("-----BEGIN CERTIFICATE-----\n")
    secret = tmp_path / "key"
    secret.touch(0o600)
    secret.write_text("tk_" + KEY + "\n")
    text = AGENT.format(place=tmp_path, extra="", key=KEY).replace(
        f'key = "tk_{KEY}"', "CLOUD") + f"""
queue {{ give_up = 48h }}
smtp {{ listen = "127.0.0.1:{free_port()}" }}
metrics {{ listen = "127.0.0.1:{free_port()}" }}
"""
    path = tmp_path / "agent.conf"
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        for cloud, mode, said in [
                (f'key_file = "{secret}"', 0o644, None),
                (f'key = "tk_{KEY}"', 0o640, None),
                (f'key = "tk_{KEY}"', 0o644, "everybody can read"),
                ('key = "tk_short"', 0o600, "cloud.key"),
                (f'key_file = "{secret}x"', 0o600, "cloud.key_file"),
                (f'key_file = "{secret}", ca_file = "/none.pem"', 0o600,
                 "cloud.ca_file"),
                (f'key_file = "{secret}", ca_file = "{secret}"', 0o600,
                 "no certificate"),
                (f'key_file = "{secret}", ca_file = "{pem}"', 0o600, None),
                ("https", 0o600, None), ("http", 0o600, "must be https"),
                ("port", 0o600, f"smtp.listen: 127.0.0.1 port {port}")]:
            wrong = text.replace("CLOUD", cloud if "=" in cloud else
                                 f'key_file = "{secret}"')
            if cloud in ("http", "https"):
                wrong = wrong.replace("http://127.0.0.1:1",
                                      cloud + "://cloud.example")
            if cloud == "port":
                wrong = re.sub(r'smtp \{ listen = "[^"]*"',
                               f'smtp {{ listen = "127.0.0.1:{port}"', wrong)
            path.write_text(wrong)
            path.chmod(mode)
            done = program("turing-agent", "check-config", "-c", str(path))
            assert done.returncode == (1 if said else 0), (cloud, done)
            assert (said or "") in done.stderr, (cloud, done)
            if not said:
                assert "queue.give_up = 48h" in done.stdout
                assert KEY not in done.stdout
    secret.chmod(0o644)
    path.write_text(text.replace("CLOUD", f'key_file = "{secret}"'))
    for command in ("check-config", "run"):
        done = program("turing-agent", command, "-c", str(path))
        assert done.returncode == 1 and "everybody can read" in done.stderr


def test_check_config_beside_the_daemon(stack):
    """The ports are its own; with another's configuration they are taken."""
    for name, conf in (("turing-agent", stack.agent_conf),
                       ("turing-cloud", stack.cloud_conf)):
        done = program(name, "check-config", "-c", conf)
        assert done.returncode == 0, done
        assert "that runs" in done.stderr, done


def test_port_taken_names_it(stack):
    for name, conf, port in (("turing-agent", stack.agent_conf,
                              stack.smtp_port),
                             ("turing-cloud", stack.cloud_conf,
                              stack.cloud_port)):
        text = open(conf, encoding="utf-8").read().replace(
            '"agent-1"', '"agent-2"').replace(
                f":{stack.metrics_port}", f":{free_port()}")
        # MongoDB's is for both.
        if stack.store.name == "sqlite":
            text = text.replace(stack.store.spool, stack.store.spool + "2")
        second = conf + "2"
        with open(second, "w", encoding="utf-8") as out:
            out.write(text)
        os.chmod(second, 0o600)
        done = program(name, "run", "-c", second)
        assert done.returncode != 0 and str(port) in done.stderr, done.stderr


@pytest.mark.sqlite
def test_one_agent_a_spool(stack):
    done = program("turing-agent", "run", "-c", stack.agent_conf)
    assert done.returncode != 0 and stack.store.spool in done.stderr


def test_health_ready_metrics(stack):
    for port in (stack.metrics_port, *stack.cloud_ports):
        for path in ("/healthz", "/readyz"):
            assert stack.get(f"http://127.0.0.1:{port}{path}")[0] == 200
        status, headers, text = stack.get(f"http://127.0.0.1:{port}/metrics")
        assert status == 200 and headers["Content-Type"].startswith(
            "text/plain")
        for line in text.decode().splitlines():
            assert re.match(r"#|[a-z_]+(\{.*\})? -?[0-9.e+-]+$", line), line
        assert stack.get(f"http://127.0.0.1:{port}/nothing")[0] == 404
        status, headers, _ = stack.get(
            f"http://127.0.0.1:{port}/healthz", "DELETE")
        assert status == 405 and "GET" in headers["Allow"]


@pytest.mark.parametrize("sanitizer", ["address-undefined", "thread"])
def test_sanitized_daemons_stop_clean(sanitizer):
    """The whole path under the sanitizers, then SIGTERM: status 0 and no
    report in the logs."""
    build = f"{BUILD}-{sanitizer}"
    with Stack(build=build) as stack:
        for number in range(20):
            sender = f"s{number}@stranger.example"
            assert stack.send(sender, f"r{number}@{DOMAIN}")[0] == 250
        big = sample("s0@stranger.example", JEAN, "big", "y" * 500 * 1024)
        assert stack.send("s0@stranger.example", JEAN, big)[0] == 250
        for number in range(20):
            assert stack.solve(f"s{number}@stranger.example")[0] == 200
        for number in range(20):
            stack.wait_delivered(f"r{number}@{DOMAIN}", 1, 60)
        stack.wait_delivered(JEAN, 1, 60)
        agent, cloud, sandbox = stack.agent, stack.cloud, stack.sandbox
        assert agent.stop() == 0
        assert cloud.stop() == 0
        assert sandbox.stop() == 0
        for text in (agent.text(), cloud.text(), sandbox.text()):
            assert "Sanitizer" not in text and "runtime error" not in text, \
                text[-4000:]


def test_graceful_stop_answers_what_is_under_way(stack):
    client = smtplib.SMTP("127.0.0.1", stack.smtp_port, timeout=30)
    client.ehlo("x.example")
    client.mail("a@stranger.example")
    client.rcpt(JEAN)
    assert client.docmd("DATA")[0] == 354
    stack.agent.child.send_signal(signal.SIGTERM)
    client.send(sample("a@stranger.example", JEAN) + b".\r\n")
    code = client.getreply()[0]
    assert code in (250, 421, 451)
    assert stack.agent.stop() == 0
    stack.start_agent()
    assert len(stack.queue()) == (1 if code == 250 else 0)


def test_queue_commands(stack):
    for number in range(3):
        stack.send(f"s{number}@stranger.example", f"r{number}@{DOMAIN}",
                   sample(f"s{number}@stranger.example",
                          f"r{number}@{DOMAIN}", f"subject {number}",
                          headers="List-Id: <x>\r\n"))
    mails = {m["sender"]: m["id"] for m in stack.queue()}
    assert len(mails) == 3
    wait_for(lambda: stack.metric("agent", "turing_agent_registered_total")
             == 3, 20, "registered")
    shown = stack.agent_cli("queue", "show",
                            mails["s0@stranger.example"]).stdout
    assert "subject 0" in shown and "held" in shown and "list" in shown
    assert "policy" in shown and "no entry for this sender" in shown
    stack.agent_cli("queue", "release", mails["s0@stranger.example"])
    stack.agent_cli("queue", "discard", mails["s1@stranger.example"])
    stack.wait_delivered(f"r0@{DOMAIN}")
    states = {m["sender"]: m["recipients"][0]["state"]
              for m in stack.queue()}
    wait_for(lambda: {m["sender"]: m["recipients"][0]["state"] for m in
                      stack.queue()}["s0@stranger.example"] == "delivered",
             20, "delivered")
    assert states["s1@stranger.example"] == "discarded"
    assert states["s2@stranger.example"] == "held"
    released = {m["sender"]: m["recipients"][0] for m in
                stack.queue()}["s0@stranger.example"]
    assert released["by"] == "admin"
    assert [line.split(" ", 1)[1].split(":")[0]
            for line in released["history"]] == ["held policy",
                                                 "queued admin"]
    again = stack.agent_cli("queue", "release",
                            mails["s1@stranger.example"], check=False)
    assert again.returncode == 1 and "discarded" in again.stderr
    for wrong in ("nonsense", "00000000-0000-7000-8000-000000000000"):
        done = stack.agent_cli("queue", "show", wrong, check=False)
        assert done.returncode != 0 and done.stderr
    # The cloud hears of it.
    wait_for(lambda: sum(
        r["state"] in ("discarded", "delivered") for m in stack.messages()
        for r in m["recipients"].values()) == 2, 20,
        "the cloud knows the ends")


def test_memory_does_not_grow_with_a_message(stack):
    def peak():
        with open(f"/proc/{stack.agent.child.pid}/status",
                  encoding="ascii") as status:
            return int(re.search(r"VmHWM:\s+(\d+)", status.read()).group(1))
    stack.send("a@stranger.example", JEAN)
    before = peak()
    mail = sample("a@stranger.example", JEAN, "large",
                  ("w" * 998 + "\r\n") * 40000, headers="List-Id: <x>\r\n")
    assert stack.send("a@stranger.example", JEAN, mail)[0] == 250
    grown = peak() - before
    # MongoDB's driver has buffers of its own, whatever the mail's size.
    allowed = 12 if stack.store.name == "mongodb" else 8
    assert grown < allowed * 1024, f"{grown} KiB more for a mail of 40 MB"
    large = [m for m in stack.queue() if m["size"] > 1000000]
    stack.agent_cli("queue", "release", large[0]["id"])
    assert stack.wait_delivered(JEAN, 1, 60)[0].endswith(mail)
    assert peak() - before < 16 * 1024


def test_log_lines_carry_the_message(stack):
    stack.send("a@stranger.example", JEAN)
    stack.solve("a@stranger.example")
    stack.wait_delivered(JEAN)
    number = stack.queue()[0]["id"]
    for daemon in (stack.agent, stack.cloud):
        assert re.search(rf"^\S+Z info {number}: ", daemon.text(), re.M)


@pytest.mark.sqlite
def test_demo_names_a_taken_port(tmp_path):
    port = free_port()
    with socket.create_server(("127.0.0.1", port)):
        done = subprocess.run(
            ["/usr/bin/python3", os.path.join(ROOT, "ops", "demo"), "--build",
             BUILD, "--var", str(tmp_path)], capture_output=True, text=True,
            timeout=60, env=dict(os.environ, AGENT_SMTP_PORT=str(port)))
    assert done.returncode == 1
    assert str(port) in done.stderr and "AGENT_SMTP_PORT" in done.stderr


@pytest.mark.sqlite
def test_demo_runs_twice(tmp_path):
    ports = {name: str(free_port()) for name in (
        "AGENT_SMTP_PORT", "NEXT_HOP_PORT", "AGENT_METRICS_PORT",
        "CLOUD_PORT", "BOUNCE_PORT")}
    log = str(tmp_path / "demo.log")
    demo = Process(["/usr/bin/python3", "-u",
                    os.path.join(ROOT, "ops", "demo"), "--build", BUILD,
                    "--var", str(tmp_path / "var")], log, None, ports)
    for turn in (1, 2):
        open(log, "w", encoding="utf-8").close()
        demo.start()
        wait_for(lambda: "/c/" in demo.text() or "passed" in demo.text()
                 or demo.gone(), 60, "the demo shows the page")
        assert not demo.gone(), demo.text()
        if turn == 1:
            link = re.search(r"http://\S+/c/\S+", demo.text()).group(0)
            solve_by_hand(tmp_path, link)
            wait_for(lambda: "elivered" in demo.text(), 30, "delivery told")
        else:
            assert "passed" in demo.text()
        assert demo.stop(signal.SIGINT) == 0


def solve_by_hand(tmp_path, link):
    stack = Stack(store=stores.SqliteStore(str(tmp_path / "var")))
    assert stack.solve(stack.challenges()[0]["sender"], link)[0] == 200
