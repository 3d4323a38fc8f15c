"""Every write and sync of the agent's commit path made to fail once."""
import contextlib
import errno
import mmap
import os
import smtplib
import struct
import subprocess

import pytest

from harness import BUILD, DOMAIN, Stack, sample, transact, wait_for

pytestmark = pytest.mark.sqlite  # the faults of files
SHIM = os.path.join(BUILD, "tests", "fault", "fault-shim.so")
CALLS = [("fdatasync", "EIO"), ("fsync", "EIO"), ("pwrite", "EIO"),
         ("pwrite", "ENOSPC"), ("write", "EIO"), ("write", "ENOSPC"),
         ("rename", "EIO")]
LARGE = 300 * 1024
# Each call of a round is made to fail in turn, up to this many.
MAXIMUM = int(os.environ.get("TURING_FAULT_POINTS", "150"))


class Faults:
    """The control page that the preloaded library looks at."""
    FORMAT = "16siii256s"  # followed by the flag that the library sets

    def __init__(self, folder, path):
        self.folder = folder.encode() + b"/"
        with open(path, "wb+") as page:
            page.write(bytes(4096))
            page.flush()
            self.page = mmap.mmap(page.fileno(), 4096)
        self.environment = {"LD_PRELOAD": SHIM, "TURING_FAULT_CONTROL": path}

    def arm(self, call, error, nth):
        self.page[:struct.calcsize(self.FORMAT)] = struct.pack(
            self.FORMAT, call.encode(), getattr(errno, error), nth, 0,
            self.folder)

    def forget_library(self):
        struct.pack_into("i", self.page, struct.calcsize(self.FORMAT), 0)

    def check_library(self):
        """The loader only warns of a library that it cannot preload, and
        nothing would ever fail then."""
        loaded, = struct.unpack_from("i", self.page,
                                     struct.calcsize(self.FORMAT))
        assert loaded, f"not preloaded: {SHIM} (make fault-shim builds it)"

    def disarm(self):
        """Whether it fired."""
        fired = struct.unpack_from(self.FORMAT, self.page)[3]
        self.arm("none", "EIO", 0)
        return fired == 1


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


@pytest.mark.parametrize("call,error", CALLS)
def test_no_250_for_what_is_not_stored(stack, tmp_path, capsys, call, error):
    faults = Faults(stack.store.spool, str(tmp_path / "control"))
    restart(stack, faults)
    everything, refused, ended, nth = [], 0, 0, 0
    while nth < MAXIMUM:
        nth += 1
        faults.arm(call, error, nth)
        got, replies = send_some(stack, f"{call}{nth}")
        everything += got
        if not faults.disarm():
            break
        refused += any(code != 250 for code in replies)
        wait_for(lambda: stack.agent.gone()
                 or stack.probe_recipient() == 250, 20, "ends or goes on")
        if stack.agent.gone():
            ended += 1
            assert stack.agent.child.returncode == 75
            restart(stack, faults)
    else:
        # Cut short; what a round without a fault leaves is compared then.
        everything += send_some(stack, f"{call}-none")[0]
    stored = {r["address"]: m for m in stack.queue()
              for r in m["recipients"]}
    lost = [r for r, _ in everything if r not in stored]
    with capsys.disabled():
        print(f"\n{call} {error} at each of {nth - 1} calls: rounds with a"
              f" refusal {refused}, agent ended {ended} times, acknowledged"
              f" {len(everything)}, lost {len(lost)}")
    assert nth > 1, "the call was made at least once"
    assert everything and not lost
    restart(stack, faults)
    ids = sorted({stored[r]["id"] for r, _ in everything})
    for start in range(0, len(ids), 100):
        stack.agent_cli("queue", "release", *ids[start:start + 100])
    for recipient, data in everything:
        got = stack.wait_delivered(recipient)
        assert len(got) == 1 and got[0].endswith(data)


def restart(stack, faults):
    stack.agent.kill()
    faults.forget_library()
    stack.start_agent(environment=faults.environment)
    faults.check_library()
    stack.wait_policy()


def test_full_disk(tmp_path):
    """A file system of 40 MB filled to the last block: 4xx; what was taken is
    released and delivered nevertheless, and that makes room for new mail."""
    place = tmp_path / "small"
    place.mkdir()
    done = subprocess.run(["mount", "-t", "tmpfs", "-o", "size=40m", "none",
                           str(place)], capture_output=True, check=False)
    if done.returncode != 0:
        pytest.skip("mounting needs root: " + done.stderr.decode())
    try:
        with Stack() as stack:
            stack.agent.stop()
            stack.store.spool = str(place / "spool")
            stack.agent_settings = "spool { min_free = 0 }"
            stack.write_configuration()
            stack.start_agent()
            stack.wait_policy()
            fill_and_recover(stack, place)
    finally:
        subprocess.run(["umount", "-l", str(place)], check=False)


def released(stack, name):
    """Whether it is; what asks for a block that no delivery has given back
    yet says so, with the status that asks to try again."""
    done = stack.agent_cli("queue", "release", name, check=False)
    assert done.returncode in (0, 75), done.stderr
    if done.returncode == 75:
        assert "no space left" in done.stderr
    return done.returncode == 0


def fill(path):
    """Takes the file system's last block."""
    with open(path, "wb", buffering=0) as file:
        for size in (1 << 20, 4096):
            with contextlib.suppress(OSError):
                while True:
                    file.write(b"x" * size)


def fill_and_recover(stack, place):
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
    fill(place / "filler")
    half = acknowledged[:len(acknowledged) // 2]
    by_recipient = {r["address"]: m["id"] for m in
                    stack.queue() for r in m["recipients"]}
    for recipient, data in half:
        wait_for(lambda name=by_recipient[recipient]: released(stack, name),
                 30, "released on a full disk")
    for recipient, data in half:
        assert stack.wait_delivered(recipient, 1, 30)[0].endswith(data)
    wait_for(lambda: stack.send("a@stranger.example", f"again@{DOMAIN}",
                                sample("a@stranger.example", f"again@{DOMAIN}"
                                       ))[0] == 250, 30, "takes mail again")
