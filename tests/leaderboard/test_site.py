"""The pages: complete, self-contained, and the same for the same submissions."""

from __future__ import annotations

import dataclasses
import re
import shutil
from pathlib import Path

import pytest
from structure import Structure
from synthetic import TASKS, edited

from scaffold_bench.leaderboard import cache
from scaffold_bench.leaderboard.boards import Entry, boards_of, on_other_plans, read_submissions, slug_of
from scaffold_bench.leaderboard.build import build
from scaffold_bench.leaderboard.render import page
from scaffold_bench.leaderboard.view import board_view, method_pages

DOCS = Path(__file__).parents[2] / "docs"
MAX_SITE = 15_000_000


@pytest.fixture(scope="module")
def site(submissions: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("out") / "site"
    built = build(submissions, out, DOCS)
    assert (built.ranked, built.refused) == (3, 1)
    return out


def all_pages(site: Path) -> dict[str, Structure]:
    return {
        str(path.relative_to(site)): Structure(path.read_text(encoding="utf-8"))
        for path in sorted(site.rglob("*.html"))
    }


def test_there_is_a_page_for_every_method_and_task(site: Path) -> None:
    found = all_pages(site)
    assert {"index.html", "tasks.html", "submit.html", "methods/one.html", "methods/two.html"} <= found.keys()
    assert {f"tasks/{task}.html" for task in TASKS} <= found.keys()


def test_pages_ask_for_nothing_from_elsewhere_and_every_link_leads_somewhere(site: Path) -> None:
    for name, found in all_pages(site).items():
        for address in found.addresses:
            if address.startswith("https://example.org/") and name == "methods/one.html":
                continue
            path, _, place = address.partition("#")
            if address == "data:,":
                continue
            assert not re.match(r"[a-z]+:|//", address), (name, address)
            target = (site / name).parent / path if path else site / name
            assert target.is_file(), (name, address)
            if place:
                assert f'id="{place}"' in target.read_text(encoding="utf-8")
    for file in (site / "static").iterdir():
        assert not re.search(r"https?://|@import|url\(", file.read_text(encoding="utf-8")), file


def test_a_submission_with_problems_is_named_and_not_ranked(site: Path) -> None:
    index = all_pages(site)["index.html"]
    assert "Not ranked" in index.text
    assert "mean_success_once" in index.text
    assert not (site / "methods/wrong.html").exists()


def test_methods_of_different_tracks_have_different_boards(submissions: Path) -> None:
    entries, _ = read_submissions(submissions)
    boards = boards_of(entries)
    assert [(board.key.track, len(board.entries)) for board in boards] == [("oracle", 2), ("simulated-vlm", 1)]
    assert all(place == 1 for board in boards for place, _, _, _ in board.ranking("mean"))
    assert [shared for _, shared, _, _ in boards[0].ranking("mean")] == [True, True]
    assert [shared for _, shared, _, _ in boards[1].ranking("mean")] == [False]


def test_the_same_submissions_give_the_same_bytes(submissions: Path, site: Path, tmp_path: Path) -> None:
    build(submissions, tmp_path / "again", DOCS, workers=2)
    files = {path.relative_to(site) for path in site.rglob("*") if path.is_file()}
    assert files == {path.relative_to(tmp_path / "again") for path in (tmp_path / "again").rglob("*") if path.is_file()}
    assert all((site / name).read_bytes() == (tmp_path / "again" / name).read_bytes() for name in files)


def test_a_site_of_twenty_methods_is_small(submissions: Path, tmp_path: Path) -> None:
    for number in range(20):
        shutil.copytree(submissions / ("one", "three")[number % 2], tmp_path / "many" / f"m-{number}")
    built = build(tmp_path / "many", tmp_path / "site", DOCS)
    assert built.ranked == 20
    assert built.bytes <= MAX_SITE


def test_an_earlier_site_is_replaced_and_other_folders_are_left_alone(submissions: Path, tmp_path: Path) -> None:
    out = tmp_path / "site"
    build(submissions, out)
    (out / "methods" / "gone.html").write_text("old")
    build(submissions, out)
    assert not (out / "methods" / "gone.html").exists()
    mine = tmp_path / "mine"
    mine.mkdir()
    (mine / "thesis.tex").write_text("years of work")
    with pytest.raises(ValueError, match="other files"):
        build(submissions, mine)
    assert (mine / "thesis.tex").read_text() == "years of work"
    with pytest.raises(ValueError, match="no folder of submissions"):
        build(tmp_path / "nowhere", out)
    assert (out / "index.html").is_file()


def test_a_board_without_submissions_says_so(tmp_path: Path) -> None:
    (tmp_path / "none").mkdir()
    build(tmp_path / "none", tmp_path / "site")
    assert "no submissions yet" in all_pages(tmp_path / "site")["index.html"].text


@pytest.mark.parametrize("name", ["index.html", "methods/one.html", "submit.html"])
def test_pages_forbid_scripts_and_styles_from_elsewhere(site: Path, name: str) -> None:
    policy = re.search(r'http-equiv="Content-Security-Policy" content="([^"]*)"', (site / name).read_text())
    assert policy is not None
    assert "default-src 'none'" in policy[1]
    assert "script-src 'self' file:;" in policy[1]
    assert "unsafe" not in policy[1]


def test_slugs_are_safe_in_any_path_and_unique() -> None:
    taken: list[str] = []
    for name in ("A b", "a-b", "../../etc/passwd", "\u202e", "..", "x.zip", "X", "a" * 300):
        taken.append(slug_of(name, taken))
    assert taken == ["a-b", "a-b-2", "etc-passwd", "method", "method-2", "x", "x-2", "a" * 60]


def test_methods_of_a_board_are_compared_both_ways(submissions: Path) -> None:
    entries, _ = read_submissions(submissions)
    board = boards_of(entries)[0]
    found = board.comparisons()
    assert {slug: [other.slug for other, _ in others] for slug, others in found.items()} == {
        "one": ["two"],
        "two": ["one"],
    }
    (_, there), (_, back) = found["one"][0], found["two"][0]
    assert (there.low, there.mean, there.high) == pytest.approx((1 - back.high, 1 - back.mean, 1 - back.low))
    assert there.mean == 0.5  # the same records
    assert found == board.comparisons()


def test_profiles_are_drawn_where_a_state_has_several_trials(submissions: Path) -> None:
    entries, _ = read_submissions(submissions)
    board = boards_of(entries)[0]
    assert [entry.slug for entry, _ in board.profiles()] == ["one", "two"]
    assert "<polyline" in page("index", boards=[board_view(board)], refused=[])
    once = dataclasses.replace(board, key=dataclasses.replace(board.key, trials=1))
    assert once.profiles() == []


def with_plans(entry: Entry, provider: str, slug: str) -> Entry:
    plans = entry.submission.plans.model_copy(update={"provider": provider})
    return dataclasses.replace(entry, slug=slug, submission=entry.submission.model_copy(update={"plans": plans}))


def test_a_policy_s_page_shows_it_on_all_plans_with_its_curve_over_noise(submissions: Path) -> None:
    entries, _ = read_submissions(submissions)
    names = ("recorded:train", "noise(0.02):oracle", "oracle", "noise(0.01):oracle")
    same = [with_plans(entries[0], provider, f"entry-{number}") for number, provider in enumerate(names)]
    policy = entries[0].submission.policy.model_copy(update={"kind": "reference"})
    other = dataclasses.replace(entries[0], submission=entries[0].submission.model_copy(update={"policy": policy}))
    found = on_other_plans(same[2], [*same, other])
    assert [one.submission.plans.provider for one in found] == [names[2], names[3], names[1], names[0]]
    (board,) = boards_of(same)
    pages = method_pages(board, board_view(board), same, {}, {})
    (view,) = (one for one in pages if one.method.entry.slug == same[2].slug)
    assert [noise for noise, _ in view.noise_curve] == [0, 1, 2]
    made = page("method", page=view)
    assert "The same policy on other plans" in made
    assert "cm per axis" in made
    assert on_other_plans(other, [*same, other]) == []


def test_a_cache_changes_nothing_and_notices_a_changed_digit(submissions: Path, tmp_path: Path) -> None:
    folder, cache = tmp_path / "submissions", tmp_path / "cache"
    shutil.copytree(submissions, folder)
    fresh = read_submissions(folder)
    assert read_submissions(folder, cache=cache) == fresh
    kept = sorted(cache.iterdir())
    assert len(kept) == 3  # not the broken one
    assert read_submissions(folder, cache=cache) == fresh
    assert sorted(cache.iterdir()) == kept
    with edited(folder / "one") as data:
        data["aggregates"]["mean_success_once"]["mean"] = 0.99
    entries, refused = read_submissions(folder, cache=cache)
    assert len(entries) == 2
    assert {one.folder for one in refused} == {"one", "wrong"}
    for file in kept:
        file.write_text("{")  # damaged: checked anew
    with edited(folder / "one") as data:
        data["aggregates"]["mean_success_once"]["mean"] = fresh[0][1].aggregates.mean_success_once.mean
    assert len(read_submissions(folder, cache=cache)[0]) == 3


CODE = ["records/check.py", "metrics/check.py", "submissions/check.py", "leaderboard/check.py", "files.py", "spec.py"]


@pytest.mark.parametrize("file", CODE)
def test_a_cache_forgets_what_other_code_found(file: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cache, "PACKAGE", tmp_path)
    for path in (tmp_path / name for name in (*CODE, "planner_names.py")):
        path.parent.mkdir(exist_ok=True)
        path.write_text("strict = True")
    before = cache._code.__wrapped__()
    assert cache._code.__wrapped__() == before
    (tmp_path / file).write_text("strict = False")
    assert cache._code.__wrapped__() != before


def test_videos_and_what_a_task_is_come_from_their_folders(submissions: Path, tmp_path: Path) -> None:
    (tmp_path / "videos" / "one").mkdir(parents=True)
    (tmp_path / "videos" / "one" / "hammer.mp4").write_bytes(b"video")
    (tmp_path / "videos" / "one" / "pliers.mp4").write_bytes(bytes(2**20 + 1))  # too large
    build(submissions, tmp_path / "site", DOCS, videos=tmp_path / "videos")
    made = (tmp_path / "site" / "methods" / "one.html").read_text()
    assert 'src="../videos/one-hammer.mp4"' in made
    assert "pliers.mp4" not in made
    assert (tmp_path / "site" / "videos" / "one-hammer.mp4").read_bytes() == b"video"
    hammer = (tmp_path / "site" / "tasks" / "hammer.html").read_text(encoding="utf-8")
    assert "tracking threshold" in hammer
    assert "planned_keypoints" not in hammer
