"""The README's section Install followed to the letter on a fresh Debian under a
real systemd, then what a machine lives through: a second install, a restore as
docs/stores.md tells it, another PREFIX, and the end."""
import email
import email.policy
import os
import re
import subprocess
import sys
import time

import pytest

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))

import documents  # noqa: E402
import root as roots  # noqa: E402
from machine import Machine  # noqa: E402

README = os.path.join(roots.ROOT, "README.md")
STORES = os.path.join(roots.ROOT, "docs", "stores.md")
BUILD = os.path.join(roots.ROOT, "build")
SERVICES = ("turing-agent", "turing-cloud")
NAME = "gateway.example"
SENDER, RECIPIENT = "marie@stranger.example", "jean@acme.example"
# "Debian with git and make", and what a mirror inside would give later.
FRESH = ["systemd", "git", "make", "ca-certificates"]
EXPOSURE = 2.0  # of 10, as systemd-analyze security counts it


def packages_of(block):
    return [line for line in block if re.match(r"make deps|apt-get install",
                                               line)]


def install_blocks():
    return documents.read_section(README, "Install")


def fresh_root():
    """A root in which what Install fetches over the network is there already:
    the machine has no network but its own."""
    fetching = [line for _, block in install_blocks()
                for line in packages_of(block)]
    return roots.base(roots.own_suite(), FRESH, fetching + ["apt-get clean"])


def make_certificate(machine):
    """As an authority would sign it that the system knows."""
    own = "/usr/local/share/ca-certificates/gateway.crt"
    key = os.path.join(machine.folder, "key.pem")
    subprocess.run(["openssl", "req", "-x509", "-newkey", "rsa:2048",
                    "-nodes", "-days", "2", "-subj", f"/CN={NAME}", "-addext",
                    f"subjectAltName=DNS:{NAME}", "-keyout", key, "-out",
                    machine.path(own)], check=True, capture_output=True)
    with open(key, encoding="ascii") as file:
        machine.run(f"mkdir -p /etc/haproxy; cat - {own}"
                    " >/etc/haproxy/turing.pem; update-ca-certificates;"
                    f" echo 127.0.0.1 localhost {NAME} >/etc/hosts",
                    stdin=file.read())


def allow_no_user_namespaces(machine):
    """Where the kernel forbids them PrivateUsers= cannot be had."""
    if machine.run("unshare --user true", check=False).returncode == 0:
        return
    print("user namespaces are forbidden here: PrivateUsers=no, by a drop-in",
          file=sys.__stderr__)
    for service in SERVICES:
        machine.run(f"mkdir -p /etc/systemd/system/{service}.service.d;"
                    " printf '[Service]\\nPrivateUsers=no\\n'"
                    f" >/etc/systemd/system/{service}.service.d/test.conf")


def spare_descriptors(machine):
    """Where this machine allows fewer files than haproxy.cfg asks for."""
    limit = machine.run("ulimit -Hn").stdout.strip()
    if limit == "unlimited" or int(limit) >= 100000:
        return
    print(f"{limit} open files at most here: TURING_MAXCONN=1000, in"
          " /etc/default/haproxy", file=sys.__stderr__)
    machine.run("echo TURING_MAXCONN=1000 >>/etc/default/haproxy")


def follow(machine):
    """Does what Install says; gives what each command printed."""
    told, key = {}, None
    for text, block in install_blocks():
        if documents.is_configuration(block):
            machine.run(f"cat >{documents.named_file(text)}",
                        stdin="\n".join(block) + "\n")
            continue
        for line in block:
            told[line] = machine.run(line, stdin=key if "/dev/stdin" in line
                                     else "", folder=roots.SOURCE).stdout
            if line.startswith("turing-cloud agent add"):
                key = told[line].split()[-1] + "\n"
    return told


