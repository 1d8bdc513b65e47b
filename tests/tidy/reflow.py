#!/usr/bin/python3
"""Breaks comment lines over 100 columns, for `./dev fmt`; clang-format would run the rows of a head comment together.

    tests/tidy/reflow.py FILE…

Only paragraphs with a line that is too long are filled again. A row such as 'Owner:     text' or '- text' keeps its
hanging indent. A comment behind code that is too long moves above its line. Drawings (three spaces inside a line) stay.
"""

import pathlib
import re
import sys
import textwrap

COLUMNS_MAX = 100
TOKEN = re.compile(r"//[^\n]*|/\*.*?\*/|\"(?:\\.|[^\"\\\n])*\"|'(?:\\.|[^'\\\n])*'", re.DOTALL)
# 'Owner:     ', the longest label 'Invariant: ', list items, a status, and the offsets of a layout ('16  u32 size').
LABEL = re.compile(r"\s*(?:\w[\w. ]*:  +|[A-Z][A-Z_]+  +|Invariant: +|[-*] +|\d+\. +|\d+  +)(?=\S)")


def split_body(lines):
    """Paragraphs: (hanging indent, lines). A paragraph goes on while lines start at its hanging indent."""
    paragraphs = []
    hanging = None
    for line in lines:
        indent = len(line) - len(line.lstrip())
        label = LABEL.match(line)
        if line and hanging == indent and not (label and indent < label.end() and re.match(r"\s*([-*]|\d+\.) ", line)):
            paragraphs[-1][1].append(line)
            continue
        if line and len(paragraphs) > 0 and hanging is not None and len(paragraphs[-1][1]) == 1:
            # The second line says where the paragraph hangs, if the first could be read either way.
            first = paragraphs[-1][1][0]
            first_label = LABEL.match(first)
            if not label and first_label and indent == len(first) - len(first.lstrip()):
                paragraphs[-1] = (indent, [first, line])
                hanging = indent
                continue
        hanging = (label.end() if label else indent) if line else None
        paragraphs.append((hanging or 0, [line]))
    return paragraphs


def fill(hanging, lines, width):
    first = lines[0]
    start = len(first) - len(first.lstrip())
    lead = first[:hanging] if hanging > start else " " * start
    text = " ".join([first[len(lead) :].strip(), *(line.strip() for line in lines[1:])])
    if re.search(r"\S   +\S", text):
        return lines
    return textwrap.wrap(
        text,
        width,
        initial_indent=lead,
        subsequent_indent=" " * hanging,
        break_long_words=False,
        break_on_hyphens=False,
    )


def reflow_body(lines, width):
    result = []
    for hanging, paragraph in split_body(lines):
        if any(len(line) > width for line in paragraph):
            result += fill(hanging, paragraph, width)
        else:
            result += paragraph
    return result


def body_of(comment):
    """(whether '/*' stands alone on its line, the lines inside without their ' * ')."""
    inside = comment[2:-2].split("\n")
    alone = len(inside) > 1 and not inside[0].strip()
    lines = [inside[0].strip()] if not alone else []
    for line in inside[1:]:
        line = line.strip("\n").rstrip()
        match = re.match(r"\s*\*( ?)(.*)$", line)
        lines.append(match.group(2) if match else line.strip())
    while lines and not lines[-1].strip():
        lines.pop()
    return alone, [line.rstrip() for line in lines]


def render(comment, indent):
    alone, lines = body_of(comment)
    space = " " * indent
    width = COLUMNS_MAX - indent - 3
    lines = reflow_body(lines, width)
    if not alone and lines and len(lines[-1]) > width - 3:
        last = lines.pop()
        lines += reflow_body([last], width - 3)
    prefixed = [(f"{space} * {line}").rstrip() for line in lines]
    if alone:
        return "\n".join(["/*", *prefixed, f"{space} */"])
    text = "\n".join(prefixed)[indent:]
    return "/*" + text[2:] + " */"


def reflow(text):
    out = []
    position = 0
    for match in TOKEN.finditer(text):
        comment = match.group()
        if not comment.startswith("/*") or match.start() < position:
            continue
        line_start = text.rfind("\n", 0, match.start()) + 1
        line_end = text.find("\n", match.end())
        line_end = len(text) if line_end < 0 else line_end
        before = text[line_start : match.start()]
        after = text[match.end() : line_end]
        whole = text[line_start:line_end].split("\n")
        if after.strip() or all(len(line) <= COLUMNS_MAX for line in whole):
            continue
        if not before.strip():
            out.append(text[position : match.start()] + render(comment, len(before)))
            position = match.end()
        elif not before.lstrip().startswith(("}", "#")) and line_start >= position:
            line_start, before = whole_declaration(text, line_start, before)
            indent = len(before) - len(before.lstrip())
            out.append(text[position:line_start] + " " * indent + render(joined(comment), indent))
            out.append("\n" + before.rstrip())
            position = match.end()
    out.append(text[position:])
    return "".join(out)


def whole_declaration(text, line_start, before):
    """clang-format breaks 'type name; /* long */' behind the type; without the comment it is one line again."""
    above_start = text.rfind("\n", 0, max(0, line_start - 1)) + 1
    above = text[above_start : max(0, line_start - 1)]
    if re.fullmatch(r"\s*\w[\w ]*", above) and re.fullmatch(r"\s*\w+(\[\w*\])?;\s*", before):
        return above_start, above + " " + before.strip()
    return line_start, before


def joined(comment):
    """A comment behind code, as one line."""
    _, lines = body_of(comment)
    return "/* " + " ".join(line.strip() for line in lines) + " */"


def main(paths):
    for path in map(pathlib.Path, paths):
        old = path.read_text("utf-8")
        new = reflow(old)
        if new != old:
            path.write_text(new, "utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
