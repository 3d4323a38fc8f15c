"""What authenticates mail on an MX, as its packages install it, each private:
OpenDKIM, OpenDMARC, Rspamd and postfix-policyd-spf-python, with a DNS of the
test's own. A process sees the files that are given in the place of the
system's, in a mount namespace of its own."""
import os
import shlex
import signal
import socket
import struct
import subprocess
import threading

from harness import port_open, wait_for


class Dns:
    """A name server for TXT records on a loopback address of its own; all
    other names do not exist."""

    def __init__(self, texts):
        self.texts = {name.lower(): text for name, text in texts.items()}
        self.socket = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        for number in range(1, 250):
            self.address = f"127.83.{os.getpid() % 250}.{number}"
            try:
                self.socket.bind((self.address, 53))
                break
            except OSError:
                continue
        self.thread = threading.Thread(target=self.serve, daemon=True)

    def __enter__(self):
        self.thread.start()
        return self

    def __exit__(self, kind, value, trace):
        self.socket.close()

    def serve(self):
        while True:
            try:
                query, peer = self.socket.recvfrom(4096)
                self.socket.sendto(self.answer(query), peer)
            except OSError:
                return

    def answer(self, query):
        labels, at = [], 12
        while query[at]:
            labels.append(query[at + 1:at + 1 + query[at]])
            at += 1 + query[at]
        name = b".".join(labels).decode("latin-1").lower()
        kind = struct.unpack("!H", query[at + 1:at + 3])[0]
        question = query[12:at + 5]
        text = self.texts.get(name)
        known = text is not None or any(
            one.endswith("." + name) for one in self.texts)
        found = b""
        if text is not None and kind == 16:
            data = text.encode()
            parts = b"".join(
                bytes([len(data[i:i + 255])]) + data[i:i + 255]
                for i in range(0, len(data), 255))
            found = b"\xc0\x0c" + struct.pack("!HHIH", 16, 1, 60,
                                              len(parts)) + parts
        return query[:2] + struct.pack(
            "!HHHHH", 0x8180 | (0 if known else 3), 1, 1 if found else 0, 0,
            0) + question + found


class Peer:
    """A program that sees files in the place of the system's."""

    def __init__(self, folder, name, command, files, port):
        """files: path to what stands there, text or a folder to show."""
        self.folder = os.path.join(folder, name)
        os.makedirs(self.folder, exist_ok=True)
        self.command = command
        self.files = files
        self.port = port
        self.log_path = os.path.join(self.folder, "log")
        self.child = None

    def prefix(self):
        """The command line by which a program is run in the namespace."""
        lines = ["mount --make-rprivate /"]
        for number, (path, shown) in enumerate(self.files.items()):
            if not os.path.isdir(shown):
                copy = os.path.join(self.folder, str(number))
                with open(copy, "w", encoding="utf-8") as out:
                    out.write(shown)
                os.chmod(copy, 0o644)
                shown = copy
            lines.append(f"mount --bind {shlex.quote(shown)} {path}")
        return ["unshare", "--mount", "sh", "-e", "-c",
                "\n".join(lines) + '\nexec "$@"', "sh"]

    def start(self):
        with open(self.log_path, "ab") as log:
            self.child = subprocess.Popen(
                self.prefix() + self.command, stdin=subprocess.DEVNULL,
                stdout=log, stderr=log, start_new_session=True)
        wait_for(lambda: port_open(self.port) or self.child.poll() is not None,
                 60, f"{self.command[0]} listens")
        assert self.child.poll() is None, self.log()
        return self

    def stop(self):
        """At once: libmilter takes 5 s to stop by itself."""
        if self.child is not None:
            os.killpg(self.child.pid, signal.SIGKILL)
            self.child.wait()
            self.child = None

    def log(self):
        with open(self.log_path, encoding="utf-8", errors="replace") as log:
            return log.read()

    def __enter__(self):
        return self.start()

    def __exit__(self, kind, value, trace):
        if kind is not None:
            print(f"{self.command[0]}: {self.log()[-3000:]}")
        self.stop()


def with_lines(path, lines):
    """The package's file with these lines in the place of those that set the
    same keys."""
    with open(path, encoding="utf-8") as file:
        kept = file.read().splitlines()
    keys = {line.split()[0].lower() for line in lines.splitlines()
            if line.strip() and not line.startswith("#")}
    kept = [line for line in kept
            if not line.strip() or line.split()[0].lower() not in keys]
    return "\n".join(kept) + "\n" + lines + "\n"
