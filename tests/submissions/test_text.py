"""Names and text that deceive the eye are refused with a reason; honest ones in any language pass."""

import html
import re
import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st
from markdown_it import MarkdownIt

from scaffold_bench.submissions import escape
from scaffold_bench.submissions.text import check_link, check_name, check_text, markdown_code, markdown_text, plain

DECEIVING = {
    "right to left": ("abc\u202ecod", "direction-changing character, U\\+202E; remove it"),
    "isolate": ("\u2066abc\u2069", "U\\+2066"),
    "zero-width space": ("res\u200bidual", "invisible or direction-changing character, U\\+200B"),
    "zero-width joiner": ("a\u200db", "U\\+200D"),
    "soft hyphen": ("resi\u00addual", "U\\+00AD"),
    "byte order mark": ("\ufeffname", "U\\+FEFF"),
    "tag letters": ("name\U000e0041", "U\\+E0041"),
    "variation selector": ("name\ufe0f", "a character that is not shown, U\\+FE0F"),
    "filler that looks like a space": ("na\u3164me", "U\\+3164"),
    "blank braille": ("na\u2800me", "U\\+2800"),
    "null": ("na\0me", "a control character, U\\+0000"),
    "terminal codes": ("\x1b[31mred", "a control character, U\\+001B"),
    "new line": ("two\nlines", "a control character, U\\+000A"),
    "line separator": ("two\u2028lines", "U\\+2028"),
    "half a character": ("na\ud800me", "half a character, U\\+D800"),
    "private use": ("na\ue000me", "U\\+E000"),
    "unassigned": ("na\u0378me", "U\\+0378"),
    "no-break space": ("two\u00a0words", "an unusual space, U\\+00A0; use the ordinary one"),
    "wide space": ("two\u3000words", "an unusual space"),
    "piled up marks": ("x\u0323\u0331\u0330", "more than 2 marks on one letter"),
    "two ways to write a letter": ("Re\u0301sidu", "composed form"),
    "space before": (" name", "begins or ends with a space"),
    "space after": ("name ", "begins or ends with a space"),
}
CONFUSING = {
    "Cyrillic e": ("R\u0435sidual", "mixes look-alike letters of several scripts in 'R\\\\u0435sidual'"),
    "Cyrillic word part": ("\u0420\u0420O", "mixes look-alike letters"),
    "Greek capital": ("\u03a1PO", "mixes look-alike letters"),
    "Armenian": ("P\u0555PO", "mixes look-alike letters"),
    "full width": ("\uff30PO", "letters of a special font"),
    "mathematical bold": ("\U0001d40f\U0001d40f\U0001d40e", "letters of a special font"),
    "ligature": ("\ufb01ngers", "letters of a special font"),
}


@pytest.mark.parametrize(("text", "reason"), DECEIVING.values(), ids=DECEIVING)
def test_text_that_is_not_what_it_seems_is_refused(text, reason):
    with pytest.raises(ValueError, match=reason):
        check_text(text)
    with pytest.raises(ValueError, match=reason):
        check_name(text)


@pytest.mark.parametrize(("text", "reason"), CONFUSING.values(), ids=CONFUSING)
def test_a_name_that_can_be_taken_for_another_is_refused(text, reason):
    check_text(text)  # but may be written about
    with pytest.raises(ValueError, match=reason):
        check_name(text)


@pytest.mark.parametrize(
    "text",
    [
        "Residual PPO (ours), v2.1",
        "β-VAE + π0 on τ²-bench",
        "ΔNet",
        "Überraschend gut",
        "Łukasz Gruszczyński",
        "Nguyễn Thị Ánh",
        "Обучение с подкреплением",
        "強化学習",
        "Ελληνικά",
        "O'Brien & Sons <3",
    ],
)
def test_honest_names_pass(text):
    assert check_name(unicodedata.normalize("NFC", text)) == unicodedata.normalize("NFC", text)


def test_only_prose_has_lines():
    assert check_text("two\nlines", newlines=True) == "two\nlines"
    with pytest.raises(ValueError, match=r"U\+000D"):
        check_text("two\r\nlines", newlines=True)


@pytest.mark.parametrize(
    "link", ["https://example.org", "http://example.org:8080/a?b=c&d=%20#e", "https://xn--bcher-kva.example/~me"]
)
def test_web_addresses_pass(link):
    assert check_link(link) == link


