"""The pages: ranking, method, tasks, replays and how to submit. Text from submissions is escaped by :mod:`.html`."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from types import MappingProxyType

from scaffold_bench.leaderboard import charts
from scaffold_bench.leaderboard.boards import MEAN, Board, Entry, Key, Refused, all_tasks
from scaffold_bench.leaderboard.html import Child, Markup, link, page, prose, tag
from scaffold_bench.metrics import Interval
from scaffold_bench.submissions.model import Score
from scaffold_bench.submissions.planners import noise_of
from scaffold_bench.submissions.suite import CURRENT
from scaffold_bench.submissions.trace import Trace, trace_json
from scaffold_bench.submissions.verification import RECOMPUTED, RERUN, SELF_REPORTED

TRACK_NAMES = {
    "oracle": "Oracle plans",
    "pre-recorded": "Pre-recorded plans",
    "vlm-zero-shot": "VLM plans, zero-shot",
    "vlm-few-shot": "VLM plans, few-shot",
    "simulated-vlm": "Simulated VLM plans",
    "open": "Open track",
}
BADGES = {
    SELF_REPORTED: "nothing checked, or something is wrong",
    RECOMPUTED: "complete records, and every number follows from them",
    RERUN: "a random sample of episodes was run again and came out bit for bit",
}
MAX_AUTHORS = 3
"""Authors that the ranking names."""


def badge(name: str) -> Markup:
    """How far a submission can be trusted."""
    return tag("span", name, class_=f"badge {name}", title=BADGES[name])


def _table(head: Sequence[str], rows: Iterable[Markup], **attributes: str) -> Markup:
    """A table that stays one for screen readers when a phone shows its rows as cards."""
    cells = [cell if isinstance(cell, Markup) else tag("th", cell, scope="col", role="columnheader") for cell in head]
    top = tag("thead", tag("tr", cells, role="row"), role="rowgroup")
    return tag("table", top, tag("tbody", rows, role="rowgroup"), role="table", **attributes)


def _row(*cells: tuple[str, Child]) -> Markup:
    """A row of (class, content)."""
    return tag("tr", [tag("td", content, class_=kind, role="cell") for kind, content in cells], role="row")


def _authors(entry: Entry) -> str:
    names = entry.submission.method.authors
    more = len(names) - MAX_AUTHORS
    return ", ".join(names[:MAX_AUTHORS]) + (f" and {more} more" if more > 0 else "")


def _settings(entry: Entry) -> str:
    """Settings of the environment that are not the usual ones: who reads a ranking should see them."""
    names = [f"{name} {'on' if value else 'off'}" for name, value in entry.submission.environment.items()]
    return f" · {', '.join(names)}" if names else ""


def _number(score: Score) -> list[Markup]:
    low, high = charts.percent(score.low), charts.percent(score.high)
    return [tag("b", charts.percent(score.mean)), tag("span", f" [{low}, {high}]", class_="range-text")]


def _count(number: int | None) -> str:
    """A large number for people."""
    if number is None:
        return "–"
    for unit, name in ((10**9, " G"), (10**6, " M"), (10**3, " k")):
        if number >= unit:
            return f"{number / unit:.3g}{name}"
    return str(number)


def _ranking(board: Board, measure: str, root: str, hidden: bool) -> Markup:
    """The table of a board by one measure."""
    scored = [tag("th", "success once, % ", charts.scale(), scope="col", role="columnheader", class_="scaled")]
    rows = []
    for place, shared, entry, score in board.ranking(measure):
        tasks, seeds = entry.aggregates.tasks, len(entry.submission.protocol.training_seeds)
        at_end = entry.aggregates.mean_success_at_end if measure == MEAN else tasks[measure].success_at_end
        method = [
            tag("a", entry.submission.method.name, href=f"{root}methods/{entry.slug}.html", class_="method"),
            tag("span", _authors(entry), _settings(entry), class_="authors"),
        ]
        placed = [
            str(place),
            tag("span", "=", title="shared: the intervals overlap", class_="shared") if shared else None,
        ]
        rows.append(
            _row(
                ("place", placed),
                ("who", method),
                ("badges", badge(entry.badge)),
                ("graph", charts.interval(score)),
                ("score", _number(score)),
                ("at-end", charts.percent(at_end.mean)),
                ("steps", _count(entry.submission.training.steps)),
                ("seeds", str(seeds)),
            )
        )
    head = ["place", "method", "checked", *scored, "mean [95 %]", "at end, %", "training steps", "seeds"]
    return tag("div", _table(head, rows, class_="ranking"), data_measure=measure, hidden=hidden)


def _protocol(key: Key) -> str:
    counts = {"task": len(key.tasks), "state": key.states, "trial": key.trials}
    size = " × ".join(f"{number} {name}{'s' * (number != 1)}" for name, number in counts.items())
    return f"{size}{'' if key.preset == 'full' else ' (quick)'}, {key.backend}, suite {key.suite}"


def _board(board: Board, number: int) -> Markup:
    key, name = board.key, f"board-{number}"
    return tag(
        "section",
        tag("h2", TRACK_NAMES[key.track], id=name),
        tag("p", _protocol(key), " (frozen)" if key.suite != CURRENT else "", class_="protocol"),
        [_ranking(board, measure, "", hidden=measure != MEAN) for measure in board.measures],
        _profiles(board),
        aria_labelledby=name,
        class_="board",
        data_track=key.track,
        data_backend=key.backend,
        data_tasks=" ".join(key.tasks),
    )


def _profiles(board: Board) -> Markup | None:
    """How the methods' scores are distributed over start states, to be unfolded."""
    found = board.profiles()
    if not found:
        return None
    names = [entry.submission.method.name for entry, _ in found]
    legend = [tag("li", tag("span", class_=f"key line-{number}"), name) for number, name in enumerate(names)]
    return tag(
        "details",
        tag("summary", "Performance profiles"),
        tag(
            "p",
            "On which share of start states a method solves more than so many of the trials; higher is better, and a "
            "level line says that states are either always solved or never.",
        ),
        tag("div", charts.profiles([(e.submission.method.name, p) for e, p in found]), class_="figure"),
        tag("ul", legend, class_="meanings"),
        class_="profiles",
    )


