"""A small part of Markdown, enough for our own documentation: headings, paragraphs, lists, tables, code, bold, links.

Everything else is shown as it is. No HTML passes, and a link that leads out of the site must be http or https.
"""

from __future__ import annotations

import re
from collections.abc import Iterator

from scaffold_bench.leaderboard.html import Child, Markup, link, render, tag

SPAN = re.compile(r"`([^`]+)`|\*\*([^*]+)\*\*|(?<!\*)\*([^*\s][^*]*)\*(?!\*)|!?\[([^\]]*)\]\(([^)\s]*)\)")
ITEM = re.compile(r"(\s*)([-*]|\d+\.) +(.*)")


def _span(match: re.Match[str]) -> Child:
    code, bold, slanted, label, address = match.groups()
    if code is not None:
        return tag("code", code)
    if bold is not None:
        return tag("strong", inline(bold))
    if slanted is not None:
        return tag("em", inline(slanted))
    shown = inline(label)
    return [shown, " (", link(address), ")"] if address.startswith(("http://", "https://")) else shown


def inline(text: str) -> Markup:
    """Text of a line: code, bold, slanted and links; a link into the repository is its text."""
    parts: list[Child] = []
    end = 0
    for match in SPAN.finditer(text):
        parts += [text[end : match.start()], _span(match)]
        end = match.end()
    return render([*parts, text[end:]])


def _blocks(text: str) -> Iterator[list[str]]:
    """Lines that belong together: code between fences, else what is between empty lines."""
    block: list[str] = []
    fenced = False
    for line in text.splitlines():
        fence = line.strip().startswith("```")
        if (fence and not fenced) or (not fenced and (not line.strip() or line.startswith("#"))):
            if block:
                yield block
            block = []
        if line.strip() or fenced:
            block.append(line)
        if (fence and fenced) or (not fenced and line.startswith("#")):
            yield block
            block = []
        fenced ^= fence
    if block:
        yield block


def _code(lines: list[str]) -> Markup:
    indent = len(lines[0]) - len(lines[0].lstrip())
    inside = [line[indent:] for line in lines[1:] if not line.strip().startswith("```")]
    return tag("pre", [[line, tag("br")] for line in inside], tabindex=0)


def _table(lines: list[str]) -> Markup:
    rows = [[inline(cell.strip()) for cell in line.strip().strip("|").split("|")] for line in lines]
    head = tag("thead", tag("tr", [tag("th", cell, scope="col") for cell in rows[0]]))
    body = tag("tbody", [tag("tr", [tag("td", cell) for cell in row]) for row in rows[2:]])
    return tag("div", tag("table", head, body), class_="wide", tabindex=0)


def _list(lines: list[str]) -> Markup:
    items: list[str] = []
    first = ITEM.match(lines[0])
    assert first is not None
    for line in lines:
        match = ITEM.match(line)
        if match is not None:
            items.append(match[3])
        else:
            items[-1] += " " + line.strip()
    ordered = first[2][0].isdigit()
    start = first[2].rstrip(".") if ordered else None
    return tag("ol" if ordered else "ul", [tag("li", inline(item)) for item in items], start=start)


def markdown(text: str) -> Markup:
    """A document as HTML."""
    made = []
    for block in _blocks(text):
        first = block[0]
        if first.strip().startswith("```"):
            made.append(_code(block))
        elif heading := re.match(r"(#{1,4}) +(.*)", first):
            made.append(tag(f"h{len(heading[1])}", inline(heading[2])))
        elif len(block) > 1 and "|" in first and re.fullmatch(r"[\s|:-]+", block[1]):
            made.append(_table(block))
        elif ITEM.match(first):
            made.append(_list(block))
        else:
            made.append(tag("p", inline(" ".join(line.strip() for line in block))))
    return render(made)
