import contextlib
import dataclasses
import io
import itertools
import json
import pickle
import warnings
import zipfile

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from scaffold_bench.scaffolds import (
    OracleProvider,
    RecordedProvider,
    ScaffoldEntry,
    load_scaffolds,
    resolve_provider,
    save_scaffolds,
    scaffold_from_waypoints,
    storage,
)
from scaffold_bench.types import (
    EPISODE_STEPS,
    InvalidScaffoldError,
    PrivilegedRequest,
    Scaffold,
    ScaffoldRequest,
    StartState,
    Waypoints,
)

ATTACHMENTS = ("hammer", "world")
PROVENANCE = {"provider": "vlm", "model": "m-1", "waypoints": 20, "temperature": 0.5, "cached": True}


def coarse(count=20, seed=0, attachments=ATTACHMENTS, timed=False):
    rng = np.random.default_rng(seed)
    times = np.concatenate([[0.0], np.sort(rng.uniform(0.01, 0.99, count - 2)), [1.0]]) if timed else None
    # steps of millimetres, so that even two waypoints a frame apart are credible
    keypoints = np.cumsum(rng.uniform(-1e-3, 1e-3, (count, len(attachments), 3)), axis=0)
    return Waypoints(keypoints, np.cumsum(rng.uniform(-1e-3, 1e-3, (count, 6)), axis=0), attachments, times)


def plan(task="hammer", valid=True, reason="", provenance=PROVENANCE, **shape):
    return scaffold_from_waypoints(task, coarse(**shape), provenance, valid, reason)


def plain(seed=0):
    """A plan of 301 frames that came from no waypoints."""
    rng = np.random.default_rng(seed)
    keypoints, wrist = rng.uniform(-0.02, 0.02, (301, 1, 3)), rng.uniform(-0.02, 0.02, (301, 6))
    keypoints[::7], wrist[::5] = -0.0, -0.0
    return Scaffold("sponge", keypoints, wrist, ("sponge",))


def save(path, *plans, split="eval"):
    save_scaffolds(path, [ScaffoldEntry(scaffold, split, state) for state, scaffold in enumerate(plans)])
    return path


def assert_same(read, written):
    assert read.keypoints.tobytes() == written.keypoints.tobytes()
    assert read.wrist.tobytes() == written.wrist.tobytes()
    for name in ("task", "attachments", "valid", "reason", "version", "sha256", "provenance"):
        assert getattr(read, name) == getattr(written, name), name


@pytest.fixture
def path(tmp_path):
    return tmp_path / "plans.npz"


# --- what is written comes back


@pytest.mark.parametrize(
    "scaffold",
    [
        pytest.param(plan(), id="20-waypoints"),
        pytest.param(plan(count=2), id="2-waypoints"),
        pytest.param(plan(count=301), id="301-waypoints"),
        pytest.param(plan(timed=True), id="timed"),
        pytest.param(plain(), id="plain-frames"),
        pytest.param(plan(valid=False, reason="the answer was “no”\nJSON expected"), id="invalid"),
        pytest.param(plan(provenance={}), id="no-provenance"),
    ],
)
def test_a_plan_comes_back_bit_for_bit(path, scaffold):
    assert_same(load_scaffolds(save(path, scaffold))[0], scaffold)


def test_provenance_keeps_its_types(path):
    mixed = {"text": "1", "whole": 1, "real": 1.0, "flag": True}
    read = load_scaffolds(save(path, plan(provenance=mixed)))[0].provenance
    assert {name: type(value) for name, value in read.items()} == {
        "text": str,
        "whole": int,
        "real": float,
        "flag": bool,
    }


def test_mixed_tasks_shapes_and_states_keep_their_order(path):
    plans = [
        plan(),
        plain(1),
        plan("apple", count=5),
        plan(seed=2),
        plan(timed=True),
        plain(3),
        plan(attachments=("a",)),
    ]
    entries = [
        ScaffoldEntry(scaffold, split, state)
        for scaffold, split, state in zip(
            plans, itertools.cycle(["eval", "train"]), [9, 0, None, 3, 4, 5, 99], strict=False
        )
    ]
    save_scaffolds(path, entries)
    file = load_scaffolds(path)
    assert len(file) == len(plans)
    for read, written in zip(file, plans, strict=True):
        assert_same(read, written)
    assert [(row.task, row.split, row.state) for row in file.entries] == [
        (entry.scaffold.task, entry.split, entry.state) for entry in entries
    ]