class Mailbox:
    """A mail server on the machine's network that takes everything."""

    def __init__(self, machine, port):
        self.folder = os.path.join(machine.folder, f"mail-{port}")
        self.child = subprocess.Popen(
            machine.beside(os.path.join(BUILD, "turing-sandbox"), "--quiet",
                           "--listen", f"127.0.0.1:{port}", "--maildir",
                           self.folder))

    def wait(self, address, seconds=30):
        """The text of the first mail to the address, decoded."""
        end = time.monotonic() + seconds
        place = os.path.join(self.folder, address, "new")
        while not (os.path.isdir(place) and os.listdir(place)):
            assert time.monotonic() < end, f"no mail to {address}"
            time.sleep(0.1)
        with open(os.path.join(place, os.listdir(place)[0]), "rb") as file:
            mail = email.message_from_binary_file(
                file, policy=email.policy.default)
        return mail.get_body(("plain",)).get_content()


@pytest.fixture(scope="module")
def machine():
    try:
        with Machine(fresh_root()) as running:
            yield from installed(running)
    except roots.RootAbsent as absent:
        pytest.skip(f"systemd absent: {absent}")


def installed(machine):
    """The machine, once Install was followed."""
    make_certificate(machine)
    allow_no_user_namespaces(machine)
    spare_descriptors(machine)
    machine.smarthost = Mailbox(machine, 25)
    machine.next_hop = Mailbox(machine, 10026)
    try:
        machine.told = follow(machine)
        yield machine
    finally:
        for box in (machine.smarthost, machine.next_hop):
            box.child.kill()
            box.child.wait()


def state_of(machine, *properties, service="turing-agent"):
    text = machine.run(f"systemctl show {service} "
                       + " ".join("-p " + p for p in properties)).stdout
    return dict(line.split("=", 1) for line in text.splitlines())


def wait_active(machine, service, not_pid=None):
    """Its process, once it runs and is another than before."""
    for _ in range(150):
        state = state_of(machine, "ActiveState", "MainPID", service=service)
        if state["ActiveState"] == "active" and state["MainPID"] not in (
                "0", not_pid):
            return state["MainPID"]
        time.sleep(0.1)
    raise AssertionError(machine.run(f"systemctl status {service}",
                                     check=False).stdout)


def look(machine, path):
    return machine.run(f"stat -c '%A %U:%G' {path}").stdout.strip()


def test_users_folders_and_modes(machine):
    for service in SERVICES:
        assert look(machine, f"/etc/turing/{service}.conf") == \
            f"-rw-r----- root:{service}"
        assert look(machine, f"/var/lib/{service}") == \
            f"drwx------ {service}:{service}"
        assert "nologin" in machine.run(f"getent passwd {service}").stdout
        # What the commands of Install made as root, before the first start.
        assert machine.run(f"find /var/lib/{service} ! -user {service} -o"
                           " -type f ! -perm 0600 -o -type d ! -perm 0700"
                           ).stdout == ""
    assert look(machine, "/var/lib/turing-agent/spool.db") == \
        "-rw------- turing-agent:turing-agent"
    assert look(machine, "/etc/turing/agent.key") == \
        "-rw-r----- root:turing-agent"


def test_services_run_confined(machine):
    for service in SERVICES:
        pid = wait_active(machine, service)
        assert machine.run(f"stat -c %U /proc/{pid}").stdout.strip() == \
            service
        assert re.search(r"Max core file size +0 +0 ", machine.run(
            f"cat /proc/{pid}/limits").stdout)
        assert machine.run(f"systemd-analyze verify --man=no {service}.service"
                           ).stdout == ""
        exposure = machine.run(f"systemd-analyze security {service}").stdout
        found = re.search(r"Overall exposure level for \S+: ([\d.]+)",
                          exposure)
        assert found and float(found.group(1)) <= EXPOSURE, exposure
        assert machine.run(f"systemctl is-enabled {service}").stdout == \
            "enabled\n"


