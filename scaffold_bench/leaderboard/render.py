"""Templates to pages. Everything put into one is escaped; only templates and :func:`markdown` make HTML."""

from __future__ import annotations

from collections.abc import Sequence

from jinja2 import Environment, PackageLoader, StrictUndefined
from markdown_it import MarkdownIt
from markdown_it.renderer import RendererHTML
from markdown_it.rules_core import StateCore
from markdown_it.token import Token
from markdown_it.utils import EnvType, OptionsDict
from markupsafe import Markup, escape

from scaffold_bench.leaderboard import charts
from scaffold_bench.leaderboard.boards import MEAN
from scaffold_bench.metrics.columns import COLUMNS, SUCCESS_AT_END, SUCCESS_ONCE
from scaffold_bench.submissions.facts import costs, count
from scaffold_bench.submissions.model import TRACK_NAMES
from scaffold_bench.submissions.text import check_link
from scaffold_bench.submissions.verification import BADGES, SELF_REPORTED

FOREIGN = "nofollow noopener noreferrer external"
"""What a link to another site says, which then learns nothing of the reader."""


def is_web_address(address: str) -> bool:
    """Whether something may be a link: a plain http or https address."""
    try:
        check_link(address)
    except ValueError:
        return False
    return True


TEMPLATES = Environment(
    loader=PackageLoader("scaffold_bench.leaderboard"),
    autoescape=True,
    undefined=StrictUndefined,
    trim_blocks=True,
    lstrip_blocks=True,
)
TEMPLATES.tests["web_address"] = is_web_address
TEMPLATES.globals.update(
    charts=charts,
    BADGES=BADGES,
    COLUMNS=COLUMNS,
    FOREIGN=FOREIGN,
    MEAN=MEAN,
    SELF_REPORTED=SELF_REPORTED,
    SUCCESS_AT_END=SUCCESS_AT_END,
    SUCCESS_ONCE=SUCCESS_ONCE,
    TRACK_NAMES=TRACK_NAMES,
    costs=costs,
    count=count,
    zip=zip,
)


def page(template: str, /, **shown: object) -> str:
    """The HTML of a page from the template of that name.

    Raises:
        jinja2.UndefinedError: the template shows something that is not given.
    """
    return TEMPLATES.get_template(f"{template}.html.j2").render(shown)


def _links(state: StateCore) -> None:
    """Keep links to web addresses; one into the repository is only its text."""
    for block in state.tokens:
        kept: list[Token] = []
        foreign = False
        for token in block.children or []:
            if token.type == "link_open":
                foreign = is_web_address(str(token.attrs["href"]))
                token.attrs = {"href": token.attrs["href"], "rel": FOREIGN, "class": "address"}
            if foreign or token.type not in ("link_open", "link_close"):
                kept.append(token)
        if block.children:
            block.children = kept


def _code(_renderer: RendererHTML, tokens: Sequence[Token], place: int, *_: object) -> str:
    """Code that scrolls, also from the keyboard."""
    return str(Markup('<pre tabindex="0">{}</pre>\n').format(tokens[place].content))


def _image(_renderer: RendererHTML, tokens: Sequence[Token], place: int, *_: object) -> str:
    """An image's text: pages show none but their own."""
    return str(escape(tokens[place].content))


def _table(renderer: RendererHTML, tokens: Sequence[Token], place: int, options: OptionsDict, env: EnvType) -> str:
    """A table that scrolls, also from the keyboard."""
    made = renderer.renderToken(tokens, place, options, env)
    return f'<div class="wide" tabindex="0">{made}' if tokens[place].nesting == 1 else f"{made}</div>\n"


MARKDOWN = MarkdownIt("commonmark", {"html": False}).enable("table")
MARKDOWN.core.ruler.push("web_links", _links)
MARKDOWN.add_render_rule("fence", _code)
MARKDOWN.add_render_rule("code_block", _code)
MARKDOWN.add_render_rule("image", _image)
MARKDOWN.add_render_rule("table_open", _table)
MARKDOWN.add_render_rule("table_close", _table)


def markdown(text: str) -> Markup:
    """A document as HTML: no HTML of its own passes, and no link but plain http or https ones."""
    return Markup(MARKDOWN.render(text))