def test_a_loaded_file_can_be_written_again(path, tmp_path):
    save(path, plan(timed=True), plain())
    again = save(tmp_path / "again.npz", *load_scaffolds(path))
    assert [s.sha256 for s in load_scaffolds(again)] == [s.sha256 for s in load_scaffolds(path)]


def test_thousands_of_plans_stay_small(path):
    plans = [plan(seed=seed) for seed in range(1600)]
    save(path, *plans)
    assert path.stat().st_size < 3_000_000
    file = load_scaffolds(path)
    assert len(file) == 1600
    for row in (0, 800, 1599, -1):
        assert_same(file[row], plans[row])


def test_no_plans_make_an_empty_file(path):
    save_scaffolds(path, [])
    assert list(load_scaffolds(path)) == []


def test_missing_folders_are_made(tmp_path):
    assert len(load_scaffolds(save(tmp_path / "a" / "b" / "plans.npz", plan()))) == 1


def test_a_row_past_the_end_is_an_index_error(path):
    with pytest.raises(IndexError):
        load_scaffolds(save(path, plan()))[1]


def test_a_file_is_replaced_whole(path):
    save(path, plan(seed=1), plan(seed=2))
    save(path, plan(seed=3))
    assert [s.sha256 for s in load_scaffolds(path)] == [plan(seed=3).sha256]
    assert [file.name for file in path.parent.iterdir()] == [path.name]


def test_an_interrupted_write_leaves_the_old_file(path, monkeypatch):
    save(path, plan(seed=1))
    before = path.read_bytes()

    def fail(*_):
        raise OSError("disk full")

    with monkeypatch.context() as patch:
        patch.setattr("os.replace", fail)
        with pytest.raises(OSError, match="disk full"):
            save(path, plan(seed=2))
    assert path.read_bytes() == before


def test_a_plan_with_replaced_frames_is_saved_with_those(path):
    edited = dataclasses.replace(plan(), wrist=np.full((301, 6), 0.5))
    assert load_scaffolds(save(path, edited))[0].sha256 == edited.sha256


def test_a_plan_does_not_share_memory_with_its_waypoints(path):
    wrist = np.zeros((20, 6), dtype=np.float32)
    scaffold = scaffold_from_waypoints("hammer", Waypoints(np.zeros((20, 1, 3)), wrist, ("world",)), {})
    wrist += 0.5
    assert load_scaffolds(save(path, scaffold))[0].sha256 == scaffold.sha256


def test_provenance_with_nan_does_not_make_the_file_unreadable(path):
    try:
        save(path, plan(provenance={"score": float("nan")}))
    except ValueError:
        return
    load_scaffolds(path)


def test_waypoints_of_two_lengths_are_refused():
    with pytest.raises(InvalidScaffoldError):
        scaffold_from_waypoints("hammer", Waypoints(np.zeros((20, 1, 3)), np.zeros((10, 6)), ("world",)), {})


@pytest.mark.parametrize("times", [[0.0, 2.0, 1.0], [0.0, 0.5]])
def test_bad_waypoint_times_are_an_invalid_scaffold(times):
    waypoints = Waypoints(np.zeros((3, 1, 3)), np.zeros((3, 6)), ("world",), np.array(times))
    with pytest.raises(InvalidScaffoldError):
        scaffold_from_waypoints("hammer", waypoints, {})


def test_a_slice_of_a_file_is_a_sequence_of_plans(path):
    file = load_scaffolds(save(path, plan(seed=1), plan(seed=2), plan(seed=3)))
    assert [s.sha256 for s in file[1:]] == [plan(seed=2).sha256, plan(seed=3).sha256]


# --- damaged files


def npy(array, allow_pickle=False):
    stream = io.BytesIO()
    np.lib.format.write_array(stream, np.asarray(array), allow_pickle=allow_pickle)
    return stream.getvalue()


def unpack(path):
    with zipfile.ZipFile(path) as archive:
        return {name: archive.read(name) for name in archive.namelist()}


