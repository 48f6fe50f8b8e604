"""Lets ManiSkill's wrappers recognise our environment."""

from __future__ import annotations

from typing import Any

from gymnasium.utils import RecordConstructorArgs
from mani_skill.utils.wrappers import CPUGymWrapper


class ManiSkillBridge(CPUGymWrapper, RecordConstructorArgs):  # type: ignore[misc]  # mani_skill is untyped
    """A pass-through that tells ManiSkill's ``RecordEpisode`` that this is one unbatched NumPy environment.

    ``RecordEpisode`` looks for a ``CPUGymWrapper`` to find that out; our environment needs no conversion.
    """

    def __init__(self, env: Any) -> None:
        RecordConstructorArgs.__init__(self)
        CPUGymWrapper.__init__(self, env)

    def step(self, action: Any) -> Any:
        return self.env.step(action)

    def reset(self, *, seed: int | None = None, options: dict[str, Any] | None = None) -> Any:
        return self.env.reset(seed=seed, options=options)

    def render(self) -> Any:
        return self.env.render()