def test_documents_are_installed(machine):
    machine.run("haproxy -c -f /etc/haproxy/haproxy.cfg")
    folder = "/usr/local/share/doc/turing"
    for name in ("README.md", "ARCHITECTURE.md", "openapi.yaml",
                 "examples/haproxy.cfg", "examples/turing-agent.conf"):
        machine.run(f"test -s {folder}/{name}")
    machine.run("test -s /usr/local/share/man/man8/turing-agent.8")


def send(machine):
    text = (f"Authentication-Results: mx.acme.example;"
            f" spf=pass smtp.mailfrom={SENDER.split('@')[1]}\n"
            f"From: {SENDER}\nTo: {RECIPIENT}\nSubject: Hello\n"
            "Message-ID: <1@stranger.example>\n"
            "Date: Sat, 21 Nov 2026 08:00:00 +0000\n\nHow are you?\n")
    subprocess.run(machine.beside(
        "swaks", "--server", "127.0.0.1:10025", "--from", SENDER, "--to",
        RECIPIENT, "--data", "-", "--suppress-data"), check=True, input=text,
        text=True, capture_output=True, timeout=60)


PAGE = """
import http.client, socket, ssl, sys
context = ssl.create_default_context(cafile=sys.argv[1])
bare = socket.create_connection(("127.0.0.1", 443), 10)
page = http.client.HTTPSConnection(sys.argv[2])
page.sock = context.wrap_socket(bare, server_hostname=sys.argv[2])
page.request("GET", sys.argv[3])
print(page.getresponse().status)
"""


def test_mail_path(machine):
    """A stranger is held and gets one challenge; a release delivers."""
    send(machine)
    challenge = machine.smarthost.wait(SENDER)
    link = re.search(rf"https://{NAME}(/c/\S+)", challenge).group(1)
    status = subprocess.run(machine.beside(
        sys.executable, "-c", PAGE, machine.path(
            "/usr/local/share/ca-certificates/gateway.crt"), NAME, link),
        check=True, capture_output=True, text=True, timeout=60).stdout
    assert status == "200\n"
    held = machine.run("turing-agent queue list --state held").stdout
    assert RECIPIENT in held
    machine.run("turing-agent queue release " + re.search(
        r"[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}", held).group(0))
    assert "How are you?" in machine.next_hop.wait(RECIPIENT)


def test_killed_is_started_again(machine):
    for service in SERVICES:
        pid = wait_active(machine, service)
        machine.run(f"systemctl kill -s KILL {service}")
        wait_active(machine, service, pid)


def expect_failed_start(machine):
    """It fails, and is not started again and again."""
    machine.run("systemctl restart turing-agent", check=False)
    for _ in range(100):
        state = state_of(machine, "ActiveState", "NRestarts")
        if state["ActiveState"] == "failed":
            break
        time.sleep(0.1)
    assert state == {"ActiveState": "failed", "NRestarts": "0"}


def test_secrets_that_others_can_read_are_refused(machine):
    for service, path in (("turing-agent", "/etc/turing/agent.key"),
                          ("turing-cloud", "/etc/turing/turing-cloud.conf")):
        machine.run(f"cp -p {path} /root/secret; chmod 644 {path}")
        if service == "turing-cloud":
            machine.run(f"cat >>{path}",
                        stdin='smarthost { password = "hush" }\n')
        told = machine.run(f"{service} check-config", check=False)
        assert told.returncode == 1 and path in told.stdout, told.stdout
        if service == "turing-agent":
            expect_failed_start(machine)
        machine.run(f"cp -p /root/secret {path}; {service} check-config;"
                    f" systemctl start {service}")
        wait_active(machine, service)


def test_wrong_configuration_is_not_tried_again(machine):
    path = "/etc/turing/turing-agent.conf"
    machine.run(f"cp -p {path} /root/good; echo 'nonsense {{ }}' >>{path}")
    expect_failed_start(machine)
    assert "nonsense" in machine.run("journalctl -u turing-agent").stdout
    machine.run(f"cp -p /root/good {path}; systemctl start turing-agent")
    wait_active(machine, "turing-agent")