def pack(path, members):
    with zipfile.ZipFile(path, "w") as archive:
        for name, content in members.items():
            archive.writestr(name, content)


def header_of(members):
    return json.loads(np.lib.format.read_array(io.BytesIO(members["header.npy"])).tobytes())


def with_header(members, header):
    return {**members, "header.npy": npy(np.frombuffer(json.dumps(header).encode(), dtype=np.uint8))}


@pytest.fixture
def members(path):
    save(path, plan(seed=1), plan(seed=2, timed=True))
    return unpack(path)


def refusal(path):
    with pytest.raises(InvalidScaffoldError) as caught:
        load_scaffolds(path)
    assert path.name in str(caught.value)
    return str(caught.value)


def test_the_helpers_rebuild_a_readable_file(path, members):
    pack(path, with_header(members, header_of(members)))
    assert load_scaffolds(path)[1].sha256 == plan(seed=2, timed=True).sha256


@pytest.mark.parametrize(
    "content", [b"", b"hello", b"PK\x03\x04", npy(np.zeros(3)), pickle.dumps({}), bytes(range(256)) * 9]
)
def test_a_file_that_is_no_archive_is_refused(path, content):
    path.write_bytes(content)
    assert "not a readable plan file" in refusal(path)


def test_a_missing_file_and_a_folder_are_refused(tmp_path):
    for place in (tmp_path / "nowhere.npz", tmp_path):
        assert "not a readable plan file" in refusal(place)


@pytest.mark.parametrize("share", [0.1, 0.5, 0.9, 0.999])
def test_a_truncated_file_is_refused(path, members, share):
    pack(path, members)
    content = path.read_bytes()
    path.write_bytes(content[: int(share * len(content))])
    refusal(path)


@pytest.mark.parametrize("missing", ["header.npy", "g0_keypoints.npy", "g0_wrist.npy", "g1_times.npy"])
def test_a_missing_member_is_refused_by_name(path, members, missing):
    del members[missing]
    pack(path, members)
    assert missing.removesuffix(".npy") in refusal(path)


HEADER_DAMAGE = {
    "version": (lambda h: h.update(version=2), "version: is 2, this release reads 1"),
    "version-as-text": (lambda h: h.update(version="1"), "version"),
    "format": (lambda h: h.update(format="someone else's"), "format"),
    "no-plans": (lambda h: h.pop("plans"), "plans"),
    "extra-field": (lambda h: h.update(colour="red"), "colour"),
    "extra-group-field": (lambda h: h["groups"][0].update(colour="red"), "groups.0.colour"),
    "extra-plan-field": (lambda h: h["plans"][1].update(colour="red"), "plans.1.colour"),
    "row-past-the-end": (lambda h: h["plans"][1].update(row=1), "plan 1: points outside"),
    "negative-row": (lambda h: h["plans"][0].update(row=-1), "plans.0.row"),
    "group-past-the-end": (lambda h: h["plans"][0].update(group=2), "plan 0: points outside"),
    "negative-group": (lambda h: h["plans"][0].update(group=-1), "plans.0.group"),
    "negative-state": (lambda h: h["plans"][0].update(state=-1), "plans.0.state"),
    "state-as-text": (lambda h: h["plans"][0].update(state="0"), "plans.0.state"),
    "valid-as-number": (lambda h: h["plans"][0].update(valid=1), "plans.0.valid"),
    "nested-provenance": (lambda h: h["plans"][0].update(provenance={"a": {"b": 1}}), "plans.0.provenance.a"),
    "huge-reason": (lambda h: h["plans"][0].update(reason="x" * 10_001), "plans.0.reason"),
    "more-keypoints": (lambda h: h["groups"][0].update(attachments=["a", "b", "c"]), "g0_keypoints"),
    "too-many-keypoints": (lambda h: h["groups"][0].update(attachments=["a"] * 65), "groups.0.attachments"),
    "no-keypoints": (lambda h: h["groups"][0].update(attachments=[]), "groups.0.attachments"),
    "no-waypoints": (lambda h: h["groups"][0].update(waypoints=0), "groups.0.waypoints"),
    "too-many-waypoints": (lambda h: h["groups"][0].update(waypoints=302), "groups.0.waypoints"),
    "other-waypoints": (lambda h: h["groups"][0].update(waypoints=19), "g0_keypoints"),
    "timed-without-times": (lambda h: h["groups"][0].update(timed=True), "g0_times"),
}


