"""The daemons on a MongoDB that wants a password and TLS: both by the URI alone,
with the rights the manual names; and no text of theirs has the password."""
import os
import re
import subprocess
import urllib.parse

import pytest

import stores
from harness import DOMAIN, ROOT, Stack, wait_for

pytestmark = [pytest.mark.mongodb, pytest.mark.mongod]
STRANGER = "marie@stranger.example"
JEAN = f"jean@{DOMAIN}"
WRONG = "wr0ng-s3cret"
COMMANDS = [("turing-cloud", "tenant", "list"), ("turing-cloud", "run"),
            ("turing-cloud", "store", "check"), ("turing-agent", "run"),
            ("turing-agent", "queue", "list"),
            ("turing-agent", "store", "check")]


@pytest.fixture(scope="module", name="server")
def secure_server():
    stores.server_module()
    import secure_server as module  # pylint: disable=import-outside-toplevel
    with module.SecureServer() as running:
        yield running


class SecureStore(stores.MongodbStore):
    """Databases that the user of the URI may use, and no others."""

    def __init__(self, server, uri=None):
        super().__init__(uri or server.uri)
        server.grant(self.names)
        self.admin = server.admin_client()
        self.client.close()
        self.client = self.admin


def forms_of(password):
    """The password as it is, and as URIs write it."""
    return {password, urllib.parse.quote(password, safe=""),
            urllib.parse.quote(password)}


def assert_silent(text, *passwords):
    for password in passwords:
        for form in forms_of(password):
            assert form not in text


def outcome(stack, program, *words):
    conf = stack.cloud_conf if program == "turing-cloud" else stack.agent_conf
    done = subprocess.run([stack.program(program), *words, "-c", conf],
                          capture_output=True, text=True, timeout=60,
                          check=False, cwd=ROOT)
    return done.returncode, done.stdout + done.stderr


def test_password_and_tls_by_the_uri(server):
    debug = 'log { level = "debug" }'
    with Stack(store=SecureStore(server), agent_settings=debug,
               cloud_settings=debug) as stack:
        assert stack.send(STRANGER, JEAN)[0] == 250
        assert stack.solve(STRANGER)[0] == 200
        assert len(stack.wait_delivered(JEAN)) == 1
        # Larger than a document's part of it: GridFS.
        large = b"Subject: large\r\nList-Id: <x>\r\n\r\n" + \
            (b"y" * 70 + b"\r\n") * 40000
        assert stack.send(STRANGER, f"big@{DOMAIN}", large)[0] == 250
        said = ""
        for words in (("turing-cloud", "check-config"),
                      ("turing-agent", "check-config"),
                      ("turing-cloud", "store", "check"),
                      ("turing-agent", "store", "check"),
                      ("turing-cloud", "message", "list", "customer"),
                      ("turing-agent", "queue", "list")):
            code, text = outcome(stack, *words)
            assert code == 0, text
            said += text
        code, text = outcome(stack, "turing-cloud", "store", "copy",
                             "--to-backend", "sqlite", "--to-location",
                             os.path.join(stack.folder, "copied"))
        assert code == 0, text
        stack.agent.stop()
        stack.cloud.stop()
        said += text + stack.agent.text() + stack.cloud.text()
        assert "log.level = debug" in said and \
            re.search(r"MongoDB \d\.", said)
        assert_silent(said, server.password)


@pytest.mark.parametrize("how,words", [
    ("password", "refuses the user"), ("user", "refuses the user"),
    ("authority", "TLS|certificate|handshake"),
    ("no TLS", "No suitable servers|closed|socket"),
    ("no rights", "refuses the user"),
    ("no such file", "tlscafile cannot be read"),
])
def test_what_is_wrong_is_told_without_the_password(server, how, words):
    uri = {"password": server.uri_with(password=WRONG),
           "user": server.uri_with(user="nobody"),
           "authority": server.uri_with(ca_file=server.other_ca_file),
           "no TLS": server.uri_with(tls=False),
           "no rights": server.uri,
           "no such file": server.uri_with(ca_file="/nonexistent/ca.pem"),
           }[how] + "&serverSelectionTimeoutMS=2000"
    stack = Stack(store=stores.MongodbStore(uri, server.uri))
    stack.key = "unset"
    stack.write_configuration()
    try:
        server.grant(["turing_elsewhere"])
        for program, *arguments in COMMANDS:
            code, text = outcome(stack, program, *arguments)
            assert code not in (0, 2), (program, arguments, text)
            assert re.search(words, text), (program, arguments, text)
            assert text.count("\n") <= 3, text
            assert_silent(text, server.password, WRONG)
    finally:
        stack.store.names = []
        stack.close()


def test_rights_that_are_taken_while_running(server):
    """Senders are told to try again, and it heals when they are given back."""
    with Stack(store=SecureStore(server)) as stack:
        assert stack.send(STRANGER, JEAN)[0] == 250
        server.grant([])
        code, text = stack.send(STRANGER, f"later@{DOMAIN}")
        assert 400 <= code < 500, text
        wait_for(lambda: stack.get(f"{stack.api_url}/readyz")[0] == 503, 20,
                 "the cloud is not ready")
        server.grant(stack.store.names)
        wait_for(lambda: stack.send(STRANGER, f"last@{DOMAIN}")[0] == 250, 20,
                 "takes mail again")
        wait_for(lambda: stack.count_messages() == 2, 20, "registered")
        stack.agent.stop()
        # It is not the agent's key that is wrong.
        assert "401" not in stack.agent.text()
        stack.cloud.stop()
        assert_silent(stack.agent.text() + stack.cloud.text(),
                      server.password)
