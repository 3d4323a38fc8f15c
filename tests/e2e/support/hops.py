"""Next hops that do as they are told: what they answer to whom, and when they
end a session. They keep what they took."""
import contextlib
import socket
import threading


def serve(listener, talk):
    """Calls talk with each connection, in a thread of its own, until the
    listening socket is closed."""
    while True:
        try:
            peer, _ = listener.accept()
        except OSError:
            return
        threading.Thread(target=talk, args=(peer,), daemon=True).start()


class Hop:
    """An SMTP server on a port of its own. answers maps a verb ("MAIL",
    "RCPT", "DATA", "dot") to a reply, or to replies by local part; mails_each
    is how many messages a session takes before it ends by goodbye, a pair of a
    verb and a reply."""

    def __init__(self, port=0):
        self.answers = {}
        self.mails_each = None
        self.goodbye = ("MAIL", "421 4.7.0 Too many messages")
        self.closes = True
        self.taken = []  # (sender, recipients, content)
        self.sessions = 0
        self.lock = threading.Lock()
        self.socket = socket.create_server(("127.0.0.1", port))
        self.port = self.socket.getsockname()[1]
        threading.Thread(target=serve, args=(self.socket, self.talk),
                         daemon=True).start()

    def talk(self, peer):
        with self.lock:
            self.sessions += 1
        with contextlib.suppress(OSError), peer:
            peer.settimeout(60)
            Session(peer, self).run()

    def copies(self, recipient):
        """How many messages were taken for the recipient."""
        with self.lock:
            return sum(recipient in recipients
                       for _, recipients, _ in self.taken)

    def close(self):
        with contextlib.suppress(OSError):
            self.socket.shutdown(socket.SHUT_RDWR)
        self.socket.close()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()


class Session:
    """One dialogue."""

    def __init__(self, peer, hop):
        self.peer = peer
        self.hop = hop
        self.lines = peer.makefile("rb")
        self.mails = 0
        self.sender, self.recipients = "", []

    def say(self, reply):
        self.peer.sendall(reply.encode() + b"\r\n")
        return reply

    def answer(self, verb, standard, local=None):
        """Whether the answer to a verb is a good one; None: it is the last."""
        hop = self.hop
        if hop.mails_each is not None and verb == hop.goodbye[0] and \
                self.mails >= hop.mails_each:
            self.say(hop.goodbye[1])
            return None if hop.closes else False
        reply = hop.answers.get(verb, standard)
        if isinstance(reply, dict):
            reply = reply.get(local, standard)
        return self.say(reply)[0] in "23"

    def run(self):
        self.say("220 hop ESMTP")
        for raw in self.lines:
            line = raw.decode("utf-8", "replace").strip()
            verb = line[:4].upper()
            if verb == "EHLO":
                self.say("250-hop\r\n250 8BITMIME")
            elif verb == "MAIL":
                good = self.answer("MAIL", "250 ok")
                self.sender, self.recipients = path_of(line), []
                if good is None:
                    return
            elif verb == "RCPT":
                recipient = path_of(line)
                good = self.answer("RCPT", "250 ok",
                                   recipient.split("@", 1)[0])
                if good is None:
                    return
                if good:
                    self.recipients.append(recipient)
            elif verb == "DATA":
                if self.data() is None:
                    return
            elif verb == "QUIT":
                self.say("221 bye")
                return
            else:
                self.say("250 ok")

    def data(self):
        good = self.answer("DATA", "354 go" if self.recipients
                           else "554 no recipients")
        if not good:
            return good
        content = b""
        for line in self.lines:
            if line == b".\r\n":
                break
            content += line[1:] if line.startswith(b".") else line
        else:
            return None
        good = self.answer("dot", "250 stored")
        if good:
            with self.hop.lock:
                self.hop.taken.append(
                    (self.sender, self.recipients, content))
            self.mails += 1
        return good


def path_of(line):
    """What stands between < and > in MAIL or RCPT."""
    return line[line.find("<") + 1:line.rfind(">")]
