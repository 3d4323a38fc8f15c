"""What the cloud answers to odd requests, as docs/openapi.yaml has it: the
project's own rows, then the collected cases."""
import datetime
import json
import os
import re
import uuid

import yaml

import cases
from harness import DOMAIN, Stack, wait_for

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(
    os.path.abspath(__file__))))
BROWSER = {"Accept": "text/html,application/xhtml+xml", "Accept-Language": "fr"}

# Method, path, headers, status, how the content type begins.
ROWS = [
    ("GET", "/c/%FF%FE", {}, 404, "text/html"),
    ("GET", "/c/%00", {}, 404, "text/html"),
    ("GET", "/c/%zz", {}, 404, "text/html"),
    ("GET", "/c/abc?x=%C3%28", {}, 404, "text/html"),
    ("GET", "/c/", {}, 404, "text/html"),
    ("GET", "/c/a/b/c", {}, 404, "text/html"),
    ("HEAD", "/c/%FF", {}, 404, "text/html"),
    ("PUT", "/c/abc", {}, 405, "text/html"),
    ("GET", "/", {}, 200, "text/html"),
    ("HEAD", "/", {}, 200, "text/html"),
    ("GET", "/?lang=fr&x=%FF", {}, 200, "text/html"),
    ("POST", "/", {}, 405, "application/problem+json"),
    ("POST", "/", BROWSER, 405, "text/html"),
    ("GET", "/robots.txt", {}, 200, "text/plain"),
    ("GET", "/favicon.ico", {}, 404, "application/problem+json"),
    ("GET", "/index.html", BROWSER, 404, "text/html"),
    ("GET", "/%FF", BROWSER, 404, "text/html"),
    ("GET", "/%FF", {}, 400, "application/problem+json"),
    ("GET", "/v1/agent/nothing", BROWSER, 404, "application/problem+json"),
    ("GET", "/v1/agent/policy", BROWSER, 401, "application/problem+json"),
    ("GET", "/v1/agent/%FF", BROWSER, 400, "application/problem+json"),
]


def filled(value):
    """The value with {uuid7}, {now} and {tomorrow} put in."""
    now = datetime.datetime.now(datetime.timezone.utc)
    texts = {"{uuid7}": str(uuid.UUID(int=uuid.uuid4().int & ~(0xf << 76)
                                      | 7 << 76)),
             "{now}": now.strftime("%Y-%m-%dT%H:%M:%SZ"),
             "{tomorrow}": (now + datetime.timedelta(days=1)).strftime(
                 "%Y-%m-%dT%H:%M:%SZ")}
    text = json.dumps(value)
    for name, filling in texts.items():
        text = text.replace(name, filling)
    return text


def not_sent(stack):
    """The reasons in the metric of challenges that were not sent."""
    text = stack.get(f"http://127.0.0.1:{stack.cloud_ports[0]}/metrics")[2]
    return set(re.findall(
        r'challenges_not_sent_total\{reason="([^"]*)"', text.decode()))


def register(stack, reason):
    body = {"messages": [{
        "id": "{uuid7}", "sender": "", "received_at": "{now}",
        "expires_at": "{tomorrow}", "size": 1, "recipients": [
            f"jean@{DOMAIN}"], "challenge_reason": reason}]}
    status, _, answer = stack.get(
        stack.api_url + "/v1/agent/messages", "POST", filled(body),
        {"Authorization": "Bearer " + stack.key,
         "Content-Type": "application/json"})
    assert status == 200, answer
    return json.loads(answer)["results"][0]


def test_answers_are_those_of_the_document():
    with Stack() as stack:
        base = f"http://127.0.0.1:{stack.cloud_ports[0]}"
        for method, path, headers, status, kind in ROWS:
            got, answer, body = stack.get(base + path, method, headers=headers)
            assert (got, answer["Content-Type"][:len(kind)]) == \
                (status, kind), (method, path, got, answer["Content-Type"])
            assert (not body) == (method == "HEAD"), (method, path)
            if kind == "text/html":
                policy = answer["Content-Security-Policy"]
                assert "default-src 'none'" in policy, path
                assert "http" not in body.decode().replace(
                    "http-equiv", ""), path
        english = stack.get(base + "/?lang=en")[2].decode()
        french = stack.get(base + "/", headers=BROWSER)[2].decode()
        assert "not known yet" in english and "encore inconnues" in french
        for number in range(30):
            word = "made-up-" + "abcdefghij"[number % 10] * (1 + number // 10)
            assert register(stack, word)["status"] == "registered"
        assert register(stack, "null-sender")["status"] == "registered"
        wait_for(lambda: not_sent(stack) == {"other", "null-sender"}, 5,
                 "one series for words that are not known")
        play(stack, cases.load("api"))


def play(stack, found):
    """Each case against tenant acme; the message names those that fail."""
    stack.cloud_cli("tenant", "add", "acme")
    stack.cloud_cli("domain", "add", "acme", "acme.example")
    key = stack.cloud_cli("agent", "add", "acme", "mx").stdout.strip()
    wrong = []
    for case in found:
        try:
            play_one(stack, key, case)
        except AssertionError as error:
            wrong.append(f"{case['id']}: {error}")
    assert not wrong, "\n".join(wrong)
    if not found:
        print("cases absent: no api.jsonl")


def play_one(stack, key, case):
    given, right = case["in"], case["right"]
    headers = {} if given["key"] == "none" else \
        {"Authorization": "Bearer " + key}
    body = None
    if "body" in given or "body_text" in given:
        headers["Content-Type"] = "application/json"
        body = given.get("body_text") or filled(given["body"])
    status, answer, data = stack.get(
        f"http://127.0.0.1:{stack.cloud_ports[0]}{given['path']}",
        given["method"], body, headers)
    said = f"{status} {answer['Content-Type']} {data[:300]!r}"
    if "status" in right:
        assert status == right["status"], said
    if "content_type" in right:
        assert answer["Content-Type"].startswith(right["content_type"]), said
    if "one_of" in right:
        assert any(text.startswith(str(status)) or not text[0].isdigit()
                   for text in right["one_of"]), said
        check_item(status, data, case)
    if "metrics" in right:
        assert "zaaaa" not in not_sent(stack)
    if "schema" in right:
        assert status == 400, said
        with open(os.path.join(ROOT, "docs", "openapi.yaml"),
                  encoding="utf-8") as file:
            document = yaml.safe_load(file)
        after = document["components"]["parameters"]["After"]["schema"]
        assert after["maximum"] == 2 ** 63 - 1


def check_item(status, data, case):
    """An item that is wrong is refused by itself, with its field's name."""
    if status != 200 or case["sub"] not in ("wrong-type-per-item",
                                            "over-a-stated-length"):
        return
    result = json.loads(data)["results"][0]
    if result["status"] == "refused":
        assert re.search(r"[a-z_]+(\[\d+\])?: ", result["error"]), result