@pytest.mark.parametrize(("damage", "named"), HEADER_DAMAGE.values(), ids=HEADER_DAMAGE)
def test_a_damaged_header_is_refused_by_field(path, members, damage, named):
    header = header_of(members)
    damage(header)
    pack(path, with_header(members, header))
    assert named in refusal(path)


@pytest.mark.parametrize("content", [b"", b"{", b"[]", b"null", b"\xff\xfe", b"[" * 100_000])
def test_a_header_that_is_no_json_object_is_refused(path, members, content):
    pack(path, {**members, "header.npy": npy(np.frombuffer(content, dtype=np.uint8))})
    refusal(path)


ARRAY_DAMAGE = {
    "float64": ("g0_wrist", np.zeros((1, 20, 6))),
    "big-endian": ("g0_wrist", np.zeros((1, 20, 6), dtype=">f4")),
    "integers": ("g0_keypoints", np.zeros((1, 20, 2, 3), dtype=np.int32)),
    "text": ("g0_wrist", np.full((1, 20, 6), "a")),
    "flat": ("g0_keypoints", np.zeros((1, 20, 6), dtype=np.float32)),
    "a-scalar": ("g0_wrist", np.float32(0)),
    "seven-wrist-values": ("g0_wrist", np.zeros((1, 20, 7), dtype=np.float32)),
    "other-times": ("g1_times", np.zeros((1, 19), dtype=np.float32)),
}


@pytest.mark.parametrize(("name", "array"), ARRAY_DAMAGE.values(), ids=ARRAY_DAMAGE)
def test_an_array_of_wrong_kind_or_shape_is_refused_by_name(path, members, name, array):
    pack(path, {**members, f"{name}.npy": npy(array)})
    assert f"{name}: is missing or not float32" in refusal(path)


def test_arrays_of_different_lengths_are_refused(path, members):
    pack(path, {**members, "g0_wrist.npy": npy(np.zeros((2, 20, 6), dtype=np.float32))})
    assert "group 0: has arrays of different lengths" in refusal(path)


class Unpickled:
    happened = False

    def __reduce__(self):
        return setattr, (Unpickled, "happened", True)


@pytest.mark.parametrize("name", ["header", "g0_wrist", "something_else"])
def test_nothing_is_ever_unpickled(path, members, name):
    objects = np.empty((1, 20, 6), dtype=object)
    objects[0, 0, 0] = Unpickled()
    pack(path, {**members, f"{name}.npy": npy(objects, allow_pickle=True)})
    refusal(path)
    assert not Unpickled.happened


def test_a_file_that_unpacks_to_too_much_is_refused_unread(path, members, monkeypatch):
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in {**members, "zeros.npy": npy(np.zeros(2**20, dtype=np.uint8))}.items():
            archive.writestr(name, content)
    assert path.stat().st_size < 2**19
    load_scaffolds(path)
    monkeypatch.setattr(storage, "MAX_FILE_BYTES", 2**20)
    monkeypatch.setattr(np.lib.format, "read_array", lambda *_, **__: pytest.fail("was unpacked"))
    assert "unpacks to more than 1 MiB" in refusal(path)


def test_a_huge_header_is_refused_unread(path, members, monkeypatch):
    pack(path, members)
    monkeypatch.setattr(storage, "MAX_HEADER_BYTES", len(members["header.npy"]) - 1)
    assert "unpacks to more" in refusal(path)


def test_a_member_that_hides_its_size_is_refused(path, members):
    pack(path, {"header.npy": members.pop("header.npy"), **members})
    content = bytearray(path.read_bytes())
    directory = content.index(b"PK\x01\x02")
    content[directory + 24 : directory + 28] = (200).to_bytes(4, "little")  # uncompressed size of the header
    path.write_bytes(content)
    refusal(path)