@pytest.mark.parametrize(
    "link",
    [
        "javascript:alert(1)",
        "JavaScript://example.org/%0aalert(1)",
        "data:text/html,<script>",
        "ftp://example.org",
        "//example.org",
        "example.org",
        "https:example.org",
        "https://",
        "https:///path",
        "https://user:secret@example.org",
        "https://example.org\n",
        "https://exa mple.org",
        'https://example.org/"onclick="x',
        "https://example.org/<script>",
        "https://example.org/\\x",
        "https://b\u00fccher.example",
        "https://[::1",
        "file:///etc/passwd",
        "",
    ],
)
def test_anything_else_is_no_link(link):
    with pytest.raises(ValueError):  # noqa: PT011  # some reasons are urllib's
        check_link(link)


@given(st.text())
def test_escaped_text_is_the_text(text):
    assert html.unescape(escape(text)).replace("\n", " ") == html.unescape(escape(text))
    shown = escape(text)
    assert not set(shown) - {"&", "#", ";", " ", ","} - {c for c in shown if c.isalnum()}


@given(st.text(st.characters(blacklist_categories=["Cc", "Cs"])))
def test_escaping_loses_nothing(text):
    assert html.unescape(escape(text)) == text


@given(st.text(), st.integers(20, 100))
def test_foreign_text_in_a_message_is_short_plain_and_on_one_line(text, length):
    shown = plain(text, length)
    assert len(shown) <= length
    assert shown.isascii()
    assert shown == "" or shown.isprintable()


# ------------------------------------------------------------------------------------------------ in Markdown
MARKDOWN = MarkdownIt("commonmark").enable(["table", "strikethrough"])
OBEYED = [
    "<script>alert(1)</script>",
    "<!-- comment -->",
    "[click](javascript:alert(1)) ![x](https://evil.example/x.png)",
    "[x][y] [^1]",
    "a | b \\| c \\\\| d \\",
    "`code` ``x",
    "**bold** *x* __y__ _z_ ~~s~~",
    "&lt;b&gt; &#60;",
    "\\*a\\*",
    "$x$ ${y} {{z}}",
    "</span></code></td>",
    "`|`|`",
]
LINKED = [
    "@everyone",
    "fix #12",
    "https://evil.example",
    "HTTP://evil.example",
    "www.evil.example",
    ":smile:",
    "a@b.example",
]


def cells(text, *others):
    """What a Markdown table makes of a row of cells: the elements in it, and the cells' texts."""
    made = MARKDOWN.render(
        "| "
        + " | ".join("abcd"[: 1 + len(others)])
        + " |\n"
        + "|---" * (1 + len(others))
        + "|\n"
        + f"| {' | '.join([text, *others])} |\n"
    )
    (row,) = re.findall(r"<tbody>\s*<tr>(.*)</tr>\s*</tbody>", made, re.DOTALL)
    found = re.findall(r"<td>(.*?)</td>", row, re.DOTALL)
    elements = set(re.findall(r"<(\w+)", row))
    return elements, [html.unescape(re.sub(r"</?(span|code)>", "", cell)) for cell in found]


@pytest.mark.parametrize(
    "name",
    [
        "Residual PPO, 5 waypoints",
        "plan-grasp",
        "Intel(R) Xeon(R) Processor, 2 cores, Linux x86_64",
        "2.13.0+cpu",
        "a = b?",
    ],
)
def test_an_ordinary_name_is_the_same_in_markdown(name):
    assert markdown_text(name) == name


@pytest.mark.parametrize(
    "name", ["oracle", "oracle?waypoints=5", "recorded:simulated-vlm", "noise(0.01,flip=x):mix:oracle+vlm?shots=3&n=2"]
)
def test_a_planner_s_name_is_the_same_between_backticks(name):
    assert markdown_code(name) == f"`{name}`"
    assert cells(markdown_code(name), "next") == ({"td", "code"}, [name, "next"])


@pytest.mark.parametrize("show", [markdown_text, markdown_code])
@pytest.mark.parametrize("text", OBEYED + LINKED)
def test_markdown_shows_hostile_text_and_obeys_nothing(text, show):
    elements, shown = cells(show(text), "next", show(text))
    assert shown == [text, "next", text]
    assert elements <= {"td", "span", "code"}


@pytest.mark.parametrize("text", LINKED)
def test_what_github_links_by_itself_is_cut_in_two_or_code(text):
    made = MARKDOWN.renderInline(markdown_text(text))
    for piece in re.split(r"</?span>", made):
        assert not re.search(r"[@#]\w|\w@|://|www\.|:\w+:", html.unescape(piece)), made
    assert markdown_code(text).startswith(("`", "<code>"))


@pytest.mark.parametrize("show", [markdown_text, markdown_code])
@given(text=st.text(st.characters(min_codepoint=32, max_codepoint=126), min_size=1, max_size=40).filter(str.strip))
def test_any_text_comes_through_a_table_unchanged(show, text):
    text = " ".join(text.split())
    elements, shown = cells(show(text), "next")
    assert shown == [text, "next"]
    assert elements <= {"td", "span", "code"}
