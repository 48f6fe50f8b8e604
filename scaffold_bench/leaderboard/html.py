"""HTML in which foreign text stays text: whatever is not :class:`Markup` is escaped, and only :func:`tag` makes it."""

from __future__ import annotations

from collections.abc import Iterable
from importlib.resources import files
from string import Template
from typing import TypeAlias

from scaffold_bench.submissions.text import check_link, escape

VOID = frozenset({"br", "img", "input", "link", "meta"})
"""Elements without an end."""


class Markup(str):
    """HTML that needs no escaping. Every method of ``str`` gives a plain ``str``, which is escaped again."""

    __slots__ = ()


Child: TypeAlias = "Markup | str | int | float | Iterable[Child] | None"
Attribute: TypeAlias = "str | int | float | bool | None"


def render(child: Child) -> Markup:
    """A child as HTML: markup as it is, None as nothing, sequences one after the other, all else escaped."""
    if isinstance(child, Markup):
        return child
    if child is None:
        return Markup()
    if isinstance(child, (str, int, float)):
        return Markup(escape(child))
    return Markup("".join(map(render, child)))


def tag(name: str, /, *children: Child, **attributes: Attribute) -> Markup:
    """An element.

    Args:
        name: its name.
        children: what is in it.
        attributes: values are escaped; True stands for an attribute without a value, False and None for none. In names
            an underscore at the end is dropped and others become hyphens.
    """
    shown = "".join(
        f" {key.rstrip('_').replace('_', '-')}" + ("" if value is True else f'="{escape(value)}"')
        for key, value in attributes.items()
        if value is not None and value is not False
    )
    opened = f"<{name}{shown}>"
    return Markup(opened if name in VOID else f"{opened}{render(children)}</{name}>")


def link(address: str) -> Markup:
    """A foreign address as a link that tells the other site nothing; one that is not http or https stays text."""
    try:
        check_link(address)
    except ValueError:
        return tag("span", address, class_="address")
    return tag("a", address, href=address, rel="nofollow noopener noreferrer external", class_="address")


def prose(text: str) -> Markup:
    """Foreign text of several lines."""
    blocks = [block for block in text.split("\n\n") if block.strip()]
    return render(
        tag("p", [(tag("br") if place else None, line) for place, line in enumerate(block.split("\n"))])
        for block in blocks
    )


def page(title: str, body: Child, *, depth: int = 0, current: str = "", scripts: Iterable[str] = ()) -> str:
    """A whole page.

    Args:
        title: its title.
        body: what is in its main part.
        depth: number of folders it lies in.
        current: the entry of the navigation that it belongs to.
        scripts: names of scripts among the static files.
    """
    root = "../" * depth
    places = {"Ranking": "index.html", "Tasks": "tasks.html", "Replays": "replays.html", "How to submit": "submit.html"}
    navigation = [
        tag("a", name, href=root + address, aria_current="page" if name == current else None)
        for name, address in places.items()
    ]
    template = Template(files(__package__).joinpath("templates/page.html").read_text(encoding="utf-8"))
    return template.substitute(
        title=escape(title),
        root=root,
        navigation=render(navigation),
        body=render(body),
        scripts="".join(tag("script", src=f"{root}static/{name}") for name in scripts),
    )