def _select(name: str, label: str, options: Mapping[str, str]) -> Markup:
    choices = [tag("option", text, value=value) for value, text in options.items()]
    return tag("label", tag("span", label), tag("select", choices, name=name, autocomplete="off"))


def _filters(boards: Sequence[Board]) -> Markup:
    tracks = {
        "": "all",
        **{name: TRACK_NAMES[name] for name in TRACK_NAMES if any(b.key.track == name for b in boards)},
    }
    backends = {"": "all", **{name: name for name in sorted({board.key.backend for board in boards})}}
    tasks = {"": "mean of all tasks", **{task: task for board in boards for task in board.key.tasks}}
    return tag(
        "form",
        _select("track", "Plans from", tracks),
        _select("backend", "Backend", backends),
        _select("task", "Task", tasks),
        tag("button", "Show all", type="reset"),
        tag("output", aria_live="polite"),
        class_="filters",
        aria_label="Filters",
    )


def _refused(refused: Sequence[Refused]) -> Markup | None:
    if not refused:
        return None
    items = [
        tag(
            "li",
            tag("b", one.folder),
            " ",
            badge(SELF_REPORTED),
            tag("ul", [tag("li", text) for text in one.problems[:5]]),
        )
        for one in refused
    ]
    return tag(
        "section",
        tag("h2", "Not ranked"),
        tag("p", "These do not pass validation."),
        tag("ul", items),
        class_="refused",
    )


def index(boards: Sequence[Board], refused: Sequence[Refused]) -> str:
    """The ranking."""
    legend = [tag("li", badge(name), " ", meaning) for name, meaning in BADGES.items()]
    body = [
        tag("h1", "Leaderboard"),
        tag(
            "p",
            "Plan-conditioned dexterous manipulation: how often a method solves the task. Methods share a place (=) "
            "unless their 95 % intervals lie apart; only equal protocols are compared.",
            class_="lead",
        ),
        _filters(boards) if boards else tag("p", "There are no submissions yet."),
        [_board(board, number) for number, board in enumerate(boards)],
        _refused(refused),
        tag("section", tag("h2", "What the badges say"), tag("ul", legend, class_="legend")),
    ]
    return page("Leaderboard", body, current="Ranking", scripts=["filters.js"])


