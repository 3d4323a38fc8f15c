"""Every write and sync of the agent's commit path made to fail once."""
import os
import re
import smtplib

import pytest

from harness import DOMAIN, sample, transact, wait_for

# strace makes the chosen call of the traced process fail: the kernel's own
# answer, seen by SQLite and by the agent alike.
CALLS = [("fdatasync", "EIO"), ("fsync", "EIO"), ("pwrite64", "EIO"),
         ("pwrite64", "ENOSPC"), ("rename", "EIO"), ("ftruncate", "EIO"),
         ("write_file", "ENOSPC")]
LARGE = 300 * 1024
MAXIMUM = int(os.environ.get("TURING_FAULT_POINTS", "12"))


def inject(call, error, nth):
    if call == "write_file":
        # Large bodies are written with write(2), as sockets and logs are not.
        call = "write"
    return ["strace", "-f", "-qq", "-o", "/dev/null", "-e",
            f"trace={call}", "-e", f"inject={call}:error={error}:when={nth}"]


def send_some(stack, round_name):
    """Small and large mails; gives what was acknowledged."""
    acknowledged, replies = [], []
    for number in range(4):
        recipient = f"{round_name}-{number}@{DOMAIN}"
        size = LARGE if number == 2 else 100
        data = sample("a@stranger.example", recipient, "fault",
                      ("x" * 70 + "\r\n") * (size // 72 + 1),
                      headers="List-Id: <x>\r\n")
        try:
            with smtplib.SMTP("127.0.0.1", stack.smtp_port,
                              timeout=30) as client:
                client.ehlo("mx.example")
                code, text = transact(client, "a@stranger.example",
                                      [recipient], data)
        except (OSError, smtplib.SMTPException) as error:
            replies.append(str(error))
            continue
        replies.append(code)
        if code == 250:
            acknowledged.append((recipient, data))
        else:
            assert 400 <= code < 500, (code, text)
    return acknowledged, replies


def start_faulty(stack, call, error, nth):
    stack.agent.kill()
    stack.start_agent(prefix=inject(call, error, nth), wait=False)
    try:
        wait_for(lambda: stack.agent.gone() or stack.probe_recipient() == 250,
                 60, "agent starts or gives up", 0.1)
    except AssertionError:
        pass


def restart_clean(stack):
    stack.agent.kill()
    stack.start_agent()
    stack.wait_policy()


@pytest.mark.parametrize("call,error", CALLS)
def test_no_250_for_what_is_not_stored(stack, capsys, call, error):
    everything, failed = [], 0
    for nth in range(1, MAXIMUM + 1):
        start_faulty(stack, call, error, nth)
        got, replies = send_some(stack, f"{call.replace('_', '-')}{nth}")
        failed += any(code != 250 for code in replies)
        everything += got
        kill_tracee(stack)
        restart_clean(stack)
    stored = {r["address"]: m for m in stack.queue()
              for r in m["recipients"]}
    lost = [r for r, _ in everything if r not in stored]
    with capsys.disabled():
        print(f"\n{call} {error} at 1..{MAXIMUM}: rounds with a refusal"
              f" {failed}, acknowledged {len(everything)}, lost {len(lost)}")
    assert not lost
    stack.agent_cli("queue", "release", *{stored[r]["id"]
                                          for r, _ in everything})
    for recipient, data in everything:
        got = stack.wait_delivered(recipient)
        assert len(got) == 1 and got[0].endswith(data)


def kill_tracee(stack):
    """strace detaches when it dies: its agent must die as well."""
    if stack.agent.gone():
        return
    children = f"/proc/{stack.agent.child.pid}/task/" \
               f"{stack.agent.child.pid}/children"
    with open(children, encoding="ascii") as listing:
        for pid in re.findall(r"\d+", listing.read()):
            os.kill(int(pid), 9)


def test_full_disk(tmp_path):
    """A file system of 40 MB filled to the last block: 4xx, then it goes
    on."""
    from harness import Stack
    import subprocess
    place = tmp_path / "small"
    place.mkdir()
    done = subprocess.run(["mount", "-t", "tmpfs", "-o", "size=40m", "none",
                           str(place)], capture_output=True, check=False)
    if done.returncode != 0:
        pytest.skip("mounting needs root: " + done.stderr.decode())
    try:
        with Stack() as stack:
            stack.agent.stop()
            stack.agent_folder = str(place / "spool")
            stack.agent_settings = "spool { min_free = 0 }"
            stack.write_configuration()
            stack.start_agent()
            stack.wait_policy()
            fill_and_recover(stack)
    finally:
        subprocess.run(["umount", "-l", str(place)], check=False)


def fill_and_recover(stack):
    acknowledged, codes = [], []
    for number in range(300):
        recipient = f"full{number}@{DOMAIN}"
        data = sample("a@stranger.example", recipient, "full",
                      ("x" * 70 + "\r\n") * 4000,
                      headers="List-Id: <x>\r\n")
        code, _ = stack.send("a@stranger.example", recipient, data)
        codes.append(code)
        if code == 250:
            acknowledged.append((recipient, data))
        if codes[-3:] == [codes[-1]] * 3 and codes[-1] != 250:
            break
    assert acknowledged and 400 <= codes[-1] < 500, codes[-5:]
    assert not stack.agent.gone(), "a full disk does not end the agent"
    half = acknowledged[:len(acknowledged) // 2]
    by_recipient = {r["address"]: m["id"] for m in
                    stack.queue() for r in m["recipients"]}
    for recipient, data in half:
        stack.agent_cli("queue", "release", by_recipient[recipient])
    for recipient, data in half:
        assert stack.wait_delivered(recipient, 1, 30)[0].endswith(data)
    wait_for(lambda: stack.send("a@stranger.example", f"again@{DOMAIN}",
                                sample("a@stranger.example", f"again@{DOMAIN}"
                                       ))[0] == 250, 30, "takes mail again")
