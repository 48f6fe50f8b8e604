"""The pages, and Markdown of kept entries, are deaf to what is written in submissions."""

from __future__ import annotations

import dataclasses
import importlib.util
import re
from html import unescape
from pathlib import Path
from typing import Any

import pytest
from jinja2 import UndefinedError
from markdown_it import MarkdownIt
from pydantic import BaseModel
from structure import Structure, drawn

from scaffold_bench.leaderboard.boards import Entry, Refused, boards_of, read_submissions
from scaffold_bench.leaderboard.render import TEMPLATES, markdown, page
from scaffold_bench.leaderboard.view import BoardView, Method, board_view, method_pages
from scaffold_bench.submissions.model import Score

PAYLOADS = [
    "<script>alert(1)</script>",
    "\"><img src=x onerror=alert(1)><a b='",
    "' onmouseover='alert(1)' x='",
    "</title></td></select></textarea><script>alert(1)</script>",
    "--><svg onload=alert(1)>]]>",
    "javascript:alert(1)",
    "${root}$title&lt;script&gt;&amp;",
    "a\nb\n\n<b>c</b>`[x](javascript:alert(1))",
]
KEPT = {"track", "preset", "kind", "links"}
"""Fields that only take values from a list, by which the code looks things up; links have a test of their own."""


def replaced(value: Any, text: str, name: str = "") -> Any:
    """A value with every text in it, also in keys, replaced; what the code looks things up by is kept."""
    if name in KEPT:
        return value
    if isinstance(value, str):
        return text
    if isinstance(value, list):
        return [replaced(item, text) for item in value]
    if isinstance(value, dict):
        return {f"{text}{place}": replaced(item, text) for place, item in enumerate(value.values())}
    if isinstance(value, BaseModel):
        fields = type(value).model_fields
        return value.model_copy(update={field: replaced(getattr(value, field), text, field) for field in fields})
    return value


def with_text(entry: Entry, text: str) -> Entry:
    """An entry that says the same in every field, past all checks."""
    submission = replaced(entry.submission, text)
    names = [f"{text}{place}" for place in range(len(entry.aggregates.tasks))]
    protocol = submission.protocol.model_copy(update={"tasks": names})
    return dataclasses.replace(
        entry,
        folder=text,
        submission=submission.model_copy(update={"protocol": protocol}),
        aggregates=replaced(entry.aggregates, text),
        notes=(text, text),
    )


def made_pages(entry: Entry, text: str) -> list[str]:
    """Every page that shows something of a submission, with a text in all its fields."""
    hostile = with_text(entry, text)
    (board,) = boards_of([hostile])
    view = board_view(board)
    (method,) = method_pages(board, view, [hostile], {}, {})
    method = dataclasses.replace(
        method,
        replays={text: "../replays/x.html"},
        videos={text: "../videos/x.mp4"},
        comparisons=[(Method(hostile), Score(mean=0.4, low=0.3, high=0.5))],
        same_policy=[Method(hostile)] * 2,
    )
    names = board.key.tasks
    return [
        page("index", boards=[view], refused=[Refused(text, (text,))]),
        page("method", page=method),
        *(page("task", name=name, env_id=text, boards=[view], about="", picture=True) for name in names),
        page("tasks", ids={text: text}, pictures=[text]),
        page("replays", addresses={text: "replays/x.html"}, refused=[Refused(text, (text,))]),
    ]


@pytest.mark.parametrize("payload", PAYLOADS)
def test_text_in_any_field_makes_no_element_and_no_attribute(submissions: Path, payload: str) -> None:
    entries, _ = read_submissions(submissions)
    entry = next(entry for entry in entries if entry.slug == "one")
    for harmless, hostile in zip(made_pages(entry, "harmless"), made_pages(entry, payload), strict=True):
        expected, found = Structure(harmless), Structure(hostile)
        added = [element for element in found.elements if element not in (("br",), ("p",))]
        assert added == [element for element in expected.elements if element not in (("br",), ("p",))]
        assert payload in found.text
        assert found.elements.count(("script", "src")) == hostile.count("<script")
        assert not [address for address in found.addresses if address.lower().startswith("javascript:")]


@pytest.mark.parametrize(
    "address",
    [
        "javascript:alert(1)",
        "JaVaScRiPt:alert(1)",
        "data:text/html,<script>alert(1)</script>",
        "//example.org",
        "file:///etc/passwd",
        "https://user:password@example.org",
        'https://example.org/" onclick="alert(1)',
        "https://",
        "",
    ],
)
def test_only_plain_web_addresses_become_links(address: str) -> None:
    found = Structure(drawn("parts", "link", address))
    assert found.elements == [("span", "class")]
    assert found.text.strip() == address