def _facts(facts: Mapping[str, Child]) -> Markup:
    known = {name: value for name, value in facts.items() if value not in (None, "", [])}
    return tag("dl", [tag("div", tag("dt", name), tag("dd", value)) for name, value in known.items()], class_="facts")


def _tiles(board: Board, entry: Entry) -> Markup:
    ranking = board.ranking(MEAN)
    place, shared = next((place, shared) for place, shared, other, _ in ranking if other.slug == entry.slug)
    numbers = entry.aggregates
    tiles = {
        "place": f"{place}{' (shared)' if shared else ''} of {len(ranking)}",
        "mean success once, %": _number(numbers.mean_success_once),
        "interquartile mean, %": _number(numbers.interquartile_mean_success_once),
        "mean success at end, %": _number(numbers.mean_success_at_end),
    }
    return tag(
        "ul", [tag("li", tag("span", name), tag("strong", value)) for name, value in tiles.items()], class_="tiles"
    )


def _tasks(entry: Entry) -> Markup:
    rows = [
        _row(
            ("who", tag("a", name, href=f"../tasks/{name}.html")),
            ("graph", charts.interval(task.success_once, bar=True)),
            ("score", _number(task.success_once)),
            ("at-end", charts.percent(task.success_at_end.mean)),
            ("error", f"{100 * task.tracking_error:.1f}"),
            ("tips", f"{task.tips_in_contact:.1f}"),
            ("force", f"{task.grip_force:.1f}"),
        )
        for name in entry.submission.protocol.tasks
        for task in [entry.aggregates.tasks[name]]
    ]
    scored = tag("th", "success once, % ", charts.scale(), scope="col", role="columnheader", class_="scaled")
    head = ["task", scored, "mean [95 %]", "at end, %", "tracking error, cm", "tips touching", "grip, N"]
    return _table(head, rows, class_="ranking per-task")


def _learning(entry: Entry) -> Markup:
    training, vlm = entry.submission.training, entry.submission.vlm
    hours = training.wall_clock_hours
    return _facts(
        {
            "environment steps": _count(training.steps) if training.steps is not None else "not told",
            "wall-clock hours": f"{hours:.3g}" if hours is not None else "not told",
            "hardware": training.hardware,
            "vision-language model": vlm.model if vlm else None,
            "cost of its answers, USD": f"{vlm.cost_usd:.2f}" if vlm and vlm.cost_usd is not None else None,
        }
    )


def _provenance(entry: Entry) -> Markup:
    submission, verification = entry.submission, entry.verification
    protocol, policy, evaluated = submission.protocol, submission.policy, submission.evaluated
    seeds = [str(seed) for seed in protocol.training_seeds if seed is not None]
    return _facts(
        {
            "track": TRACK_NAMES[submission.track],
            "protocol": protocol.preset,
            "training seeds": ", ".join(seeds) or "none: it does not learn",
            "backend": submission.backend,
            "suite": str(submission.suite),
            "policy": f"{policy.kind}: {policy.reference}",
            "environment": ", ".join(f"{name}: {value}" for name, value in submission.environment.items()),
            "plans": submission.plans.provider,
            "commits": ", ".join(sorted({commit or "none" for commit in evaluated.commits})),
            "versions": ", ".join(f"{name} {version}" for name, version in evaluated.versions.items()),
            "evaluated on": evaluated.hardware,
            "fingerprints of its bits": ", ".join(sorted({numerics or "unknown" for numerics in evaluated.numerics})),
            "date": evaluated.date,
            "records": f"{submission.records.rows:,} episodes, SHA-256 {submission.records.sha256}",
            "re-run": f"{verification.identical} of {verification.sampled} episodes with the same bits"
            if verification
            else None,
        }
    )


def _rivals(rivals: Sequence[tuple[Entry, Interval]]) -> Markup | None:
    """How likely the method does better than those next to it in the ranking."""
    if not rivals:
        return None
    rows = [
        _row(
            ("who", tag("a", other.submission.method.name, href=f"{other.slug}.html")),
            ("graph", charts.interval(share)),
            ("score", _number(share)),
        )
        for other, share in ((other, Score(mean=p.mean, low=p.low, high=p.high)) for other, p in rivals)
    ]
    scored = tag(
        "th", "probability of doing better, % ", charts.scale(), scope="col", role="columnheader", class_="scaled"
    )
    return tag(
        "section",
        tag("h2", "Beside other methods"),
        tag(
            "p",
            "How likely this method does better on a random start state of a random task; equal results count half, so "
            "50 % means that neither is better.",
        ),
        _table(["method", scored, "mean [95 %]"], rows, class_="ranking per-task"),
    )