def test_second_install_leaves_what_was_edited(machine):
    files = "/etc/turing/turing-agent.conf /etc/turing/turing-cloud.conf " \
        "/etc/turing/agent.key"
    before = machine.run(f"stat -c '%n %a %U %G %Y %Z %i' {files};"
                         f" sha256sum {files}").stdout
    told = machine.run("make install", folder=roots.SOURCE).stdout
    assert machine.run(f"stat -c '%n %a %U %G %Y %Z %i' {files};"
                       f" sha256sum {files}").stdout == before
    assert "kept /etc/turing/turing-agent.conf" in told


def test_registry_is_restored_as_the_document_says(machine):
    saved = documents.read_section(STORES, "Backup")[0][1]
    *_, (_, replace) = documents.read_section(STORES, "Restore")
    assert any("restore" in line for line in replace)
    for line in saved + replace:
        machine.run(line)
    wait_active(machine, "turing-cloud")
    assert "acme" in machine.run("turing-cloud tenant list").stdout
    assert look(machine, "/var/lib/turing-cloud/registry.db") == \
        "-rw------- turing-cloud:turing-cloud"
    # A command of root's that writes, beside the daemon: it goes on writing.
    machine.run("turing-cloud entry add acme white domain partner.example")
    machine.run("turing-agent restore " + saved[0].split()[-1])
    for service in SERVICES:
        assert machine.run(f"find /var/lib/{service} ! -user {service}"
                           ).stdout == ""


def test_prefix_reaches_the_units(machine):
    machine.run("make install PREFIX=/opt/turing", folder=roots.SOURCE)
    for service in SERVICES:
        machine.run(f"systemctl restart {service}")
        pid = wait_active(machine, service)
        assert machine.run(f"readlink /proc/{pid}/exe").stdout == \
            f"/opt/turing/sbin/{service}\n"


def test_staged_for_a_package(machine):
    """Nothing of the running system is touched, nor does it need root."""
    machine.run("make install DESTDIR=/tmp/stage PREFIX=/usr"
                " && rm -r /tmp/stage", folder=roots.SOURCE)
    machine.run("chown -R nobody: . && setpriv --reuid nobody --clear-groups"
                " make install DESTDIR=/tmp/stage PREFIX=/usr",
                folder=roots.SOURCE)
    unit = machine.run("cat /tmp/stage/lib/systemd/system/turing-agent.service"
                       ).stdout
    assert "ExecStart=/usr/sbin/turing-agent run" in unit
    assert state_of(machine, "NeedDaemonReload")["NeedDaemonReload"] == "no"


def test_uninstall(machine):
    """The last: what was edited stays, and the data."""
    machine.run("cp /usr/local/share/doc/turing/examples/turing-cloud.conf"
                " /etc/turing/turing-cloud.conf", folder=roots.SOURCE)
    for prefix in ("/opt/turing", "/usr/local"):
        told = machine.run(f"make uninstall PREFIX={prefix}",
                           folder=roots.SOURCE).stdout
        assert "kept /etc/turing/turing-agent.conf" in told
    for service in SERVICES:
        assert machine.run(f"systemctl is-active {service}", check=False
                           ).stdout == "inactive\n"
        machine.run(f"test -d /var/lib/{service} && getent passwd {service}")
    left = machine.run("find / -xdev -name '*turing*' -newer /etc/hosts"
                       " ! -path '/usr/src/*' ! -path '/var/*'"
                       " ! -path '/tmp/*' ! -path '/run/*' ! -path '/proc/*'"
                       ).stdout.split()
    assert set(left) - {"/opt/turing", "/etc/haproxy/turing.pem"} == {
        "/etc/turing", "/etc/turing/turing-agent.conf"}
