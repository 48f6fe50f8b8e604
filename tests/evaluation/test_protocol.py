import pytest

from scaffold_bench.evaluation import PRESETS, Preset
from scaffold_bench.evaluation.protocol import preset


def test_presets_are_the_paper_s_protocol_and_a_quick_one():
    assert {"quick": Preset(states=20, trials=1), "full": Preset(states=100, trials=20)} == PRESETS


@pytest.mark.parametrize(
    ("arguments", "chosen"),
    [
        (("quick",), (20, 1)),
        (("full",), (100, 20)),
        (("quick", 3), (3, 1)),
        (("full", None, 2), (100, 2)),
        (("quick", 100, 7), (100, 7)),
        (("quick", 1, 1), (1, 1)),
    ],
)
def test_a_preset_s_numbers_can_be_overridden(arguments, chosen):
    assert preset(*arguments) == Preset(*chosen)


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (("huge",), "no preset 'huge'; the presets are quick, full"),
        (("quick", 0), "states must be between 1 and 100, got 0"),
        (("quick", 101), "states must be between 1 and 100, got 101"),
        (("quick", -1), "states must be between 1 and 100, got -1"),
        (("quick", 5, 0), "trials must be at least 1, got 0"),
    ],
)
def test_a_preset_out_of_range_is_refused(arguments, told):
    with pytest.raises(ValueError, match=told):
        preset(*arguments)