def _other_plans(entry: Entry, same: Sequence[Entry]) -> Markup | None:
    """The same policy on all plans that it was evaluated with."""
    if not same:
        return None
    rows = [
        _row(
            ("who", tag("a", other.submission.plans.provider, href=f"{other.slug}.html")),
            ("graph", charts.interval(other.aggregates.mean_success_once)),
            ("score", _number(other.aggregates.mean_success_once)),
            ("badges", badge(other.badge)),
            ("protocol", f"{other.submission.protocol.states} × {other.submission.protocol.trials}"),
        )
        for other in same
    ]
    noise = {
        round(100 * sigma, 6): other.aggregates.mean_success_once
        for other in same
        if (sigma := noise_of(other.submission.plans.provider)) is not None and _size(other) == _size(entry)
    }
    scored = tag("th", "mean success once, % ", charts.scale(), scope="col", role="columnheader", class_="scaled")
    return tag(
        "section",
        tag("h2", "The same policy on other plans"),
        _table(["plans", scored, "mean [95 %]", "checked", "states × trials"], rows, class_="ranking per-task"),
        tag("div", charts.curve(sorted(noise.items()), "noise on the oracle's plans, cm per axis"), class_="figure")
        if len(noise) > 1
        else None,
    )


def _size(entry: Entry) -> tuple[str, int, int, int]:
    """What two entries must share to be points of one curve."""
    protocol = entry.submission.protocol
    return entry.submission.backend, len(protocol.tasks), protocol.states, protocol.trials


def _videos(videos: Mapping[str, str]) -> Markup | None:
    """Videos by task."""
    shown = [
        tag(
            "figure",
            tag("video", src=address, controls=True, muted=True, loop=True, playsinline=True, preload="none"),
            tag("figcaption", name),
        )
        for name, address in videos.items()
    ]
    return tag("section", tag("h2", "Videos"), tag("div", shown, class_="videos")) if shown else None


def method(
    entry: Entry,
    board: Board,
    replays: Mapping[str, str],
    videos: Mapping[str, str] = MappingProxyType({}),
    rivals: Sequence[tuple[Entry, Interval]] = (),
    same: Sequence[Entry] = (),
) -> str:
    """The page of a method.

    Args:
        replays: addresses of its recorded episodes, by title. videos: addresses of its videos, by task.
        rivals: methods of its board, with the probability that it does better.
        same: all entries of the same policy.
    """
    told = entry.submission.method
    links = [tag("li", link(address)) for address in told.links]
    shown = [tag("li", tag("a", title, href=address)) for title, address in replays.items()]
    body = [
        tag("p", TRACK_NAMES[board.key.track], " · ", _protocol(board.key), class_="protocol"),
        tag("h1", told.name),
        tag("p", ", ".join(told.authors), class_="lead"),
        tag("p", badge(entry.badge), " ", BADGES[entry.badge], class_="trust"),
        _tiles(board, entry),
        tag("section", tag("h2", "Tasks"), _tasks(entry)),
        tag("section", tag("h2", "Why episodes fail"), tag("div", charts.sankey(entry.bands), class_="figure")),
        tag("section", tag("h2", "Replays"), tag("ul", shown)) if shown else None,
        _videos(videos),
        _rivals(rivals),
        _other_plans(entry, same),
        tag("section", tag("h2", "What learning cost"), _learning(entry)),
        tag("section", tag("h2", "About"), prose(told.description)) if told.description else None,
        tag("section", tag("h2", "Links"), tag("ul", links, class_="links")) if links else None,
        tag("section", tag("h2", "Where the numbers come from"), _provenance(entry)),
        tag("section", tag("h2", "Notes"), tag("ul", [tag("li", note) for note in entry.notes]))
        if entry.notes
        else None,
    ]
    return page(told.name, body, depth=1, current="Ranking")


