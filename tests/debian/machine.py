"""A systemd as process 1 of namespaces of its own, network included, in a copy
of a root that has the project's tree."""
import os
import shutil
import subprocess
import tempfile
import time

import root as roots

BOOT_SECONDS = 60
GROUPS = "/sys/fs/cgroup"


class Machine:
    """with Machine(base) as machine: machine.run("systemctl ...")"""

    def __init__(self, base):
        self.base = base
        self.folder = tempfile.mkdtemp(prefix="turing-machine-",
                                       dir=roots.KEPT)
        self.root = os.path.join(self.folder, "root")
        self.console = os.path.join(self.folder, "console")
        self.outer = None
        self.pid = None
        # Where systemd puts its units: version 1 has two trees.
        self.groups = [os.path.join(top, os.path.basename(self.folder))
                       for top in (f"{GROUPS}/systemd", f"{GROUPS}/unified")
                       if os.path.isdir(top)] or \
            [os.path.join(GROUPS, os.path.basename(self.folder))]

    def path(self, inside):
        return os.path.join(self.root, inside.lstrip("/"))

    def __enter__(self):
        try:
            subprocess.run(["cp", "-a", "--reflink=auto", self.base,
                            self.root], check=True)
            roots.copy_built(self.root)
            self.boot()
        except BaseException:
            self.__exit__()
            raise
        return self

    def __exit__(self, *_):
        if self.outer:
            self.outer.kill()  # unshare --kill-child: and all inside
            self.outer.wait()
        for group in self.groups:
            self.remove_group(group)
        shutil.rmtree(self.folder, ignore_errors=True)

    def boot(self):
        try:
            for group in self.groups:
                os.mkdir(group)
        except OSError as problem:
            raise roots.RootAbsent(f"no group of processes: {problem}") \
                from problem
        join = "".join(f"echo $$ >{group}/cgroup.procs; "
                       for group in self.groups)
        with open(self.console, "wb") as console:
            self.outer = subprocess.Popen(
                ["/bin/sh", "-ec", join + 'exec "$@"', "sh", "unshare",
                 "--fork", "--kill-child", "--pid", "--mount", "--uts",
                 "--ipc", "--net", "--cgroup", "/bin/sh",
                 os.path.join(roots.HERE, "enter"), "boot", self.root, "",
                 "/usr/bin/env", "-i", "container=lxc", "PATH=" + roots.PATH,
                 "TERM=dumb", "/lib/systemd/systemd", "--system",
                 "--log-target=console", "--show-status=false"],
                stdin=subprocess.DEVNULL, stdout=console, stderr=console,
                start_new_session=True)
        end = time.monotonic() + BOOT_SECONDS
        while not self.runs():
            if self.outer.poll() is not None or time.monotonic() > end:
                with open(self.console, encoding="utf-8",
                          errors="replace") as console:
                    raise roots.RootAbsent("systemd does not come up: "
                                           + console.read()[-2000:])
            time.sleep(0.2)

    def runs(self):
        if not self.pid:
            outer = self.outer.pid
            with open(f"/proc/{outer}/task/{outer}/children",
                      encoding="ascii") as children:
                self.pid = children.read().strip() or None
        return self.pid and self.run("systemctl is-system-running",
                                     check=False).stdout.strip() in (
                                         "running", "degraded")

    @staticmethod
    def remove_group(group):
        """Its processes are gone, or go now."""
        for folder, _, _ in os.walk(group, topdown=False):
            for _ in range(50):
                try:
                    os.rmdir(folder)
                    break
                except FileNotFoundError:
                    break
                except OSError:
                    time.sleep(0.1)

    def inside(self, *arguments):
        """The command line that runs a program inside."""
        return ["nsenter", "--target", self.pid, "--mount", "--uts", "--ipc",
                "--net", "--pid", "--cgroup", "--root",
                "--wd=" + self.path("root"), *arguments]

    def beside(self, *arguments):
        """The command line that runs a program of this machine on the other
        one's network."""
        return ["nsenter", "--target", self.pid, "--net", *arguments]

    def run(self, command, check=True, stdin="", folder="/root"):
        """Runs a shell command inside; gives the completed process."""
        done = subprocess.run(
            self.inside(*roots.ENVIRONMENT, "bash", "-c",
                        f"cd {folder} && {command}"),
            check=False, text=True, input=stdin, stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT, timeout=300)
        assert not check or done.returncode == 0, \
            f"{command}: {done.returncode}\n{done.stdout}"
        return done
