"""Next hops that are down, lie, drop or stall at every step."""
import contextlib
import socket
import threading
import time

import pytest

from harness import DOMAIN, Stack, free_port, same_after_trace, sample, \
    wait_for
from hops import serve

JEAN = f"jean@{DOMAIN}"
FRIEND = "ann@friend.example"
SETTINGS = ("queue { retry_min = 1s, retry_max = 1s }\n"
            "next_hop { timeout_percent = 1, connect_timeout = 2s }")


class HostileHop:
    """An SMTP server that misbehaves until it is told to be good; it keeps
    what it acknowledged truthfully."""

    def __init__(self, script):
        self.script = script
        self.good = False
        self.accepted = []
        self.sessions = 0
        self.received = 0  # whole messages, whatever was answered
        self.peers = []

    def talk(self, peer):
        self.sessions += 1
        self.peers.append(peer)
        with contextlib.suppress(OSError, StopIteration), peer:
            peer.settimeout(30)
            Session(peer, self).run()

    def close(self):
        """Cuts every session, so that none outlives its row."""
        for peer in self.peers:
            with contextlib.suppress(OSError):
                peer.shutdown(socket.SHUT_RDWR)


class Session:
    """One dialogue. The script maps a step to what is done instead."""

    def __init__(self, peer, hop):
        self.peer = peer
        self.hop = hop
        self.lines = peer.makefile("rb")

    def say(self, step, standard):
        action = standard if self.hop.good else \
            self.hop.script.get(step, standard)
        if action == "drop":
            self.peer.shutdown(socket.SHUT_RDWR)
            raise StopIteration
        if action == "stall":
            time.sleep(12)
            raise StopIteration
        self.peer.sendall(action.encode() if isinstance(action, str)
                          else action)
        return action

    def run(self):
        self.say("greeting", "220 hop ESMTP\r\n")
        sender, recipients = None, []
        for line in self.lines:
            verb = line[:4].upper()
            if verb == b"EHLO":
                self.say("ehlo", "250-hop\r\n250-PIPELINING\r\n250 8BITMIME"
                         "\r\n")
            elif verb == b"HELO":
                self.say("helo", "250 hop\r\n")
            elif verb == b"MAIL":
                self.say("mail", "250 ok\r\n")
            elif verb == b"RCPT":
                if self.say("rcpt", "250 ok\r\n").startswith("250"):
                    recipients.append(line)
            elif verb == b"DATA":
                if not self.data(recipients):
                    return
                recipients = []
            elif verb == b"QUIT":
                self.say("quit", "221 bye\r\n")
                return
            else:
                self.say("other", "250 ok\r\n")

    def data(self, recipients):
        default = "354 go\r\n" if recipients else "554 no recipients\r\n"
        if not self.say("data", default).startswith("354"):
            return True
        content = b""
        for line in self.lines:
            if line == b".\r\n":
                break
            content += line[1:] if line.startswith(b".") else line
        else:
            return False
        self.hop.received += 1
        if self.say("dot", "250 stored\r\n").startswith("250"):
            self.hop.accepted.append(content)
        return True


COPIES = []  # whole copies beyond the first, of each row
ROWS = [
    ("refuses the connection by 554", {"greeting": "554 no\r\n"}),
    ("421 at once", {"greeting": "421 busy\r\n"}),
    ("drops at connect", {"greeting": "drop"}),
    ("stalls at connect", {"greeting": "stall"}),
    ("greeting is garbage", {"greeting": "hello there\r\n"}),
    ("greeting and early replies", {
        "greeting": "220 a\r\n250 b\r\n250 c\r\n250 d\r\n354 e\r\n250 f\r\n"}),
    ("drops at EHLO", {"ehlo": "drop"}),
    ("early replies after EHLO", {
        "ehlo": "250-hop\r\n250 PIPELINING\r\n250 x\r\n250 y\r\n354 z\r\n"
                "250 done\r\n"}),
    ("EHLO without an end", {"ehlo": "250-hop\r\n" * 2000}),
    ("drops at MAIL", {"mail": "drop"}),
    ("MAIL 451", {"mail": "451 later\r\n"}),
    ("drops at RCPT", {"rcpt": "drop"}),
    ("stalls at RCPT", {"rcpt": "stall"}),
    ("RCPT 450", {"rcpt": "450 greylisted\r\n"}),
    ("RCPT says 354", {"rcpt": "354 go on\r\n"}),
    ("RCPT 450 but 354 and 250 for the data", {
        "rcpt": "450 no\r\n", "data": "354 go\r\n"}),
    ("250 instead of 354", {"data": "250 stored already\r\n"}),
    ("354 and 250 at once", {"data": "354 go\r\n250 stored\r\n",
                             "dot": "drop"}),
    ("drops at DATA", {"data": "drop"}),
    ("451 at DATA", {"data": "451 no\r\n"}),
    ("451 after the dot", {"dot": "451 disk full\r\n"}),
    ("354 after the dot", {"dot": "354 more\r\n"}),
    ("garbage after the dot", {"dot": "\x00\x01\r\n"}),
    ("drops after the dot", {"dot": "drop"}),
    ("stalls after the dot", {"dot": "stall"}),
    ("half a line after the dot", {"dot": "250 sto"}),
]


