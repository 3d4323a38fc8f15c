"""A real mongod that wants a password and TLS, with a certificate authority of
its own.

    with SecureServer() as server:              # ServerAbsent without a mongod
        server.uri                              # user, password, tls, tlsCAFile
        server.uri_with(password="wrong")
        server.grant(["turing_x"])              # readWrite there, nothing else
        server.password; server.ca_file; server.other_ca_file
"""
import os
import secrets
import subprocess
import time
import urllib.parse

from mongodb_server import MongodbServer

ADMIN = "root"
USER = "turing"
# Characters that mean something in a URI, and some that are not ASCII.
PASSWORD = "p@ss:w/rd%?&=é-"


def openssl(*arguments):
    subprocess.run(["openssl", *arguments], check=True, capture_output=True)


def make_authority(folder, name):
    """A certificate authority: NAME.pem and NAME.key in the folder."""
    path = os.path.join(folder, name)
    openssl("req", "-x509", "-newkey", "ec", "-pkeyopt",
            "ec_paramgen_curve:P-256", "-nodes", "-days", "30", "-subj",
            f"/CN={name} test authority", "-addext",
            "basicConstraints=critical,CA:TRUE", "-addext",
            "keyUsage=critical,keyCertSign,cRLSign", "-keyout", path + ".key",
            "-out", path + ".pem")
    return path + ".pem"


def make_certificate(folder, authority):
    """A certificate for 127.0.0.1 and its key in one file, as mongod wants."""
    path = os.path.join(folder, "server")
    authority = authority.removesuffix(".pem")
    openssl("req", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256",
            "-nodes", "-subj", "/O=turing tests/CN=127.0.0.1", "-keyout",
            path + ".key", "-out", path + ".csr")
    with open(path + ".ext", "w", encoding="ascii") as file:
        file.write("subjectAltName=IP:127.0.0.1,DNS:localhost\n")
    openssl("x509", "-req", "-in", path + ".csr", "-days", "30", "-CA",
            authority + ".pem", "-CAkey", authority + ".key",
            "-CAcreateserial", "-extfile", path + ".ext", "-out",
            path + ".crt")
    with open(path + ".pem", "w", encoding="ascii") as out:
        for part in (".crt", ".key"):
            with open(path + part, encoding="ascii") as file:
                out.write(file.read())
    return path + ".pem"


class SecureServer(MongodbServer):
    """See the top of this file. One member: elections are tested elsewhere."""

    def __init__(self):
        super().__init__("mongod", members=1)
        self.ca_file = self.other_ca_file = ""
        self.password = PASSWORD + secrets.token_hex(4)
        self.admin_password = secrets.token_hex(8)
        self.hosts = []

    def more_arguments(self):
        if not self.ca_file:
            self.ca_file = make_authority(self.folder, "ca")
            self.other_ca_file = make_authority(self.folder, "other-ca")
            make_certificate(self.folder, self.ca_file)
            key = os.path.join(self.folder, "key-of-members")
            with open(os.open(key, os.O_CREAT | os.O_WRONLY, 0o600), "w",
                      encoding="ascii") as file:
                file.write(secrets.token_hex(32))
        return ["--auth", "--keyFile",
                os.path.join(self.folder, "key-of-members"),
                "--tlsMode", "requireTLS", "--tlsCertificateKeyFile",
                os.path.join(self.folder, "server.pem"),
                "--tlsCAFile", self.ca_file,
                "--tlsAllowConnectionsWithoutCertificates"]

    def client_options(self):
        return {"tls": True, "tlsCAFile": self.ca_file}

    def after_initiation(self, hosts):
        """The first user, who may be made from this machine, and ours."""
        self.hosts = hosts
        with self._member_client(hosts[0]) as client:
            end = time.monotonic() + 30
            while not client.admin.command("isMaster")["ismaster"]:
                assert time.monotonic() < end, "no primary"
                time.sleep(0.1)
            client.admin.command("createUser", ADMIN,
                                 pwd=self.admin_password, roles=["root"])
        with self.admin_client() as client:
            client.admin.command("createUser", USER, pwd=self.password,
                                 roles=[])
        self.uri = self.uri_with(ADMIN, self.admin_password)

    def start(self):
        super().start()
        self.uri = self.uri_with()
        return self

    def admin_client(self):
        import pymongo  # pylint: disable=import-outside-toplevel
        return pymongo.MongoClient(
            self.uri_with(ADMIN, self.admin_password),
            uuidRepresentation="standard", serverSelectionTimeoutMS=10000)

    def uri_with(self, user=USER, password=None, ca_file=None, tls=True):
        """A URI; without a CA file the one of the server's authority."""
        password = urllib.parse.quote(password or self.password, safe="")
        secure = "&tls=true&tlsCAFile=" + (ca_file or self.ca_file)
        return (f"mongodb://{user}:{password}@{','.join(self.hosts)}/"
                f"?replicaSet=turing&authSource=admin"
                f"{secure if tls else ''}")

    def grant(self, databases):
        """Lets the user read and write these, and nothing else."""
        with self.admin_client() as client:
            client.admin.command("updateUser", USER, roles=[
                {"role": "readWrite", "db": name} for name in databases])
