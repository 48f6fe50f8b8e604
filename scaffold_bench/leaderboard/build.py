"""Writes the site: the same submissions give the same bytes."""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from importlib.resources import as_file, files
from pathlib import Path

from markupsafe import Markup

from scaffold_bench.leaderboard.boards import Entry, Refused, all_tasks, boards_of, read_submissions, slug_of
from scaffold_bench.leaderboard.render import markdown, page
from scaffold_bench.leaderboard.view import BoardView, board_view, method_pages
from scaffold_bench.submissions.model import SubmissionError
from scaffold_bench.submissions.text import plain
from scaffold_bench.submissions.trace import Trace, read_trace, trace_json

MARK = ".scaffold-bench-site"
"""A file that says that a folder is ours to replace."""
PICTURE_LIMIT = 2**19
"""Bytes of a task's picture."""
VIDEO_LIMIT = 2**20
"""Bytes of a video."""
NOWHERE = Path(os.devnull)
"""Stands for a folder that is not given: nothing is in it."""


@dataclass(frozen=True)
class Built:
    """What a build made: ranked and refused submissions, pages, and bytes in all."""

    ranked: int
    refused: int
    pages: int
    bytes: int


def build(
    submissions: str | Path,
    out: str | Path,
    docs: str | Path | None = None,
    traces: str | Path | None = None,
    videos: str | Path | None = None,
    workers: int = 1,
    cache: str | Path | None = None,
) -> Built:
    """Make the site.

    Args:
        submissions: folder with a folder or archive for each submission.
        out: where the site goes; what an earlier build left there is replaced.
        docs: folder with the documentation, for pictures of the tasks and the page on submitting.
        traces: folder with recorded episodes for the replays.
        videos: folder with ``<submission>/<task>.mp4``.
        workers: number of processes that check the submissions; the site does not depend on it.
        cache: folder that remembers what was found about submissions; the site does not depend on it either.

    Raises:
        ValueError: there are no submissions' folder, or ``out`` is a folder of something else.
    """
    target = Path(out)
    _check_target(target)
    documents, recorded, filmed = (NOWHERE if given is None else Path(given) for given in (docs, traces, videos))
    entries, refused = read_submissions(Path(submissions), workers, None if cache is None else Path(cache))
    boards = boards_of(entries)
    target.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=target.parent, prefix=".site-") as folder:
        made = Path(folder) / "site"
        made.mkdir()
        shown = [board_view(board) for board in boards]
        _write(made, "index.html", page("index", boards=shown, refused=refused))
        replays = _write_replays(made, entries, recorded)
        copied = {entry.slug: _copy_videos(made, entry, filmed) for entry in entries}
        for board, view in zip(boards, shown, strict=True):
            for one in method_pages(board, view, entries, replays, copied):
                _write(made, f"methods/{one.method.entry.slug}.html", page("method", page=one))
        _write_tasks(made, shown, documents)
        _write(made, "submit.html", page("submit", text=markdown(_document(documents, "submit.md"))))
        with as_file(files(__package__).joinpath("static")) as static:
            shutil.copytree(static, made / "static")
        _write(made, MARK, "")
        if target.exists():
            shutil.rmtree(target)
        made.replace(target)
    written = [path for path in target.rglob("*") if path.is_file()]
    return Built(
        ranked=len(entries),
        refused=len(refused),
        pages=sum(path.suffix == ".html" for path in written),
        bytes=sum(path.stat().st_size for path in written),
    )


def _document(docs: Path, name: str) -> str:
    """A page of the documentation, "" if it is not there."""
    path = docs / name
    return path.read_text(encoding="utf-8") if path.is_file() else ""


def _check_target(target: Path) -> None:
    """Never replace what is not ours: raises ValueError for what exists and is no site."""
    if target.is_symlink() or (target.exists() and not target.is_dir()):
        raise ValueError(f"{target} is no folder; choose another one for the site")
    if target.is_dir() and any(target.iterdir()) and not (target / MARK).is_file():
        raise ValueError(f"{target} holds other files, which a build would delete; choose another folder for the site")


def _write(root: Path, name: str, text: str) -> None:
    path = root / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text, encoding="utf-8")


def _write_replays(root: Path, entries: Sequence[Entry], folder: Path) -> dict[str, dict[str, str]]:
    """The replays' pages; returns the addresses that each method's page links to, by slug and title."""
    slugs = {entry.folder: entry.slug for entry in entries}
    listed: dict[str, str] = {}
    of_method: dict[str, dict[str, str]] = {}
    refused = []
    taken: set[str] = set()
    for path in sorted(folder.glob("*.json")):
        try:
            trace = read_trace(path)
        except SubmissionError as error:
            refused.append(Refused(plain(path.name), error.problems))
            continue
        name = slug_of(path.stem, taken)
        taken.add(name)
        slug = slugs.get(trace.method)
        title = f"{trace.policy}: {trace.task}, state {trace.state}, trial {trace.trial}"
        _write(root, f"replays/{name}.html", replay_page(trace, title, slug))
        listed[title if title not in listed else f"{title} ({name})"] = f"./replays/{name}.html"
        if slug is not None:
            of_method.setdefault(slug, {})[title] = f"../replays/{name}.html"
    _write(root, "replays.html", page("replays", addresses=listed, refused=refused))
    return of_method


def replay_page(trace: Trace, title: str, slug: str | None) -> str:
    """A recorded episode. ``slug``: of its method, if that has a page."""
    return page(
        "replay",
        trace=trace,
        title=title,
        trace_json=Markup(trace_json(trace)),  # made to be safe within a script element
        method=None if slug is None else f"../methods/{slug}.html",
        known_task=trace.task in all_tasks(),
    )


def _copy(file: Path, target: Path, limit: int) -> bool:
    """Copy a picture or video, if there is one of at most so many bytes; returns whether there is."""
    if file.is_symlink() or not file.is_file() or file.stat().st_size > limit:
        return False
    target.parent.mkdir(parents=True, exist_ok=True)
    shutil.copyfile(file, target)
    return True


def _copy_videos(root: Path, entry: Entry, folder: Path) -> dict[str, str]:
    """Put a method's videos beside its page; returns their addresses by task."""
    names = {task: f"{entry.slug}-{task}.mp4" for task in entry.submission.protocol.tasks}
    return {
        task: f"../videos/{name}"
        for task, name in names.items()
        if _copy(folder / entry.folder / f"{task}.mp4", root / "videos" / name, VIDEO_LIMIT)
    }


def _about(docs: Path, name: str) -> Markup:
    """What the documentation says about a task, from its first sentence to its keypoints."""
    text = _document(docs, f"tasks/{name}.md").partition("## Observation")[0]
    paragraphs = [part for part in text.split("\n\n") if not part.startswith(("<!--", "# ", "![", "Evaluation state"))]
    return markdown("\n\n".join(paragraphs))


def _write_tasks(root: Path, boards: Sequence[BoardView], docs: Path) -> None:
    """The tasks' pages, with their pictures."""
    ids = all_tasks()
    pictures = {name: Path("tasks") / f"{name}.jpg" for name in ids}
    names = [name for name, place in pictures.items() if _copy(docs / place, root / place, PICTURE_LIMIT)]
    for name, env_id in ids.items():
        shown = {"name": name, "env_id": env_id, "boards": boards, "about": _about(docs, name)}
        _write(root, f"tasks/{name}.html", page("task", **shown, picture=name in names))
    _write(root, "tasks.html", page("tasks", ids=ids, pictures=names))
