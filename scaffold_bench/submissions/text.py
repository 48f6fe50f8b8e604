"""Text from strangers: what a submission may say, and how a page may show it."""

from __future__ import annotations

import re
import unicodedata
from urllib.parse import urlsplit

NEVER_SHOWN = frozenset("\u034f\u115f\u1160\u17b4\u17b5\u180b\u180c\u180d\u180f\u2800\u3164\uffa0") | {
    *map(chr, range(0xFE00, 0xFE10)),
    *map(chr, range(0xE0100, 0xE01F0)),
}
"""Letters and marks that take no ink, besides Unicode's format characters."""
MAX_MARKS = 2
"""Combining marks in a row: more pile up over neighbouring lines."""
FOREIGN_SCRIPTS = ("CYRILLIC", "ARMENIAN", "CHEROKEE", "COPTIC")
"""Scripts with letters that look like Latin ones."""
GREEK_LOOKALIKES = frozenset("ΑΒΕΖΗΙΚΜΝΟΡΤΥΧονι")
OBEYED = re.compile(
    r"(?P<link>[@#]|:(?=//|[\w+-]+:)|(?<=www)\.)|[\\`*\[\]<>|~&${}]|(?<![^\W_])_|_(?![^\W_])", re.IGNORECASE
)
"""What Markdown may take for more than a character (an underscore within a word is none), and as ``link`` what GitHub
recognises by itself: @mentions, #issues, addresses, and names of pictures such as :smile: ."""
CODE = re.compile(r"[\w?=.,:;()+&/%-]+(?: [\w?=.,:;()+&/%-]+)*", re.ASCII)
KINDS = {"Cc": "a control character", "Cf": "an invisible or direction-changing character", "Cs": "half a character"}


def check_text(text: str, newlines: bool = False) -> str:
    """Text as it came, if a reader sees all of it.

    Args:
        text: the text. newlines: whether it may have several lines.

    Raises:
        ValueError: it holds a character that is not seen or changes how others are seen; names it.
    """
    marks = 0
    for character in text:
        if newlines and character == "\n":
            continue
        kind, code = unicodedata.category(character), f"U+{ord(character):04X}"
        if kind in KINDS or kind in ("Co", "Cn") or kind in ("Zl", "Zp") or character in NEVER_SHOWN:
            raise ValueError(f"has {KINDS.get(kind, 'a character that is not shown')}, {code}; remove it")
        if kind == "Zs" and character != " ":
            raise ValueError(f"has an unusual space, {code}; use the ordinary one")
        marks = marks + 1 if kind in ("Mn", "Me") else 0
        if marks > MAX_MARKS:
            raise ValueError(f"has more than {MAX_MARKS} marks on one letter; remove some")
    if text != unicodedata.normalize("NFC", text):
        raise ValueError("is not in Unicode's composed form; normalise it (NFC)")
    if text != text.strip():
        raise ValueError("begins or ends with a space; remove it")
    return text


def check_name(text: str) -> str:
    """A name that cannot be taken for another by its letters.

    Raises:
        ValueError: as :func:`check_text`; or a word mixes look-alike scripts, or has letters of a special font.
    """
    check_text(text)
    for word in "".join(letter if letter.isalpha() else " " for letter in text).split():
        if word != unicodedata.normalize("NFKC", word):
            raise ValueError(f"has letters of a special font in {word!a}; use ordinary letters")
        scripts = {unicodedata.name(letter, "").split(" ")[0] for letter in word}
        if "LATIN" in scripts and (scripts & set(FOREIGN_SCRIPTS) or set(word) & GREEK_LOOKALIKES):
            raise ValueError(f"mixes look-alike letters of several scripts in {word!a}; use one script")
    return text


def check_link(text: str) -> str:
    """An http or https address.

    Raises:
        ValueError: another scheme, no host, a password, or a character that an address cannot have.
    """
    if not re.fullmatch(r"[!-~]+", text) or re.search(r"""[<>"'`\\^{|}]""", text):
        raise ValueError("has a character that an address cannot have; write it percent-encoded")
    parts = urlsplit(text)
    if parts.scheme not in ("http", "https") or not text.startswith(f"{parts.scheme}://"):
        raise ValueError("is not an http or https address")
    if not parts.hostname or "@" in parts.netloc:
        raise ValueError("needs a host, without a user's name or password")
    return text


def _on_one_line(text: object) -> str:
    return str(text).replace("\n", " ")


def escape(text: object) -> str:
    """Text that HTML (also inside an attribute's quotes) and Markdown show as it is and never obey.

    Everything but letters, digits, spaces and commas becomes a character reference; a new line becomes a space.
    """
    return "".join(c if c.isalnum() or c in " ," else f"&#{ord(c)};" for c in _on_one_line(text))


def markdown_text(text: object) -> str:
    """Text for a line or table cell of Markdown that a reader of the source can read too.

    Only what Markdown obeys becomes a character reference, and what GitHub makes links of by itself (mentions, issues,
    addresses) is cut in two by an element.
    """
    return OBEYED.sub(
        lambda found: f"<span>&#{ord(found[0])};</span>" if found["link"] else f"&#{ord(found[0])};",
        _on_one_line(text),
    )


def markdown_code(text: object) -> str:
    """Text as code in Markdown: between backticks where nothing in it could end them or a table's cell."""
    flat = _on_one_line(text)
    return f"`{flat}`" if CODE.fullmatch(flat) else f"<code>{escape(flat)}</code>"


def plain(text: object, length: int = 80) -> str:
    """Foreign text for a message: printable ASCII on one line, cut to a length."""
    shown = ascii(str(text)[: length + 1])[1:-1]
    return shown if len(shown) <= length else f"{shown[: length - 3]}..."