def test_a_plan_with_a_bad_number_is_refused_when_asked_for(path, members):
    wrist = np.lib.format.read_array(io.BytesIO(members["g1_wrist.npy"])).copy()
    wrist[0, 7, 3] = np.nan
    pack(path, {**members, "g1_wrist.npy": npy(wrist)})
    file = load_scaffolds(path)
    assert file[0].sha256 == plan(seed=1).sha256
    with pytest.raises(InvalidScaffoldError, match=r"plan 1: wrist: is not finite") as caught:
        file[1]
    assert caught.value.field == "plan 1: wrist"


@pytest.mark.parametrize("times", [np.zeros(20), np.linspace(1, 0, 20), np.full(20, np.nan), np.linspace(0, 2, 20)])
def test_a_plan_with_bad_times_is_refused_when_asked_for(path, members, times):
    pack(path, {**members, "g1_times.npy": npy(times[None].astype(np.float32))})
    with pytest.raises(InvalidScaffoldError, match="plan 1: waypoints: waypoint times must increase"):
        load_scaffolds(path)[1]


@pytest.fixture(scope="module")
def fuzzed(tmp_path_factory):
    return tmp_path_factory.mktemp("fuzz") / "plans.npz"


def flip(content, flips):
    damaged = bytearray(content)
    for place, bits in flips:
        damaged[int(place * len(damaged)) % len(damaged)] ^= bits
    return bytes(damaged)


def read_everything(path):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            file = load_scaffolds(path)
        except InvalidScaffoldError:
            return
        for row in range(len(file)):
            with contextlib.suppress(InvalidScaffoldError):
                assert np.isfinite(file[row].wrist).all()


FLIPS = st.lists(st.tuples(st.floats(0, 1), st.integers(1, 255)), max_size=8)
FUZZ = settings(max_examples=300, deadline=None)


@FUZZ
@given(FLIPS, st.floats(0, 1))
def test_damaged_bytes_raise_nothing_but_a_refusal(fuzzed, flips, kept):
    content = flip(save(fuzzed, plan(), plan(timed=True), plan(count=3)).read_bytes(), flips)
    fuzzed.write_bytes(content if kept > 0.8 else content[: int(kept * len(content))])
    read_everything(fuzzed)


@FUZZ
@given(FLIPS, st.data())
def test_damage_behind_a_correct_checksum_raises_nothing_but_a_refusal(fuzzed, flips, data):
    members = unpack(save(fuzzed, plan(), plan(timed=True), plan(count=3)))
    name = data.draw(st.sampled_from(sorted(members)))
    # an array's own header takes the first 128 bytes of its member
    start, stop = data.draw(st.sampled_from([(0, 128), (128, None)]))
    damaged, rest = members[name][start:stop], members[name][128:] if stop else b""
    members[name] = members[name][:start] + flip(damaged, flips) + rest
    pack(fuzzed, members)
    read_everything(fuzzed)


# --- providers


def request(state=0, task="hammer", split="eval", cls=ScaffoldRequest, **more):
    return cls(task, "Hammer three times", ("a", "b"), np.zeros(6), state, split, ATTACHMENTS, **more)


@pytest.fixture
def recorded(path):
    save_scaffolds(
        path,
        [
            ScaffoldEntry(plan(seed=1), "eval", 4),
            ScaffoldEntry(plan(seed=2), "train", 4),
            ScaffoldEntry(plan("apple", seed=3), "eval", 4),
            ScaffoldEntry(plan(seed=4), "eval", 5),
            ScaffoldEntry(plan(seed=5), "eval", None),
        ],
    )
    return RecordedProvider(path)


@pytest.mark.parametrize(
    ("task", "split", "state", "seed"),
    [("hammer", "eval", 4, 1), ("hammer", "train", 4, 2), ("apple", "eval", 4, 3), ("hammer", "eval", 5, 4)],
)
def test_a_recorded_plan_is_found_by_task_split_and_state(recorded, task, split, state, seed):
    assert recorded.plan(request(state, task, split)).sha256 == plan(task, seed=seed).sha256


@pytest.mark.parametrize(
    ("asked", "told"),
    [
        ((6, "hammer", "eval"), "plans.npz has no plan for hammer, split eval, state 6"),
        ((5, "hammer", "train"), "plans.npz has no plan for hammer, split train, state 5"),
        ((4, "sponge", "eval"), "plans.npz has no plan for sponge, split eval, state 4"),
        ((None, "hammer", "eval"), "plans.npz has no plan for hammer, split eval, a state from no frozen set"),
    ],
)
def test_a_plan_that_was_not_recorded_is_a_lookup_error(recorded, asked, told):
    with pytest.raises(LookupError, match=told):
        recorded.plan(request(*asked))