@pytest.fixture(scope="module")
def shared():
    """One stack for all rows: the hop's port changes hands by a relay."""
    hop_port = free_port()
    with Stack(agent_settings=SETTINGS, next_hop_port=hop_port) as stack:
        stack.cloud_cli("entry", "add", "customer", "white", "domain",
                    "friend.example")
        wait_for(lambda: stack.metric(
            "agent", "turing_agent_policy_entries") == 1, 20, "white entry")
        yield stack, hop_port


class Relay:
    """Listens on the next hop's port and hands each connection to a hop."""

    def __init__(self, port, target):
        self.socket = socket.create_server(("127.0.0.1", port))
        threading.Thread(target=serve, args=(self.socket, target.talk),
                         daemon=True).start()

    def close(self):
        with contextlib.suppress(OSError):
            self.socket.shutdown(socket.SHUT_RDWR)
        self.socket.close()


@pytest.mark.parametrize("name,script", ROWS, ids=[row[0] for row in ROWS])
def test_hostile_hop(shared, name, script):
    stack, port = shared
    hop = HostileHop(script)
    relay = Relay(port, hop)
    try:
        recipient = f"r{abs(hash(name))}@{DOMAIN}"
        data = sample(FRIEND, recipient, name)
        assert stack.send(FRIEND, recipient, data)[0] == 250
        wait_for(lambda: hop.sessions >= 1, 20, "the hop is tried")
        time.sleep(0.7)
        states = states_of(stack, recipient)
        assert "delivered" not in states, "no final 2xx in step was given"
        assert "failed" not in states, "nothing permanent was said"
        lies = len(hop.accepted)
        hop.good = True
        wait_for(lambda: states_of(stack, recipient) == {"delivered"}, 40,
                 "delivered once the hop is good")
        assert hop.accepted, "a 250 without a stored message counts for nothing"
        assert hop.accepted[-1].endswith(data)
        assert len(hop.accepted) - lies == 1, "once, by the good hop"
        COPIES.append(hop.received - 1)
    finally:
        relay.close()
        hop.close()


def test_copies_are_counted(shared, capsys):
    """A copy more than one only where the final answer was not a 2xx or was
    lost; the agent counts those that may be duplicates."""
    stack, _ = shared
    uncertain = stack.metric("agent", "turing_agent_delivery_uncertain_total")
    with capsys.disabled():
        print(f"\n{len(COPIES)} hostile hops: false deliveries 0, second"
              f" copies {sum(COPIES)}, counted as uncertain by the agent"
              f" {uncertain:.0f}")
    assert len(COPIES) == len(ROWS)
    assert 1 <= uncertain <= sum(COPIES)


def states_of(stack, recipient):
    return {r["state"] for m in stack.queue("--recipient", recipient)
            for r in m["recipients"]}


def test_permanent_refusal_fails_that_recipient_alone(shared):
    stack, port = shared
    hop = HostileHop({})
    relay = Relay(port, hop)
    refused = {"count": 0}
    original = Session.say

    def say(self, step, standard):
        if step == "rcpt" and refused["count"] == 0:
            refused["count"] = 1
            return original(self, "none", "550 5.1.1 nobody\r\n")
        return original(self, step, standard)
    Session.say = say
    try:
        pair = [f"gone@{DOMAIN}", f"there@{DOMAIN}"]
        assert stack.send(FRIEND, pair)[0] == 250
        wait_for(lambda: states_of(stack, pair[1]) ==
                 {"failed", "delivered"}, 20, "one failed, one delivered")
        # Besides the DSN that tells the sender of the first.
        wait_for(lambda: len(hop.accepted) == 2, 20, "mail and DSN")
        assert len([m for m in hop.accepted
                    if b"report-type=delivery-status" in m]) == 1
    finally:
        Session.say = original
        relay.close()
        hop.close()


def test_next_hop_down_then_up(shared):
    stack, port = shared
    recipient = f"down@{DOMAIN}"
    data = sample(FRIEND, recipient)
    assert stack.send(FRIEND, recipient, data)[0] == 250
    wait_for(lambda: states_of(stack, recipient) == {"deferred"}, 20,
             "deferred")
    hop = HostileHop({})
    relay = Relay(port, hop)
    try:
        wait_for(lambda: states_of(stack, recipient) == {"delivered"}, 20,
                 "delivered")
        assert len([m for m in hop.accepted if m.endswith(data)]) == 1
        assert hop.accepted[-1].endswith(data)
    finally:
        relay.close()
        hop.close()


def test_same_after_trace_can_fail():
    good = (b"Return-Path: <a@b>\r\nDelivered-To: c@d\r\nReceived: x\r\n"
            b"X-Turing-Id: 1\r\nFrom: a\r\n\r\nhi\r\n")
    sent = b"From: a\r\n\r\nhi\r\n"
    assert same_after_trace(good, sent)
    assert not same_after_trace(good.replace(b"hi", b"ho"), sent)
    assert not same_after_trace(good.replace(b"X-Turing", b"X-Other"), sent)
    assert not same_after_trace(sent, sent)
