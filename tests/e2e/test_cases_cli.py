"""What both programs say to a wrong command line, and lists that are cut: the
project's own rows, then the collected cases."""
import os
import re
import smtplib
import subprocess

import cases
from harness import DOMAIN, Stack, sample, wait_for

STRANGER = "marie@stranger.example"


def run(stack, program, words):
    conf = stack.cloud_conf if program == "turing-cloud" else stack.agent_conf
    return subprocess.run(
        [stack.program(program), *words, "-c", conf], capture_output=True,
        text=True, timeout=60, check=False,
        # Else libmongoc may speak of a file of another process.
        env=dict(os.environ, MONGOC_DISABLE_SHM="1"))


def hold(stack, count):
    with smtplib.SMTP("127.0.0.1", stack.smtp_port) as client:
        for number in range(count):
            sender = f"p{number}@stranger.example"
            client.sendmail(sender, [f"jean@{DOMAIN}"],
                            sample(sender, f"jean@{DOMAIN}"))
    wait_for(lambda: len(stack.queue("--state", "held", "--json")) >= count,
             20, "held")


AGENT_ROWS = [
    (["queue", "show"], 2, "missing ID"),
    (["queue", "release"], 2, "missing ID"),
    (["queue", "discard"], 2, "missing ID"),
    (["queue", "retry", "--next-hop", "127.0.0.1:25"], 2, "missing ID"),
    (["queue"], 2, "missing command"),
    (["queue", "dance"], 2, "dance"),
    (["queue", "list", "x"], 2, 'takes no "x"'),
    (["queue", "show", "--state", "held", "x"], 2, "takes no --state"),
    (["queue", "discard", "--next-hop", "127.0.0.1:25", "x"], 2,
     "takes no --next-hop"),
    (["queue", "list", "--next-hop", "127.0.0.1:25"], 2,
     "takes no --next-hop"),
    (["queue", "list", "--nonsense"], 2, "takes no --nonsense"),
    (["queue", "list", "--limit"], 2, "--limit"),
    (["queue", "list", "--limit", "0"], 2, "--limit"),
    (["queue", "show", "7"], 2, '"7"'),
    (["store"], 2, "missing command"),
    (["store", "copy"], 2, "missing --to-backend"),
    (["store", "copy", "--to-backend", "sqlite"], 2, "missing --to-location"),
    (["store", "check", "--check"], 2, "takes no --check"),
    (["store", "check", "x"], 2, 'takes no "x"'),
    (["backup"], 2, "missing DIRECTORY"),
    (["backup", "--check", "/x"], 2, "takes no --check"),
    (["restore"], 2, "missing DIRECTORY"),
    (["restore", "a", "b"], 2, 'takes no "b"'),
    (["run", "now"], 2, 'takes no "now"'),
    (["-h"], 0, ""), (["help"], 0, ""), (["version"], 0, ""),
    (["version", "--help"], 0, ""), (["queue", "-h"], 0, ""),
    (["run", "-h"], 0, ""),
]


def test_agent_names_what_is_wrong():
    with Stack() as stack:
        for words, status, text in AGENT_ROWS:
            done = run(stack, "turing-agent", words)
            assert done.returncode == status, (words, done)
            assert text in done.stderr, (words, done)
        hold(stack, 60)
        name_recipient(stack)
        done = run(stack, "turing-agent",
                   ["queue", "list", "--state", "held", "--limit", "7"])
        assert len(done.stdout.splitlines()) == 7
        after = re.fullmatch(r"more: (--after \S+)\n", done.stderr)
        done = run(stack, "turing-agent", [
            "queue", "list", "--state", "held", "--json", "--limit", "1000",
            *after.group(1).split()])
        assert len(done.stdout.splitlines()) == 53 and not done.stderr
        play(stack, cases.load("cli"))


def name_recipient(stack):
    """A recipient that the message has not is told, its own is released."""
    held = stack.queue("--state", "held")[0]
    for command in ("release", "retry", "discard"):
        done = run(stack, "turing-agent", [
            "queue", command, held["id"], "--recipient", f"no@{DOMAIN}"])
        assert done.returncode == 1, done
        assert f"{held['id']}: has no recipient <no@{DOMAIN}>" in done.stderr


def play(stack, found):
    """Each case against tenant acme; the message names those that fail."""
    stack.cloud_cli("tenant", "add", "acme")
    stack.cloud_cli("domain", "add", "acme", "acme.example")
    wrong = []
    for case in found:
        try:
            play_one(stack, case)
        except AssertionError as error:
            wrong.append(f"{case['id']}: {error}")
    assert not wrong, "\n".join(wrong)
    if not found:
        print("cases absent: no cli.jsonl")


def play_one(stack, case):
    given, right = case["in"], case["right"]
    if "in_section_http" in given:
        check_proxies(stack, given["in_section_http"])
        return
    done = run(stack, given["program"], given["argv"])
    said = f"{done.returncode} {done.stderr!r}"
    if "list" in case["sub"]:
        lines = done.stdout.splitlines()
        assert not any("more:" in line for line in lines), said
        assert len(lines) >= 60 or "more: --after" in done.stderr, said
        return
    wanted = right.get("rc", 0)
    assert done.returncode != 0 if wanted == "not 0" \
        else done.returncode == wanted, said
    if "foreign" in case["sub"] and done.returncode:
        assert "is no domain of acme" in done.stderr, said
    if "past" in case["sub"]:
        assert "is past" in done.stderr, said
    if "without" in case["sub"] and given["argv"][:1] == ["queue"]:
        assert "missing ID" in done.stderr, said
    if "belong" in case["sub"]:
        assert any(word in done.stderr for word in given["argv"]
                   if word.startswith("-")), said


def check_proxies(stack, line):
    """What is no network is refused with the line, or believed as one."""
    path = stack.cloud_conf + ".proxies"
    with open(stack.cloud_conf, encoding="utf-8") as file:
        text = file.read()
    with open(path, "w", encoding="utf-8") as out:
        out.write(text.replace("trusted_proxies = []", line, 1))
    done = subprocess.run(
        [stack.program("turing-cloud"), "check-config", "-c", path],
        capture_output=True, text=True, timeout=60, check=False)
    inside = re.search(r'"([^"]*)"', line).group(1)
    if re.fullmatch(r"[0-9a-f:.]+(/\d+)?", inside):
        assert f'trusted_proxies = ["{inside}"]' in done.stdout, done
    else:
        assert done.returncode != 0, done
        assert re.search(r":\d+: http.trusted_proxies: ", done.stderr), done
