"""HAProxy with the configuration that is shipped, and the certificate of its
frontends: what stands before several clouds."""
import os
import socket
import subprocess
import tempfile

HERE = os.path.dirname(os.path.abspath(__file__))
CONFIGURATION = os.path.join(HERE, "..", "..", "..", "ops", "haproxy",
                             "haproxy.cfg")
PROGRAM = "/usr/sbin/haproxy"
CERTIFICATE = {}


def certificate(kind="ec"):
    """The paths of a self-signed certificate of 127.0.0.1 and of the same
    with its key, "ec" or "rsa", made once."""
    if kind not in CERTIFICATE:
        folder = tempfile.mkdtemp(prefix="turing-tls-")
        paths = [os.path.join(folder, name)
                 for name in ("key.pem", "ca.pem", "both.pem")]
        subprocess.run(
            ["openssl", "req", "-x509", "-newkey", kind, "-pkeyopt",
             {"ec": "ec_paramgen_curve:prime256v1",
              "rsa": "rsa_keygen_bits:2048"}[kind], "-nodes", "-days", "2",
             "-subj", "/CN=localhost", "-addext",
             "subjectAltName=IP:127.0.0.1,DNS:localhost",
             "-keyout", paths[0], "-out", paths[1]],
            check=True, capture_output=True)
        with open(paths[2], "wb") as both:
            for path in paths[1], paths[0]:
                with open(path, "rb") as part:
                    both.write(part.read())
        CERTIFICATE[kind] = paths[1], paths[2]
    return CERTIFICATE[kind]


def arguments():
    """How it is started: in the foreground, as it is shipped."""
    return [PROGRAM, "-db", "-f", os.path.realpath(CONFIGURATION)]


def environment(ports, clouds, socket_path, **more):
    """ports: of the pages, the API and plain HTTP; clouds: of the
    instances."""
    settings = {
        "TURING_UNPRIVILEGED": "1",
        "TURING_CERTIFICATE": certificate()[1], "TURING_LOG": "stdout",
        "TURING_SOCKET": socket_path, "TURING_MAXCONN": "4000",
        "TURING_PAGES_MAXCONN": "2000", "TURING_API_MAXCONN": "2000",
        # All that the tests open comes from a few addresses.
        "TURING_PAGES_RATE": "100000", "TURING_PAGES_CONNECTIONS": "1000",
        "TURING_API_RATE": "100000", "TURING_API_CONNECTIONS": "1000"}
    for name, port in zip(("PAGES", "API", "PLAIN"), ports):
        settings[f"TURING_{name}_BIND"] = f"127.0.0.1:{port}"
    for number, port in enumerate(clouds, 1):
        settings[f"TURING_CLOUD{number}"] = f"127.0.0.1:{port}"
    settings.update(more)
    return settings


def command(socket_path, text):
    """What the runtime socket answers."""
    with socket.socket(socket.AF_UNIX) as peer:
        peer.connect(socket_path)
        peer.sendall(text.encode() + b"\n")
        answer = b""
        while True:
            piece = peer.recv(65536)
            if not piece:
                return answer.decode()
            answer += piece


def server_states(socket_path, backend="api"):
    """The state of each server as HAProxy sees it: {"cloud1": "UP", ...}."""
    rows = command(socket_path, "show stat").splitlines()
    names = rows[0].lstrip("# ").split(",")
    found = {}
    for row in rows[1:]:
        fields = dict(zip(names, row.split(",")))
        if fields.get("pxname") == backend and \
                fields["svname"] not in ("FRONTEND", "BACKEND"):
            found[fields["svname"]] = fields["status"]
    return found