def test_recorded_plans_need_no_privilege_and_the_oracle_does():
    assert not RecordedProvider.privileged
    assert OracleProvider.privileged


@pytest.mark.parametrize("count", [2, 3, 40])
def test_the_oracle_interpolates_the_task_s_own_waypoints(count):
    asked = []

    def reference(waypoints):
        asked.append(waypoints)
        return coarse(waypoints, seed=8)

    start = StartState(np.zeros(6), {})
    scaffold = OracleProvider(waypoints=count).plan(request(cls=PrivilegedRequest, start=start, reference=reference))
    assert asked == [count]
    assert scaffold.sha256 == plan(count=count, seed=8).sha256
    assert scaffold.provenance == {"provider": "oracle", "waypoints": count}
    np.testing.assert_allclose(scaffold.wrist[[0, -1]], coarse(count, seed=8).wrist[[0, -1]], atol=1e-7)


def test_the_oracle_uses_the_paper_s_twenty_waypoints_by_default():
    assert OracleProvider().waypoints == 20


@pytest.mark.parametrize("count", [1, 0, -3])
def test_the_oracle_needs_two_waypoints(count):
    with pytest.raises(ValueError, match=f"at least 2 waypoints, got {count}"):
        OracleProvider(count)


def test_providers_are_resolved_from_names_paths_and_objects(path):
    save(path, plan(seed=6))
    assert isinstance(resolve_provider("oracle"), OracleProvider)
    for place in (path, str(path)):
        assert resolve_provider(place).plan(request(0)).sha256 == plan(seed=6).sha256
    mine = OracleProvider(3)
    assert resolve_provider(mine) is mine


class NoPrivilege:
    def plan(self, request):
        raise NotImplementedError


class PlanIsNoMethod:
    plan, privileged = None, False


@pytest.mark.parametrize(
    "thing", [object(), None, 3, NoPrivilege(), PlanIsNoMethod()], ids=lambda thing: type(thing).__name__
)
def test_a_thing_that_cannot_plan_is_a_type_error(thing):
    with pytest.raises(TypeError, match=f"got {type(thing).__name__}"):
        resolve_provider(thing)


@pytest.mark.parametrize("name", ["orakle", "", "missing.npz"])
def test_an_unknown_name_is_a_value_error(name):
    with pytest.raises(ValueError, match="neither a planner nor an existing plan file"):
        resolve_provider(name)


def test_a_file_that_holds_no_plans_is_refused(path):
    path.write_text("not plans")
    with pytest.raises(InvalidScaffoldError, match="not a readable plan file"):
        resolve_provider(path)


def test_plans_and_their_states_go_round(tmp_path):
    first, second = tmp_path / "a.npz", tmp_path / "b.npz"
    save_scaffolds(first, [ScaffoldEntry(hold_still(), "eval", 3), ScaffoldEntry(hold_still(), "train", None)])
    save_scaffolds(second, load_scaffolds(first).with_states())
    assert first.read_bytes() == second.read_bytes()


def test_what_is_no_entry_is_not_saved(tmp_path):
    with pytest.raises(InvalidScaffoldError, match=r"expected ScaffoldEntry\(plan, split, state\)"):
        save_scaffolds(tmp_path / "a.npz", [hold_still()])
    for state in (-1, 1.5, True):
        with pytest.raises(InvalidScaffoldError, match="state: is"):
            ScaffoldEntry(hold_still(), "eval", state)


def test_two_plans_for_one_state_are_not_served(tmp_path):
    save_scaffolds(tmp_path / "a.npz", [ScaffoldEntry(hold_still(), "eval", 3)] * 2)
    with pytest.raises(InvalidScaffoldError, match="two plans for the same task, split and state"):
        RecordedProvider(tmp_path / "a.npz")


def hold_still():
    frames = EPISODE_STEPS + 1
    return Scaffold("drawer", np.zeros((frames, 1, 3)), np.zeros((frames, 6)), ("world",))
