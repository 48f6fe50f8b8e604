"""Damaged plan files are refused by name, and nothing in them is run."""

import contextlib
import io
import json
import pickle
import warnings
import zipfile

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from plan_files import plan, save

from scaffold_bench.scaffolds import load_scaffolds, storage
from scaffold_bench.types import InvalidScaffoldError


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
    "one-row-for-two-plans": (lambda h: h["plans"].append(h["plans"][0]), "is there twice"),
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
    "too-many-waypoints": (lambda h: h["groups"][0].update(waypoints=6002), "groups.0.waypoints"),
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
