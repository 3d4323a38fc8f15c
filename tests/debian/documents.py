"""What a document tells its reader to do: the indented lines of a section, in
their order, so that document and test cannot drift apart."""
import re


def read_section(path, title):
    """[(text before, [line, ...]), ...] for each indented block below the
    heading "## title"."""
    with open(path, encoding="utf-8") as file:
        found = re.search(rf"^## {re.escape(title)}\n(.*?)(?=^## |\Z)",
                          file.read(), re.M | re.S)
    assert found, f"{path} has no section {title}"
    blocks, text, block = [], [], []
    for line in found.group(1).splitlines() + ["end"]:
        if line.startswith("    "):
            block.append(line[4:])
        elif block and line:
            blocks.append(("\n".join(text), block))
            text, block = [line], []
        elif not block:
            text.append(line)
    return blocks


def is_configuration(block):
    return bool(re.match(r"\w+\s*\{", block[0]))


def named_file(text):
    """The last path in backquotes of the text before a block."""
    return re.findall(r"`(/[^`]+)`", text)[-1]
