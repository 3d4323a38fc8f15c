"""The collections of inputs that failed once, with what is right: a folder
that the tests read and never copy. TURING_CASES names it; where there is none
the project's own fixtures serve, and the test says so."""
import json
import os

import pytest

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.dirname(
    os.path.abspath(__file__)))))
CASES = os.environ.get("TURING_CASES",
                       os.path.join(ROOT, "..", "shared", "cases"))
SUITES = os.environ.get("TURING_SUITES",
                        os.path.join(ROOT, "..", "shared", "suites"))


def load(kind):
    """The cases of CASES/kind.jsonl, in order; none where it is absent."""
    path = os.path.join(CASES, kind + ".jsonl")
    if not os.path.exists(path):
        return []
    with open(path, encoding="utf-8") as lines:
        return [json.loads(line) for line in lines if line.strip()]


def need(kind):
    """load(), or a skipped test that says what is absent."""
    found = load(kind)
    if not found:
        pytest.skip(f"cases absent: no {kind}.jsonl in {CASES}")
    return found


def attachment(name):
    """The bytes of a file that a case names, such as "eml/x.eml"."""
    with open(os.path.join(CASES, name), "rb") as file:
        return file.read()
