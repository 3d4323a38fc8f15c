"""Mail servers that cannot be installed beside Postfix: ops/install-packages
unpacks them to build/peers, and they run from there with their own
configuration, users and folders, which only they see."""
import glob
import os
import shutil
import subprocess
import tempfile

import pytest

import balancer
from harness import ROOT, Process, free_port

PEERS = os.path.join(ROOT, "build", "peers")
UID = 65400  # of the users that only the peer knows


def need(package):
    """The folder of an unpacked package, or a skipped test."""
    folder = os.path.join(PEERS, package)
    if not os.path.exists(os.path.join(folder, "unpacked")):
        pytest.skip(f"peers absent: no {package} in {PEERS}"
                    " (ops/install-packages peers)")
    if os.geteuid() != 0 or subprocess.run(
            ["unshare", "-m", "true"], capture_output=True,
            check=False).returncode:
        pytest.skip(f"peers absent: {package} needs mounts of its own")
    return folder


class Peer:
    """A server that relays all that it takes to a port."""
    package = None
    users = ()
    mounts = ""  # what it needs in the place of the system's folders

    def __init__(self, onward_port, tls=False):
        self.unpacked = need(self.package)
        self.onward_port = onward_port
        self.tls = tls
        self.port = free_port()
        self.folder = tempfile.mkdtemp(prefix="turing-peer-")
        os.chmod(self.folder, 0o755)
        self.process = None

    def path(self, name):
        return os.path.join(self.folder, name)

    def write(self, name, text):
        with open(self.path(name), "w", encoding="utf-8") as out:
            out.write(text)

    def write_users(self):
        for name, line in (("passwd", "{0}:x:{1}:{1}::/nonexistent:/bin/false"),
                           ("group", "{0}:x:{1}:")):
            with open("/etc/" + name, encoding="utf-8") as given:
                self.write(name, given.read() + "".join(
                    line.format(user, UID + number) + "\n"
                    for number, user in enumerate(self.users)))

    def make_folder(self, name):
        os.mkdir(self.path(name))
        os.chown(self.path(name), UID, UID)

    def copy_certificate(self):
        """One file with certificate and key, that the peer may read."""
        shutil.copy(balancer.certificate("rsa")[1], self.path("tls.pem"))
        os.chmod(self.path("tls.pem"), 0o600)
        return self.path("tls.pem")

    def __enter__(self):
        self.write_users()
        command = self.configure()
        libraries = ":".join(glob.glob(
            os.path.join(self.unpacked, "usr", "lib", "*-linux-gnu*")))
        script = "set -e; " + "".join(
            f"mount --bind {self.path(name)} /etc/{name}; "
            for name in ("passwd", "group")) + self.mounts + 'exec "$@"'
        self.process = Process(
            ["unshare", "-m", "sh", "-c", script, "sh", *command],
            self.path("log"), self.port,
            {"LD_LIBRARY_PATH": libraries}).start()
        return self

    def __exit__(self, kind, value, trace):
        self.process.stop()
        if kind is not None:
            print(self.process.text()[-3000:])
        shutil.rmtree(self.folder, ignore_errors=True)


def starttls_works(port):
    """Whether OpenSSL's own client comes through: Debian 12's OpenSMTPD 6.8
    fails at each handshake with OpenSSL 3 (missing private key)."""
    done = subprocess.run(
        ["openssl", "s_client", "-starttls", "smtp", "-tls1_2", "-connect",
         f"127.0.0.1:{port}"], input="QUIT\r\n", capture_output=True,
        text=True, timeout=30, check=False)
    return "Cipher is ECDHE" in done.stdout


class Exim(Peer):
    """Exim 4: CHUNKING, and answers without enhanced codes."""
    package = "exim4-daemon-light"
    users = ("Debian-exim",)

    def configure(self):
        for name in ("spool", "logs"):
            self.make_folder(name)
        program = os.path.join(self.unpacked, "usr", "sbin", "exim4")
        certificate = self.copy_certificate()
        os.chown(certificate, UID, UID)
        self.write("exim.conf", f"""
exim_path = {program}
spool_directory = {self.path("spool")}
log_file_path = {self.path("logs")}/%slog
pid_file_path = {self.path("spool")}/pid
primary_hostname = mx.peer.example
daemon_smtp_ports = {self.port}
local_interfaces = 127.0.0.1
deliver_drop_privilege
rfc1413_hosts =
keep_environment =
chunking_advertise_hosts = *
tls_advertise_hosts = {"*" if self.tls else ""}
tls_certificate = {certificate}
acl_smtp_rcpt = rcpt
begin acl
rcpt:
  deny domains = denied.example
       message = relay not permitted
  deny domains = nobody.example
       message = Unrouteable address
  defer domains = later.example
        message = try again later
  accept
begin routers
onward:
  driver = manualroute
  route_list = * 127.0.0.1
  self = send
  transport = onward
begin transports
onward:
  driver = smtp
  port = {self.onward_port}
  allow_localhost
""")
        return [program, "-C", self.path("exim.conf"), "-bdf"]


class OpenSmtpd(Peer):
    """OpenSMTPD: no CHUNKING."""
    package = "opensmtpd"
    users = ("opensmtpd", "opensmtpq")
    mounts = ("for folder in /run /var/spool /var/lib; do"
              " mount -t tmpfs -o mode=755 none $folder; done;"
              " mkdir -m 711 /var/spool/smtpd;"
              " mkdir -p /var/lib/opensmtpd/empty; ")

    def configure(self):
        certificate = self.copy_certificate()
        self.write("smtpd.conf", f"""
pki peer cert "{certificate}"
pki peer key "{certificate}"
listen on 127.0.0.1 port {self.port} hostname mx.peer.example \
{"tls pki peer" if self.tls else ""}
action "onward" relay host "smtp://127.0.0.1:{self.onward_port}"
match from any for domain "nobody.example" reject
match from any for any action "onward"
""")
        return [os.path.join(self.unpacked, "usr", "sbin", "smtpd"), "-d",
                "-f", self.path("smtpd.conf")]