def tasks(ids: Mapping[str, str], pictures: Iterable[str]) -> str:
    """The list of tasks; ``pictures``: tasks that have one."""
    known = set(pictures)
    cards = [
        tag(
            "li",
            tag(
                "a",
                tag("img", src=f"./tasks/{name}.jpg", alt="", loading="lazy") if name in known else None,
                tag("b", name),
                tag("span", env_id),
                href=f"tasks/{name}.html",
            ),
        )
        for name, env_id in ids.items()
    ]
    return page("Tasks", [tag("h1", "Tasks"), tag("ul", cards, class_="cards")], current="Tasks")


def task(name: str, env_id: str, boards: Sequence[Board], about: Markup | None, picture: bool) -> str:
    """The methods on one task, and what the task is."""
    sections = [
        tag(
            "section",
            tag("h2", TRACK_NAMES[board.key.track]),
            tag("p", _protocol(board.key), class_="protocol"),
            _ranking(board, name, "../", hidden=False),
        )
        for board in boards
        if name in board.key.tasks
    ]
    image = tag("img", src=f"./{name}.jpg", alt=f"The scene of {name}: the start, and a later step", class_="scene")
    body = [
        tag("p", env_id, class_="protocol"),
        tag("h1", name),
        image if picture else None,
        about,
        sections or tag("p", "No method has been evaluated on it yet."),
    ]
    return page(name, body, depth=1, current="Tasks")


def submit(text: Markup | None) -> str:
    """How to submit, from the documentation or in short."""
    short = [
        tag("h1", "Submit your method"),
        tag("p", "Evaluate each trained policy, make a submission, check it, open a pull request:"),
        tag(
            "pre",
            "scaffold-bench evaluate --policy file:runs/seed-1 --tasks all --preset full --out runs/eval-1",
            tag("br"),
            "scaffold-bench submit prepare runs/eval-1 --out leaderboard/submissions/mine --name Mine",
            tag("br"),
            "scaffold-bench submit validate leaderboard/submissions/mine",
        ),
    ]
    return page("How to submit", text if text is not None else short, current="How to submit")


def replays(addresses: Mapping[str, str], refused: Sequence[Refused] = ()) -> str:
    """The list of recorded episodes: addresses by title, and files that are no recording."""
    items = [tag("li", tag("a", title, href=address)) for title, address in addresses.items()]
    body = [
        tag("h1", "Replays"),
        tag("ul", items) if items else tag("p", "No episodes have been recorded yet."),
        tag("ul", [tag("li", one.folder, ": ", ", ".join(one.problems)) for one in refused]) if refused else None,
    ]
    return page("Replays", body, current="Replays")


def replay_title(trace: Trace) -> str:
    """How a recorded episode is called."""
    return f"{trace.policy}: {trace.task}, state {trace.state}, trial {trace.trial}"


def replay(trace: Trace, method: str | None) -> str:
    """A recorded episode; ``method``: address of its method's page."""
    controls = tag(
        "div",
        tag("button", "Play", type="button", name="play"),
        tag("input", type="range", name="frame", min=0, value=0, step=1, autocomplete="off", aria_label="Time"),
        tag("button", "Reset view", type="button", name="view"),
        tag("output", class_="state"),
        class_="controls",
    )
    meanings = {"planned": "planned keypoint", "tracked": "tracked keypoint", "lost": "farther off than ε₀"}
    body = [
        tag("p", trace.env_id, class_="protocol"),
        tag("h1", replay_title(trace)),
        tag("p", f"“{trace.instruction}”: {'solved' if trace.success else 'not solved'}", class_="lead"),
        tag(
            "canvas",
            class_="replay",
            tabindex=0,
            role="img",
            aria_label="Replay of the episode",
            aria_describedby="keys",
        ),
        controls,
        tag(
            "ul",
            [tag("li", tag("span", class_=f"key {name}"), text) for name, text in meanings.items()],
            class_="meanings",
        ),
        tag(
            "p",
            "Drag or use the arrow keys to look around, + and - to come closer, space to play, comma and full "
            "stop to step. "
            "Drawn are the collision shapes.",
            id="keys",
            class_="protocol",
        ),
        tag("p", tag("a", "The method", href=method)) if method else None,
        tag("p", tag("a", f"The task {trace.task}", href=f"../tasks/{trace.task}.html"))
        if trace.task in all_tasks()
        else None,
        tag("script", Markup(trace_json(trace)), type="application/json", id="trace"),
    ]
    return page(replay_title(trace), body, depth=1, current="Replays", scripts=["replay.js"])
