"""Which episodes an evaluation runs."""

from __future__ import annotations

from dataclasses import dataclass

from scaffold_bench.envs.start_states import STATES_PER_SPLIT


@dataclass(frozen=True)
class Preset:
    """How many start states, and how many jittered trials of each."""

    states: int
    trials: int


PRESETS = {
    "quick": Preset(states=20, trials=1),  # for laptops: seconds per task
    "full": Preset(states=STATES_PER_SPLIT, trials=20),  # paper, 4.1
}


def preset(name: str, states: int | None = None, trials: int | None = None) -> Preset:
    """A named preset, with the number of states or trials overridden.

    Raises:
        ValueError: no such preset, or a number out of range.
    """
    if name not in PRESETS:
        raise ValueError(f"there is no preset {name!r}; the presets are {', '.join(PRESETS)}")
    chosen = Preset(
        PRESETS[name].states if states is None else states, PRESETS[name].trials if trials is None else trials
    )
    if not 1 <= chosen.states <= STATES_PER_SPLIT:
        raise ValueError(f"states must be between 1 and {STATES_PER_SPLIT}, got {chosen.states}")
    if chosen.trials < 1:
        raise ValueError(f"trials must be at least 1, got {chosen.trials}")
    return chosen
