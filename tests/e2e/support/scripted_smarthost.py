"""A smarthost that answers each verb as it is told, and counts what it took."""
import socketserver
import threading


class Script:
    """The answers, by verb; all good unless told otherwise."""
    GOOD = {"EHLO": ["PIPELINING", "SIZE 104857600", "8BITMIME",
                     "ENHANCEDSTATUSCODES", "CHUNKING"],
            "MAIL": "250", "RCPT": "250", "DATA": "354", "BDAT n": "250",
            "end of data or BDAT LAST": "250"}

    def __init__(self):
        self.answers = dict(self.GOOD)
        self.taken = {}  # recipient: how many mails
        self.asked = {}  # recipient: how many RCPT
        self.refused = {}  # recipient: the answer to his mail's end
        self.on_taken = lambda recipient: None  # before the 250
        self.lock = threading.Lock()

    def set(self, **answers):
        self.answers = dict(self.GOOD, **answers)

    def copies(self, recipient):
        with self.lock:
            return self.taken.get(recipient, 0)

    def attempts(self, recipient):
        with self.lock:
            return self.asked.get(recipient, 0)

    def count(self, table, recipient):
        with self.lock:
            table[recipient] = table.get(recipient, 0) + 1


class Session(socketserver.StreamRequestHandler):
    """One client."""

    def say(self, reply):
        text = reply if " " in reply else reply + " ok"
        self.wfile.write(text.encode() + b"\r\n")

    def end_of_data(self):
        script = self.server.script
        reply = script.refused.get(
            self.recipient, script.answers["end of data or BDAT LAST"])
        if "{n}" in reply:  # a number of its own for each mail
            reply = reply.replace("{n}", str(script.attempts(self.recipient)))
        if reply.startswith("2"):
            script.count(script.taken, self.recipient)
            script.on_taken(self.recipient)
        self.say(reply)

    def handle(self):
        script = self.server.script
        self.recipient = None
        self.say("220 scripted")
        while True:
            line = self.rfile.readline()
            if not line:
                return
            words = line.decode("latin-1").split()
            verb = words[0].upper() if words else ""
            answers = script.answers
            if verb == "EHLO":
                lines = ["scripted", *answers["EHLO"]]
                self.wfile.write("".join(
                    f"250{'-' if i + 1 < len(lines) else ' '}{text}\r\n"
                    for i, text in enumerate(lines)).encode())
            elif verb == "QUIT":
                self.say("221")
                return
            elif verb == "RCPT":
                self.recipient = line.decode("latin-1").split("<")[1] \
                    .split(">")[0]
                script.count(script.asked, self.recipient)
                self.say(answers["RCPT"])
                if not answers["RCPT"].startswith("2"):
                    self.recipient = None
            elif verb in ("DATA", "BDAT") and self.recipient is None:
                if verb == "BDAT":
                    self.rfile.read(int(words[1]))
                self.say("554 5.5.1 no valid recipients")
            elif verb == "DATA":
                self.say(answers["DATA"])
                if answers["DATA"].startswith("354"):
                    while self.rfile.readline() not in (b".\r\n", b""):
                        pass
                    self.end_of_data()
            elif verb == "BDAT":
                self.rfile.read(int(words[1]))
                if len(words) > 2:
                    self.end_of_data()
                else:
                    self.say(answers["BDAT n"])
            else:
                self.say(answers.get(verb, "250"))


class Smarthost(socketserver.ThreadingTCPServer):
    """Listens on a free port while it is entered."""
    allow_reuse_address = True
    daemon_threads = True

    def __init__(self):
        super().__init__(("127.0.0.1", 0), Session)
        self.script = Script()
        self.port = self.server_address[1]

    def __enter__(self):
        threading.Thread(target=self.serve_forever, daemon=True).start()
        return self

    def __exit__(self, *unused):
        self.shutdown()
        self.server_close()
