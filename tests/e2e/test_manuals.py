"""Every key of the two tables and every option of the two programs stands in
the manuals, and every key in the files that "make install" puts in place."""
import os
import re
import subprocess

import pytest

from harness import BUILD, ROOT, Stack


def read(*path):
    with open(os.path.join(ROOT, *path), encoding="utf-8") as file:
        return file.read()


def words(program, *arguments):
    return subprocess.run(
        [os.path.join(BUILD, program), *arguments], capture_output=True,
        text=True, timeout=60, check=True).stdout


def keys_of(stack, program):
    """What check-config prints, which is what the table has."""
    printed = stack.run_cli(program, "check-config", check=False).stdout
    return set(re.findall(r"^(?:# )?([a-z_]+\.[a-z_]+) (?:=|is not)", printed,
                          re.M))


def keys_in_manual(program):
    """Of ".It Cm key" below ".Ss Section name", or of ".It Cm name.key"; two
    keys may share a paragraph."""
    section, found = None, set()
    for line in read("docs", f"{program}.conf.5").splitlines():
        named = re.match(r"\.Ss Section ([a-z_]+)", line)
        section = named.group(1) if named else section
        if line.startswith(".It Cm "):
            for key in re.findall(r"\b[a-z_]+(?:\.[a-z_]+)?",
                                  line[7:].split(" Pq ")[0]):
                found.add(key if "." in key else f"{section}.{key}")
    return found


def keys_in_example(program):
    section, found = None, set()
    for line in read("ops", f"{program}.conf").splitlines():
        named = re.match(r"(?:# ?)?([a-z_]+) \{", line)
        section = named.group(1) if named else section
        key = re.match(r"#?\s*(?:# ?)?([a-z_]+) = ", line)
        if key:
            found.add(f"{section}.{key.group(1)}")
    return found


# Explained by a comment above the section that they would stand in.
ELSEWHERE = {"spool.incoming", "cloud.key"}


def test_keys():
    with Stack() as stack:
        for program in ("turing-agent", "turing-cloud"):
            keys = keys_of(stack, program)
            assert len(keys) > 40
            assert keys_in_manual(program) == keys
            assert keys - keys_in_example(program) - ELSEWHERE == set()


def options(text):
    return set(re.findall(r"(?<![\w-])--[a-z][a-z-]+", text))


@pytest.mark.parametrize("program", ["turing-agent", "turing-cloud"])
def test_options(program):
    groups = ("queue", "store", "backup", "restore") \
        if program == "turing-agent" else ()
    told = words(program, "--help") + "".join(
        words(program, group, "--help") for group in groups)
    manual = read("docs", f"{program}.8")
    manual = re.sub(r"(Fl |\| )-", r"\1--", manual.replace("\\-", "-"))
    assert options(told) - options(manual) == set()
    assert options(manual) - options(told) - {"--config"} == set()
    commands = re.findall(r"^  ([a-z][a-z-]*)(?: ([a-z]+))?(?= |$)", told, re.M)
    assert len(commands) > 5
    for command in commands:
        name = " ".join(filter(None, command))
        assert re.search(rf"^\.(?:It|Nm|Cm).*\b{name}\b", manual, re.M), name