def test_a_link_tells_the_other_site_nothing() -> None:
    for made in (
        drawn("parts", "link", "https://example.org/a?b=c&d"),
        markdown("[a](https://example.org/a?b=c&d) and <https://example.org/a?b=c&d>"),
    ):
        found = Structure(made)
        assert set(found.addresses) == {"https://example.org/a?b=c&d"}
        assert made.count('rel="nofollow noopener noreferrer external"') == len(found.addresses) > 0


def test_templates_escape_everything_and_leave_no_way_around_it() -> None:
    assert TEMPLATES.autoescape is True
    for name in TEMPLATES.list_templates():
        assert TEMPLATES.loader is not None
        source, _, _ = TEMPLATES.loader.get_source(TEMPLATES, name)
        assert not re.search(r"\|\s*safe\b|autoescape|Markup|<style| style=| on[a-z]+=", source), name
        assert not re.search(r"<script(?! src=| type=\"application/json\")", source), name
        assert not re.search(r"=\{\{", source), f"{name}: an attribute without quotes"
    assert drawn("parts", "prose", "<i>a\nb\n\n&") == "<p>&lt;i&gt;a<br>b</p>\n<p>&amp;</p>\n"


def test_what_is_missing_is_no_empty_text() -> None:
    with pytest.raises(UndefinedError, match="refused"):
        page("index", boards=[])


def test_markdown_of_the_documentation_is_shown() -> None:
    text = (
        "# A `b`\n\nOne\n**two** [three](x.md).\n\n- a\n  b\n- c\n\n1. d\n\n"
        "   ```bash\n   e <f>\n\n   g\n   ```\n\n| h | i |\n|---|---|\n| j | k |\n"
    )
    found = Structure(markdown(text))
    names = " ".join(element[0] for element in found.elements)
    assert names == "h1 code p strong ul li li ol li p pre div table thead tr th th tbody tr td td"
    for words in ("One\ntwo three.", "a\nb", "e <f>\n\ng"):
        assert words in found.text


@pytest.mark.parametrize(
    "payload",
    [
        *PAYLOADS,
        "[a](javascript:alert(1))",
        "![a](data:x)",
        "`<b>`",
        "| <i> |\n|---|\n| <b> |",
        "<javascript:alert(1)>",
        "[a]: data:x\n\n[a]",
    ],
)
def test_markdown_lets_no_html_through(payload: str) -> None:
    allowed = {
        "p",
        "h1",
        "h2",
        "code",
        "strong",
        "em",
        "ul",
        "ol",
        "li",
        "pre",
        "br",
        "div",
        "table",
        "thead",
        "tbody",
        "tr",
        "th",
        "td",
    }
    found = Structure(markdown(f"{payload}\n\n# {payload}\n\n- {payload}\n\n```\n{payload}\n```"))
    assert {element[0] for element in found.elements} <= allowed
    assert found.addresses == []


# ------------------------------------------------------------------------------------------------ docs/results.md
def make_results() -> Any:
    """The script that makes the README's table and docs/results.md, as a module."""
    path = Path(__file__).parents[2] / "scripts" / "make_results.py"
    spec = importlib.util.spec_from_file_location("make_results", path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def in_markdown(boards: list[BoardView]) -> list[str]:
    """What the script makes of boards, as HTML."""
    script, show = make_results(), MarkdownIt("commonmark").enable(["table", "strikethrough"])
    table = script.readme(boards, f"{script.BEGIN}{script.END}").removeprefix(script.BEGIN).removesuffix(script.END)
    return [
        show.render(script.page(boards).removeprefix("<!-- Made by scripts/make_results.py; do not edit. -->")),
        show.render(table),
    ]


@pytest.mark.parametrize(
    "payload", [*(text for text in PAYLOADS if "\n" not in text), "a | b \\| `c` | [d](https://e.example)", "```"]
)
def test_results_show_text_of_an_entry_and_obey_nothing(submissions: Path, payload: str) -> None:
    entries, _ = read_submissions(submissions)
    pages = []
    for text in ("harmless", payload):
        method = entries[0].submission.method.model_copy(update={"name": text})
        plans = entries[0].submission.plans.model_copy(update={"provider": text})
        evaluated = entries[0].submission.evaluated.model_copy(update={"hardware": text})
        submission = entries[0].submission.model_copy(update={"method": method, "plans": plans, "evaluated": evaluated})
        (board,) = boards_of([dataclasses.replace(entries[0], submission=submission, folder=text)])
        pages.append(in_markdown([board_view(board)]))
    for harmless, hostile in zip(*pages, strict=True):
        assert unescape(re.sub("</?(span|code)>", "", hostile)).count(payload) >= 2
        expected, found = Structure(harmless), Structure(hostile)
        assert [e for e in found.elements if e not in (("span",), ("code",))] == [
            e for e in expected.elements if e not in (("span",), ("code",))
        ]
