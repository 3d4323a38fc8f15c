"""The main path: held, challenged, solved, delivered; and its refusals."""
import email
import email.policy
import re

import pytest

from harness import DOMAIN, Stack, same_after_trace, sample, wait_for

STRANGER = "marie@stranger.example"
JEAN = f"jean@{DOMAIN}"


def test_stranger_is_challenged_once_then_known(stack):
    first = sample(STRANGER, JEAN, "First")
    second = sample(STRANGER, f"paul@{DOMAIN}", "Second")
    third = sample(STRANGER, JEAN, "Third")
    assert stack.send(STRANGER, JEAN, first)[0] == 250
    assert stack.send(STRANGER, f"paul@{DOMAIN}", second)[0] == 250
    stack.challenge_link(STRANGER)
    assert stack.delivered(JEAN) == []
    status, page = stack.solve(STRANGER)
    assert status == 200 and b"image.png" not in page
    assert same_after_trace(stack.wait_delivered(JEAN)[0], first)
    assert same_after_trace(stack.wait_delivered(f"paul@{DOMAIN}")[0], second)
    wait_for(lambda: stack.metric("agent", "turing_agent_policy_entries") >= 1,
             20, "the white entry reaches the agent")
    assert stack.send(STRANGER, JEAN, third)[0] == 250
    assert same_after_trace(stack.wait_delivered(JEAN, 2)[1], third)
    assert len(stack.delivered(STRANGER)) == 1, "one challenge mail in all"


def test_challenge_mail_is_a_polite_answer(stack):
    mail = sample(STRANGER, JEAN, "=?utf-8?q?Caf=C3=A9_demain_=3F?=")
    stack.send(STRANGER, JEAN, mail)
    data = stack.wait_delivered(STRANGER)[0]
    assert data.startswith(b"Return-Path: <>\r\n")
    answer = email.message_from_bytes(data, policy=email.policy.default)
    original = email.message_from_bytes(mail, policy=email.policy.default)
    assert answer["Auto-Submitted"].startswith("auto-replied")
    assert answer["In-Reply-To"] == original["Message-ID"]
    assert original["Message-ID"] in answer["References"]
    assert answer["X-Auto-Response-Suppress"] == "All"
    assert answer["To"] == STRANGER
    assert {part.get_content_type() for part in answer.walk()} >= {
        "text/plain", "text/html"}
    text = answer.get_body(("plain",)).get_content()
    assert "Café demain ?" in text and JEAN in text
    assert re.search(r"\bBonjour\b", text) and re.search(r"\bHello\b", text)
    html = answer.get_body(("html",)).get_content()
    assert "<img" not in html and "<script" not in html


@pytest.mark.parametrize("headers,sender,spf,reason", [
    ("", "", "pass", "null-sender"),
    ("Auto-Submitted: auto-generated\r\n", STRANGER, "pass",
     "auto-submitted"),
    ("X-Autoreply: yes\r\n", STRANGER, "pass", "auto-header"),
    ("X-Auto-Response-Suppress: All\r\n", STRANGER, "pass", "suppressed"),
    ("List-Id: <a.b>\r\n", STRANGER, "pass", "list"),
    ("Precedence: bulk\r\n", STRANGER, "pass", "list"),
    ("", "noreply@stranger.example", "pass", "role-sender"),
    ("", STRANGER, "fail", "unauthenticated"),
    ("", STRANGER, "none", "unauthenticated"),
    ("", f"boss@{DOMAIN}", "pass", "own-domain"),
])
def test_no_challenge_but_held(stack, headers, sender, spf, reason):
    mail = sample(sender or "bounces@stranger.example", JEAN, spf=spf,
                  headers=headers)
    assert stack.send(sender, JEAN, mail)[0] == 250
    rows = wait_for(stack.messages, 20, "registered")
    assert [m["challenge_reason"] for m in rows] == [reason]
    assert stack.challenges() == []
    assert [m["recipients"][0]["state"] for m in stack.queue()] == ["held"]


def test_forged_authentication_results_count_for_nothing(stack):
    forged = sample(STRANGER, JEAN).replace(b"mx.customer.example",
                                            b"mx.evil.example", 1)
    genuine_fail = sample(STRANGER, JEAN, spf="fail") \
        .replace(b"From:", b"Authentication-Results: other.example; "
                 b"spf=pass smtp.mailfrom=stranger.example\r\n"
                 b"Authentication-Results: mx.customer.example; "
                 b"spf=pass smtp.mailfrom=stranger.example\r\nFrom:", 1)
    for mail in (forged, genuine_fail):
        assert stack.send(STRANGER, JEAN, mail)[0] == 250
    wait_for(lambda: stack.count_messages() == 2, 20, "registered")
    assert {m["challenge_reason"] for m in stack.messages()} \
        == {"unauthenticated"}
    assert stack.delivered(STRANGER) == []


