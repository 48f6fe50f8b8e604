"""What is in HTML: for tests of pages and of what templates make."""

from __future__ import annotations

from html.parser import HTMLParser
from typing import Any

from scaffold_bench.leaderboard.render import TEMPLATES

VOID = frozenset({"br", "img", "input", "link", "meta"})
"""Elements without an end."""


def drawn(template: str, macro: str, *arguments: Any) -> str:
    """What a macro of a template makes."""
    return str(getattr(TEMPLATES.get_template(f"{template}.html.j2").module, macro)(*arguments))


class Structure(HTMLParser):
    """Elements with the names of their attributes, the values of some, and all text."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.elements: list[tuple[str, ...]] = []
        self.addresses: list[str] = []
        self.text = ""
        self.open: list[str] = []
        self.feed(str(page))  # of markup even a slice is markup, and is escaped where it is joined
        self.close()
        assert self.open == []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, *(name for name, _ in attrs)))
        self.addresses += [value or "" for name, value in attrs if name in ("href", "src", "action")]
        if tag not in VOID:
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        self.text += data
