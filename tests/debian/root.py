"""A Debian in a folder: made by debootstrap from the mirror that this machine's
own sources name, kept in build-debian for the next time, and entered in
namespaces of its own. For root alone."""
import fcntl
import filecmp
import hashlib
import os
import shutil
import subprocess

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(
    os.path.abspath(__file__))))
KEPT = os.path.join(ROOT, "build-debian")
HERE = os.path.dirname(os.path.abspath(__file__))
PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
ENVIRONMENT = ["/usr/bin/env", "-i", "HOME=/root", "LANG=C.UTF-8", "TERM=dumb",
               "DEBIAN_FRONTEND=noninteractive", "PATH=" + PATH]
SOURCE = "/usr/src/turing"


class RootAbsent(Exception):
    """No such Debian can be had here; the text says what is lacking."""


def output(*arguments):
    return subprocess.run(arguments, check=False, text=True,
                          capture_output=True).stdout.strip()


def own_suite():
    """The code name of the Debian that runs here."""
    with open("/etc/os-release", encoding="utf-8") as file:
        for line in file:
            if line.startswith("VERSION_CODENAME="):
                return line.split("=", 1)[1].strip().strip('"')
    raise RootAbsent("/etc/os-release has no VERSION_CODENAME")


def mirror():
    """Where this machine has its own Debian from."""
    for line in output("apt-get", "indextargets", "--format",
                       "$(REPO_URI) $(COMPONENT) $(RELEASE) $(CODENAME)",
                       "Created-By: Packages").splitlines():
        address, component, *names = line.split()
        if component == "main" and own_suite() in names:
            return address
    raise RootAbsent("apt's sources name no mirror of this Debian")


def proxy():
    """As apt has it, for debootstrap and for the apt inside."""
    told = output("apt-config", "shell", "proxy", "Acquire::http::Proxy")
    return told.partition("=")[2].strip("'")


def check_means():
    if os.geteuid() != 0:
        raise RootAbsent("only root can make one")
    for program in ("debootstrap", "unshare", "nsenter"):
        if not shutil.which(program):
            raise RootAbsent(f"no {program} here")


def call(arguments, what, **options):
    done = subprocess.run(arguments, check=False, text=True,
                          stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                          stderr=subprocess.STDOUT, **options)
    if done.returncode != 0:
        raise RootAbsent(f"{what}: {done.stdout[-2000:]}")
    return done.stdout


def run(root, command, source="", **options):
    """Runs a shell command in root, with the network of this machine; source
    is seen at SOURCE. Gives the completed process."""
    return subprocess.run(
        ["unshare", "--fork", "--kill-child", "--pid", "--mount", "--ipc",
         "--uts", "/bin/sh", os.path.join(HERE, "enter"), "run", root,
         source, *ENVIRONMENT, "bash", "-c", command],
        check=False, text=True, stdin=subprocess.DEVNULL, **options)


def make(root, suite, packages, prepare):
    """debootstrap, then the shell commands of prepare, each in root."""
    environment = dict(os.environ)
    if proxy():
        environment["http_proxy"] = proxy()
    call(["debootstrap", "--variant=minbase",
          "--include=" + ",".join(packages), suite, root, mirror()],
         "debootstrap", env=environment)
    if proxy():
        with open(os.path.join(root, "etc/apt/apt.conf.d/90proxy"), "w",
                  encoding="utf-8") as file:
            file.write(f'Acquire::http::Proxy "{proxy()}";\n')
    for command in prepare:
        done = run(root, command, ROOT, stdout=subprocess.PIPE,
                      stderr=subprocess.STDOUT)
        if done.returncode != 0:
            raise RootAbsent(f"{command}: {done.stdout[-2000:]}")


def base(suite, packages, prepare):
    """The folder of such a Debian; made where there is none yet. Not to be
    changed: others start from it."""
    check_means()
    with open(os.path.join(ROOT, "ops", "install-packages"), "rb") as file:
        wanted = repr((packages, prepare)).encode() + file.read()
    name = f"{suite}-{hashlib.sha256(wanted).hexdigest()[:12]}"
    path = os.path.join(KEPT, name)
    os.makedirs(KEPT, exist_ok=True)
    with open(os.path.join(KEPT, f"{suite}.lock"), "w",
              encoding="ascii") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if os.path.isdir(path):
            return path
        for old in os.listdir(KEPT):
            if prepare and old.startswith(suite + "-"):
                shutil.rmtree(os.path.join(KEPT, old))
        new = path + ".new"
        try:
            make(new, suite, packages, prepare)
            os.rename(new, path)
        except BaseException:
            shutil.rmtree(new, ignore_errors=True)
            raise
    return path


def project_files():
    """Their names, as they lie here."""
    names = subprocess.run(["git", "ls-files", "-z"], cwd=ROOT, check=True,
                           capture_output=True, text=True).stdout
    return [name for name in names.split("\0")
            if name and os.path.lexists(os.path.join(ROOT, name))]


def copy_built(root):
    """The project and what is built of it, with their times, to SOURCE in
    root: make has nothing to do there where root is the same Debian."""
    target = os.path.join(root, SOURCE[1:])
    os.makedirs(target, exist_ok=True)
    subprocess.run(["cp", "-a", "--parents", "-t", target, *project_files()],
                   cwd=ROOT, check=True)
    for folder, folders, files in os.walk(os.path.join(ROOT, "build")):
        inside = os.path.relpath(folder, ROOT)
        if inside == "build":
            folders[:] = [f for f in folders if f not in
                          ("mongodb-stand-in", "tests")]
        os.makedirs(os.path.join(target, inside), exist_ok=True)
        for name in files:
            if name.endswith((".o", ".d", ".a")) or \
                    name.startswith("turing-") and "." not in name:
                shutil.copy2(os.path.join(folder, name),
                             os.path.join(target, inside, name))


def update_tree(root):
    """The project to SOURCE in root. What is the same there keeps its time,
    and what changed gets that of now: make goes by it, for what it has built
    there before."""
    target = os.path.join(root, SOURCE[1:])
    wanted = set(project_files())
    for folder, folders, files in os.walk(target):
        if folder == target:
            folders[:] = [f for f in folders
                          if f != ".git" and not f.startswith("build")]
        for name in files:
            path = os.path.join(folder, name)
            if os.path.relpath(path, target) not in wanted:
                os.unlink(path)
    for name in wanted:
        source, copy = os.path.join(ROOT, name), os.path.join(target, name)
        if os.path.exists(copy) and filecmp.cmp(source, copy, shallow=False):
            shutil.copymode(source, copy)
            continue
        os.makedirs(os.path.dirname(copy), exist_ok=True)
        shutil.copy(source, copy)
