"""The pages: complete, self-contained, and deaf to what is written in submissions."""

from __future__ import annotations

import dataclasses
import re
import shutil
from html import unescape
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from pydantic import BaseModel
from synthetic import TASKS, edited, make_submission

from scaffold_bench.leaderboard import charts, pages
from scaffold_bench.leaderboard.boards import Entry, Refused, boards_of, on_other_plans, read_submissions, slug_of
from scaffold_bench.leaderboard.build import build
from scaffold_bench.leaderboard.html import VOID, Markup, link, prose, render, tag
from scaffold_bench.leaderboard.markdown import markdown
from scaffold_bench.metrics import Interval, Profile
from scaffold_bench.submissions.model import Score

DOCS = Path(__file__).parents[2] / "docs"
MAX_SITE = 15_000_000
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


class Structure(HTMLParser):
    """Elements with the names of their attributes, the values of some, and all text."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.elements: list[tuple[str, ...]] = []
        self.addresses: list[str] = []
        self.text = ""
        self.open: list[str] = []
        self.feed(page)
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


@pytest.fixture(scope="module")
def submissions(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Three valid submissions on two boards, and a broken one."""
    made, folder = tmp_path_factory.mktemp("made"), tmp_path_factory.mktemp("submissions")
    shutil.move(
        make_submission(made / "a", links=("https://example.org/paper",), description="One.\nTwo."), folder / "one"
    )
    shutil.move(make_submission(made / "b", training_steps=2_000_000), folder / "Two!")
    shutil.move(make_submission(made / "c", track="simulated-vlm"), folder / "three")
    shutil.move(make_submission(made / "d"), folder / "wrong")
    with edited(folder / "wrong") as told:
        told["aggregates"]["mean_success_once"]["mean"] = 0.99
    return folder


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


def test_a_submission_with_problems_is_told_and_not_ranked(site: Path) -> None:
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
    bands = tuple((source, target, count) for source, target, count in entry.bands)
    return dataclasses.replace(
        entry,
        folder=text,
        submission=submission.model_copy(update={"protocol": protocol}),
        aggregates=replaced(entry.aggregates, text),
        notes=(text, text),
        bands=bands,
    )


def made_pages(entry: Entry, text: str) -> list[str]:
    """Every page that shows something of a submission, with a text in all its fields."""
    told = with_text(entry, text)
    boards = boards_of([told])
    (board,) = boards
    return [
        pages.index(boards, [Refused(text, (text,))]),
        pages.method(
            told,
            board,
            {text: "../replays/x.html"},
            {text: "../videos/x.mp4"},
            [(told, Interval(0.4, 0.3, 0.5))],
            [told, told],
        ),
        *(pages.task(name, text, boards, None, picture=True) for name in board.key.tasks),
        pages.tasks({text: text}, [text]),
        pages.replays({text: "replays/x.html"}),
    ]


@pytest.mark.parametrize("payload", PAYLOADS)
def test_text_in_any_field_makes_no_element_and_no_attribute(submissions: Path, payload: str) -> None:
    entries, _ = read_submissions(submissions)
    entry = next(entry for entry in entries if entry.slug == "one")
    flat = payload.replace("\n", " ")
    for harmless, hostile in zip(made_pages(entry, "harmless"), made_pages(entry, payload), strict=True):
        expected, found = Structure(harmless), Structure(hostile)
        added = [element for element in found.elements if element not in (("br",), ("p",))]
        assert added == [element for element in expected.elements if element not in (("br",), ("p",))]
        assert flat in found.text
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
    found = Structure(link(address))
    assert found.elements == [("span", "class")]
    assert found.text == address


def test_a_link_tells_the_other_site_nothing() -> None:
    made = link("https://example.org/a?b=c&d")
    assert Structure(made).addresses == ["https://example.org/a?b=c&d"]
    assert "noreferrer" in made.replace("&#45;", "-")


def test_only_tag_makes_markup() -> None:
    made = tag("b", "x")
    assert isinstance(made, Markup)
    assert render(made) == "<b>x</b>"
    assert render(made + "<i>") == "&#60;b&#62;x&#60;&#47;b&#62;&#60;i&#62;"
    assert render(prose("<i>a\nb")) == "<p>&#60;i&#62;a<br>b</p>"


def test_slugs_are_safe_in_any_path_and_unique() -> None:
    taken: list[str] = []
    for name in ("A b", "a-b", "../../etc/passwd", "\u202e", "..", "x.zip", "X", "a" * 300):
        taken.append(slug_of(name, taken))
    assert taken == ["a-b", "a-b-2", "etc-passwd", "method", "method-2", "x", "x-2", "a" * 60]


@pytest.mark.parametrize("score", [(0.0, 0.0, 0.0), (1.0, 1.0, 1.0), (0.5, 0.4, 0.6)])
def test_intervals_are_drawn_where_they_are(score: tuple[float, float, float]) -> None:
    mean, low, high = score
    drawn = charts.interval(Score(mean=mean, low=low, high=high)).replace("&#46;", ".").replace("&#37;", "%")
    assert f'cx="{100 * mean:.2f}%"' in drawn
    assert f'x1="{100 * low:.2f}%" x2="{100 * high:.2f}%"' in drawn


