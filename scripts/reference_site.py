"""What mkdocs.yml needs beyond its settings: links to files outside docs/, a page per task, and readable docstrings.

MkDocs calls the ``on_...`` functions (hooks); mkdocstrings loads :class:`Readable` when it reads the package.
"""

from __future__ import annotations

import logging
import os
import re
from pathlib import Path
from typing import Any

import griffe
from mkdocs.config.defaults import MkDocsConfig
from mkdocs.structure.files import File, Files
from mkdocs.structure.pages import Page

ROOT = Path(os.path.abspath(__file__)).parents[1]
LINK = re.compile(r"(!?)\[([^\]]*)\]\(([^)\s#]+)(#[^)\s]*)?\)")
ROLE = re.compile(r":(?:class|func|meth|mod|attr|data|exc):`~?([^`]+)`")
SHARED_ENTRY = re.compile(r"^(\s+)([a-z_]\w*(?:, [a-z_]\w*)+): (.*)$")
log = logging.getLogger("mkdocs.hooks.reference_site")


def on_config(config: MkDocsConfig) -> MkDocsConfig:
    """Put the page of every task into the navigation, so that a new task needs no line in mkdocs.yml."""
    folder = Path(config.docs_dir) / "tasks"
    pages = sorted(path.name for path in folder.glob("*.md") if path.name != "README.md")
    for entry in config.nav or []:
        if isinstance(entry, dict) and "Tasks" in entry:
            entry["Tasks"] = ["tasks/README.md", *(f"tasks/{name}" for name in pages)]
    return config


def outside(page: File, link: str, config: MkDocsConfig) -> Path | None:
    """The file or folder a relative link leads to, if it is in the repository and not below docs/."""
    if page.abs_src_path is None or re.match(r"[a-z]+:", link) or link.startswith("/"):
        return None
    target = Path(os.path.normpath(Path(page.abs_src_path).parent / link))
    if target.is_relative_to(config.docs_dir) or not target.is_relative_to(ROOT):
        return None
    return target.relative_to(ROOT)


def on_files(files: Files, config: MkDocsConfig) -> Files:
    """Take pictures that lie outside docs/ into the site."""
    for page in list(files.documentation_pages()):
        for mark, _, link, _ in LINK.findall(page.content_string):
            target = outside(page, link, config)
            if mark and target is not None and files.get_file_from_path(f"outside/{target}") is None:
                files.append(File.generated(config, f"outside/{target}", abs_src_path=str(ROOT / target)))
    return files


def on_page_markdown(markdown: str, page: Page, config: MkDocsConfig, **_: Any) -> str:
    """Lead links to files outside docs/ to the repository; report those that lead nowhere."""

    def lead(found: re.Match[str]) -> str:
        mark, text, link, anchor = found.groups(default="")
        target = outside(page.file, link, config)
        if target is None:
            return found[0]
        if not (ROOT / target).exists():
            log.warning("%s links to %s, which is not in the repository", page.file.src_uri, target)
        if mark:
            up = "../" * page.file.src_uri.count("/")
            return f"![{text}]({up}outside/{target})"
        return f"[{text}]({config.extra['repository']}/blob/main/{target}{anchor})"

    return LINK.sub(lead, markdown)


def one_name_each(text: str) -> str:
    """Give every name of an entry as "task, split: ..." an entry of its own, since each has its own type."""
    lines = text.splitlines()
    out: list[str] = []
    while lines:
        line = lines.pop(0)
        entry = SHARED_ENTRY.match(line)
        if entry is None:
            out.append(line)
            continue
        indent, names, rest = entry.groups()
        more = []
        while lines and lines[0].startswith(f"{indent}    "):
            more.append(lines.pop(0))
        for name in names.split(", "):
            out += [f"{indent}{name}: {rest}", *more]
    return "\n".join(out)


class Readable(griffe.Extension):
    """Turn what docstrings have of reStructuredText, roles and literal blocks, into Markdown."""

    def on_instance(self, *, obj: griffe.Object, **_: Any) -> None:
        """Called for every module, class, function and attribute that was read."""
        if obj.docstring is not None:
            text = ROLE.sub(r"``\1``", obj.docstring.value)
            obj.docstring.value = one_name_each(re.sub(r"::$", ":", text, flags=re.MULTILINE))
