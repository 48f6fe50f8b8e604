"""Recorded episodes: bounded, checked, and safe within a page."""

from __future__ import annotations

import json
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import pytest
from synthetic import make_trace

from scaffold_bench.leaderboard.build import build, replay_page
from scaffold_bench.submissions import SubmissionError
from scaffold_bench.submissions.trace import MAX_TRACE_BYTES, read_trace, trace_json

CUBE = {"name": "cube", "kind": "object", "vertices": [[0, 0, 0]] * 3, "faces": [[0, 1, 2]]}
HOSTILE = "</script><script>alert(1)</script><!--\"'><img src=x onerror=alert(1)>"


@pytest.mark.parametrize(
    "changes",
    [
        {"format": 2},
        {"frames": []},
        {"task": "<script>"},
        {"seconds": float("inf")},
        {"seconds": float("nan")},
        {"threshold": 1.5},
        {"threshold": 10**30},
        {"keypoint_names": ["a", "b"]},
        {"bodies": []},
        {"bodies": [{**CUBE, "faces": [[0, 1, 3]]}]},
        {"bodies": [{**CUBE, "kind": "__proto__"}]},
        {"unknown": 1},
        {"success": "yes"},
        {"instruction": "a\u202eb"},
    ],
    ids=lambda changes: str(changes)[:40],
)
def test_what_is_no_trace_is_refused_with_the_field(changes: dict[str, Any], tmp_path: Path) -> None:
    make_trace(tmp_path / "x.json", **changes)
    with pytest.raises(SubmissionError, match=r"x\.json: "):
        read_trace(tmp_path / "x.json")


@pytest.mark.parametrize("text", ["", "[]", "null", "[" * 100_000, '{"format": 1', " " * (MAX_TRACE_BYTES + 1)])
def test_damaged_and_large_files_are_refused(text: str, tmp_path: Path) -> None:
    (tmp_path / "x.json").write_text(text)
    with pytest.raises(SubmissionError, match=r"x\.json"):
        read_trace(tmp_path / "x.json")


def test_links_are_not_followed(tmp_path: Path) -> None:
    make_trace(tmp_path / "x.json")
    (tmp_path / "y.json").symlink_to(tmp_path / "x.json")
    with pytest.raises(SubmissionError, match="no ordinary file"):
        read_trace(tmp_path / "y.json")


def test_a_trace_comes_back_as_it_was(tmp_path: Path) -> None:
    told = make_trace(tmp_path / "x.json")
    assert json.loads(trace_json(read_trace(tmp_path / "x.json"))) == told


def test_text_of_a_trace_leaves_its_place_in_no_way(tmp_path: Path) -> None:
    make_trace(
        tmp_path / "x.json",
        policy=HOSTILE[:80].strip(),
        instruction=HOSTILE,
        keypoint_names=[HOSTILE],
        method=HOSTILE,
        bodies=[{**CUBE, "name": HOSTILE}],
    )
    make_trace(tmp_path / "y.json", bodies=[CUBE])

    class Elements(HTMLParser):
        def __init__(self, page: str) -> None:
            super().__init__()
            self.found: list[tuple[str, ...]] = []
            self.feed(page)

        def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
            self.found.append((tag, *(name for name, _ in attrs)))

    hostile, harmless = (
        Elements(replay_page(read_trace(tmp_path / name), HOSTILE, None)) for name in ("x.json", "y.json")
    )
    assert hostile.found == harmless.found


def test_a_bad_trace_is_named_on_the_site_and_stops_nothing(tmp_path: Path) -> None:
    make_trace(tmp_path / "traces" / "good.json")
    (tmp_path / "traces" / "bad.json").write_text("{}")
    (tmp_path / "submissions").mkdir()
    build(tmp_path / "submissions", tmp_path / "site", traces=tmp_path / "traces")
    listed = (tmp_path / "site" / "replays.html").read_text(encoding="utf-8")
    assert "<li>bad.json: " in listed
    assert (tmp_path / "site" / "replays" / "good.html").is_file()
    assert not (tmp_path / "site" / "replays" / "bad.html").exists()