def test_black_entry_discards_and_white_entry_passes(stack):
    stack.cloud_cli("entry", "add", "customer", "black", "address",
                    "bad@stranger.example")
    stack.cloud_cli("entry", "add", "customer", "white", "domain",
                    "friend.example")
    wait_for(lambda: stack.metric("agent", "turing_agent_policy_entries") == 2,
             20, "the entries reach the agent")
    assert stack.send("bad@stranger.example", JEAN)[0] == 250
    assert stack.send("ann@friend.example", JEAN)[0] == 250
    stack.wait_delivered(JEAN)
    forged = sample("ann@friend.example", JEAN, "forged", spf="fail")
    assert stack.send("ann@friend.example", JEAN, forged)[0] == 250
    states = {(m["sender"], m["recipients"][0]["state"])
              for m in stack.queue()}
    assert ("bad@stranger.example", "discarded") in states
    assert ("ann@friend.example", "held") in states
    assert len(stack.delivered(JEAN)) == 1


def test_black_entry_after_the_mail_discards_it(stack):
    stack.send(STRANGER, JEAN, sample(STRANGER, JEAN, headers="List-Id: <x>"
                                      "\r\n"))
    wait_for(lambda: stack.count_messages() == 1, 20, "registered")
    stack.cloud_cli("entry", "add", "customer", "black", "address",
                    STRANGER)
    stack.send(STRANGER, JEAN)
    wait_for(lambda: "discarded" in {
        m["recipients"][0]["state"] for m in stack.queue()}, 20, "discarded")
    assert stack.delivered(STRANGER) == []


def test_page_states(stack):
    stack.send(STRANGER, JEAN)
    link = stack.challenge_link(STRANGER)
    # The mail may be there before the cloud has written that it was sent.
    wait_for(lambda: {c["mail"] for c in stack.challenges()} == {"sent"}, 20,
             "known as sent")
    before = stack.challenges()
    for method in ("GET", "HEAD", "GET"):
        status, headers, page = stack.get(link, method)
        assert status == 200
        assert "default-src 'none'" in headers["Content-Security-Policy"]
    status, headers, image = stack.get(link + "/image.png")
    assert status == 200 and image.startswith(b"\x89PNG")
    assert stack.challenges() == before, \
        "GET changes nothing"
    serial = re.search(rb'name="serial"\s+value="(\d+)"', page).group(1)
    status, _, page = stack.post_form(link, answer="wrong!", serial=serial)
    assert status in (200, 422) and b'name="answer"' in page
    stale = stack.post_form(link, answer=stack.code_of(STRANGER),
                            serial=serial)
    assert stale[0] in (200, 409, 422) and b'name="answer"' in stale[2], \
        "the image of before counts no more"
    assert stack.delivered(JEAN) == []
    assert stack.solve(STRANGER)[0] == 200
    stack.wait_delivered(JEAN)
    status, _, again = stack.get(link)
    assert status == 200 and b'name="answer"' not in again
    status, _, again = stack.post_form(link, answer="abcdef", serial="0")
    assert status == 200 and b'name="answer"' not in again
    assert len(stack.delivered(JEAN)) == 1


@pytest.mark.parametrize("token", [
    "x", "A" * 75, "../../etc/passwd", "%00", "A" * 5000])
def test_forged_tokens(stack, token):
    base = f"{stack.pages_url}/c/"
    assert stack.get(base + token)[0] in (404, 414, 400, 431)
    assert stack.post_form(base + token, answer="a", serial="1")[0] \
        in (404, 414, 400, 431)


def test_tampered_token(stack):
    stack.send(STRANGER, JEAN)
    link = stack.challenge_link(STRANGER)
    head, token = link.rsplit("/", 1)
    for place in (0, 5, 30, 40, len(token) - 2):
        other = "A" if token[place] != "A" else "B"
        forged = token[:place] + other + token[place + 1:]
        assert stack.get(f"{head}/{forged}")[0] == 404, place


def test_expired_token():
    with Stack(cloud_settings="challenge { expires = 3s }") as stack:
        stack.send(STRANGER, JEAN)
        link = stack.challenge_link(STRANGER)
        wait_for(lambda: stack.get(link)[0] == 410, 20, "expired")
        status, _, _ = stack.post_form(link, answer=stack.code_of(STRANGER),
                                       serial="1")
        assert status == 410
        assert [m["recipients"][0]["state"] for m in stack.queue()] \
            == ["held"]


def test_too_many_wrong_answers():
    with Stack(cloud_settings="challenge { max_attempts = 3 }") as stack:
        stack.send(STRANGER, JEAN)
        link = stack.challenge_link(STRANGER)
        for _ in range(3):
            page = stack.get(link)[2]
            serial = re.search(rb'name="serial"\s+value="(\d+)"',
                               page).group(1)
            stack.post_form(link, answer="nonono", serial=serial)
        serial = stack.challenges()[0]["code_serial"]
        status, _, page = stack.post_form(
            link, answer=stack.code_of(STRANGER), serial=serial)
        assert status in (403, 429) and b'name="answer"' not in page
        assert stack.delivered(JEAN) == []


def test_relay_is_refused(stack):
    code, text = stack.send(STRANGER, "somebody@elsewhere.example")
    assert code == 550 and b"5.7.1" in text


def test_api_refuses_strangers(stack):
    url = f"{stack.api_url}/v1/agent/decisions?after=0"
    for value in (None, "Bearer x", "Bearer " + stack.key[:-1] + "x",
                  "Basic " + stack.key):
        headers = {"Authorization": value} if value else {}
        status, answer, _ = stack.get(url, headers=headers)
        assert status == 401
        assert answer["Content-Type"].startswith("application/problem+json")
