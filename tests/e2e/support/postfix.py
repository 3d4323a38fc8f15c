"""A private Postfix: its own configuration, queue and port."""
import grp
import os
import pwd
import re
import shutil
import smtplib
import subprocess
import tempfile

from harness import free_port, wait_for


def main_cf(text):
    """The lines without a setting that is set again below: each program of
    Postfix warns of it, and postlogd, which warns through its own socket,
    stands still when that is full."""
    settings = {}
    for setting in re.findall(r"^[^\s#].*\n(?:[ \t].*\n)*", text, re.M):
        settings.pop(setting.split("=")[0].strip(), None)
        settings[setting.split("=")[0].strip()] = setting
    return "".join(settings.values())


class Postfix:
    """A private instance: its own configuration, queue and port."""

    def __init__(self, settings, master="", prefix=()):
        """prefix: the command by which it is run, as mx_peers.Peer has."""
        self.folder = tempfile.mkdtemp(prefix="turing-postfix-")
        os.chmod(self.folder, 0o755)
        self.port = free_port()
        self.settings = settings
        self.master = master
        self.prefix = list(prefix)

    def path(self, name):
        return os.path.join(self.folder, name)

    def __enter__(self):
        for name in ("etc", "queue", "data"):
            os.mkdir(self.path(name))
        owner = pwd.getpwnam("postfix")
        os.chown(self.path("data"), owner.pw_uid,
                 grp.getgrnam("postfix").gr_gid)
        with open(self.path("etc/main.cf"), "w", encoding="utf-8") as out:
            out.write(main_cf(f"""
compatibility_level = 3.6
queue_directory = {self.path("queue")}
data_directory = {self.path("data")}
command_directory = /usr/sbin
daemon_directory = /usr/lib/postfix/sbin
mail_owner = postfix
setgid_group = postdrop
myhostname = mx.customer.example
mydestination =
inet_interfaces = 127.0.0.1
inet_protocols = ipv4
mynetworks = 127.0.0.0/8
smtpd_relay_restrictions = permit_mynetworks, reject
local_recipient_maps =
alias_maps =
default_database_type = texthash
maillog_file = /dev/stdout
maillog_file_prefixes = /var, /dev/stdout
smtp_dns_support_level = disabled
{self.settings}
"""))
        with open(self.path("etc/master.cf"), "w", encoding="utf-8") as out:
            out.write(f"""
127.0.0.1:{self.port} inet n - n - - smtpd
cleanup unix n - n - 0 cleanup
qmgr unix n - n 5 1 qmgr
rewrite unix - - n - - trivial-rewrite
bounce unix - - n - 0 bounce
defer unix - - n - 0 bounce
trace unix - - n - 0 bounce
proxymap unix - - n - - proxymap
smtp unix - - n - - smtp
relay unix - - n - - smtp
error unix - - n - - error
retry unix - - n - - error
discard unix - - n - - discard
anvil unix - - n - 1 anvil
scache unix - - n - 1 scache
verify unix - - n - 1 verify
postlog unix-dgram n - n - 1 postlogd
{self.master}
""")
        self.run("check")
        self.log = open(self.path("log"), "wb")
        self.child = subprocess.Popen(
            [*self.prefix, "postfix", "-c", self.path("etc"), "start-fg"],
            stdout=self.log, stderr=self.log, stdin=subprocess.DEVNULL)
        wait_for(self.ready, 30, "Postfix listens")
        return self

    def ready(self):
        try:
            with smtplib.SMTP("127.0.0.1", self.port, timeout=5) as client:
                return client.noop()[0] == 250
        except (OSError, smtplib.SMTPException):
            return False

    def run(self, *arguments):
        try:
            subprocess.run(["postfix", "-c", self.path("etc"), *arguments],
                           capture_output=True, check=False, timeout=60)
        except subprocess.TimeoutExpired:
            print(f"postfix {arguments[0]} did not end")

    def __exit__(self, kind, value, trace):
        self.run("stop")
        try:
            self.child.wait(20)
        except subprocess.TimeoutExpired:
            self.child.kill()
        self.log.close()
        if kind is not None:
            with open(self.path("log"), encoding="utf-8",
                      errors="replace") as log:
                print(log.read()[-3000:])
        shutil.rmtree(self.folder, ignore_errors=True)