def test_the_bands_of_the_diagram_leave_and_reach_every_episode() -> None:
    bands = [
        ("keypoints right", "tracked", 6),
        ("keypoints right", "lost in grasp", 3),
        ("no plan", "not tracked", 1),
        ("tracked", "solved", 5),
        ("tracked", "failed", 1),
        ("lost in grasp", "failed", 3),
        ("not tracked", "failed", 1),
    ]
    found = Structure(charts.sankey(bands))
    assert [element[0] for element in found.elements].count("path") == len(bands)
    for share in ("90.0 %", "10.0 %", "60.0 %", "30.0 %", "50.0 %"):
        assert share in found.text
    assert charts.sankey([]) != ""


def test_markdown_of_the_documentation_is_shown() -> None:
    text = (
        "# A `b`\n\nOne\n**two** [three](x.md).\n\n- a\n  b\n- c\n\n1. d\n\n"
        "   ```bash\n   e <f>\n\n   g\n   ```\n\n| h | i |\n|---|---|\n| j | k |\n"
    )
    found = Structure(markdown(text))
    names = " ".join(element[0] for element in found.elements)
    assert names == "h1 code p strong ul li li ol li pre br br br div table thead tr th th tbody tr td td"
    for words in ("One two three.", "a b", "e <f>"):
        assert words in found.text


@pytest.mark.parametrize(
    "payload", [*PAYLOADS, "[a](javascript:alert(1))", "![a](data:x)", "`<b>`", "| <i> |\n|---|\n| <b> |"]
)
def test_markdown_lets_no_html_through(payload: str) -> None:
    allowed = {
        "p",
        "h1",
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


def test_methods_of_a_board_are_compared_both_ways(submissions: Path) -> None:
    entries, _ = read_submissions(submissions)
    board = boards_of(entries)[0]
    found = board.improvements()
    assert {slug: [other.slug for other, _ in rivals] for slug, rivals in found.items()} == {
        "one": ["two"],
        "two": ["one"],
    }
    (_, there), (_, back) = found["one"][0], found["two"][0]
    assert (there.low, there.mean, there.high) == pytest.approx((1 - back.high, 1 - back.mean, 1 - back.low))
    assert there.mean == 0.5  # the same records
    assert found == board.improvements()


def test_profiles_are_drawn_where_a_state_has_several_trials(submissions: Path) -> None:
    entries, _ = read_submissions(submissions)
    board = boards_of(entries)[0]
    assert [entry.slug for entry, _ in board.profiles()] == ["one", "two"]
    assert "<polyline" in pages.index([board], [])
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
    page = pages.method(same[2], boards_of(same)[0], {}, same=found)
    assert "The same policy on other plans" in page
    assert "cm per axis" in page
    assert on_other_plans(other, [*same, other]) == []


def test_a_curve_and_a_profile_are_where_their_numbers_are() -> None:
    drawn = unescape(charts.curve([(0, Score(mean=1, low=1, high=1)), (2, Score(mean=0, low=0, high=0.5))], "cm"))
    first, second = re.findall(r'<circle cx="([\d.]+)" cy="([\d.]+)"', drawn)
    assert float(first[0]) < float(second[0])
    assert float(first[1]) < float(second[1])  # downwards
    flat = Profile(*(np.array([0.0, 0.5]), *(np.array([0.25, 0.25]) for _ in range(3))))
    (points,) = re.findall(r'points="([^"]+)"', unescape(charts.profiles([("a", flat)])))
    assert len({point.split(",")[1] for point in points.split()}) == 1


def test_a_cache_changes_nothing_and_notices_a_changed_digit(submissions: Path, tmp_path: Path) -> None:
    folder, cache = tmp_path / "submissions", tmp_path / "cache"
    shutil.copytree(submissions, folder)
    fresh = read_submissions(folder)
    assert read_submissions(folder, cache=cache) == fresh
    kept = sorted(cache.iterdir())
    assert len(kept) == 3  # not the broken one
    assert read_submissions(folder, cache=cache) == fresh
    assert sorted(cache.iterdir()) == kept
    with edited(folder / "one") as told:
        told["aggregates"]["mean_success_once"]["mean"] = 0.99
    entries, refused = read_submissions(folder, cache=cache)
    assert len(entries) == 2
    assert {one.folder for one in refused} == {"one", "wrong"}
    for file in kept:
        file.write_text("{")  # damaged: checked anew
    with edited(folder / "one") as told:
        told["aggregates"]["mean_success_once"]["mean"] = fresh[0][1].aggregates.mean_success_once.mean
    assert len(read_submissions(folder, cache=cache)[0]) == 3


def test_videos_and_what_a_task_is_come_from_their_folders(submissions: Path, tmp_path: Path) -> None:
    (tmp_path / "videos" / "one").mkdir(parents=True)
    (tmp_path / "videos" / "one" / "hammer.mp4").write_bytes(b"video")
    (tmp_path / "videos" / "one" / "pliers.mp4").write_bytes(bytes(2**20 + 1))  # too large
    build(submissions, tmp_path / "site", DOCS, videos=tmp_path / "videos")
    page = unescape((tmp_path / "site" / "methods" / "one.html").read_text())
    assert 'src="../videos/one-hammer.mp4"' in page
    assert "pliers.mp4" not in page
    assert (tmp_path / "site" / "videos" / "one-hammer.mp4").read_bytes() == b"video"
    hammer = (tmp_path / "site" / "tasks" / "hammer.html").read_text(encoding="utf-8")
    assert "tracking threshold" in hammer
    assert "planned_keypoints" not in hammer
