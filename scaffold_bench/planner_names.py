"""The grammar of planners' names, taken apart without looking anything up (what they mean: ``scaffolds.names``).

NAME = BASE | BASE?key=value&key=value...     oracle, vlm, recorded:train, or a planner from outside
     | recorded:SOURCE                        a kept plan set, or the path of a plan file
     | noise(SIGMA,key=value...):NAME
     | mix:NAME+NAME
"""

from __future__ import annotations

import re
from dataclasses import dataclass

MAX_NESTING = 8
"""How deep planners may be made of planners."""
BUILTIN = ("oracle", "vlm", "recorded", "mix", "noise")


@dataclass(frozen=True)
class PlannerName:
    """A planner's name, taken apart down to the names of the planners that it is made of.

    Attributes:
        text: the name.
        base: oracle, vlm, recorded, recorded:train, noise, mix, or how a planner from outside is called.
        options: names and values, literally and in their order.
        source: what follows ``recorded:``. sigma: the standard deviation of noise, as it is written.
        parts: the planners that it is made of: for noise one name, for a mix (keypoints, trajectory). Since names may
            hold paths with a "+", a mix has several ways to divide; the shortest first name comes first.
    """

    text: str
    base: str
    options: tuple[tuple[str, str], ...] = ()
    source: str = ""
    sigma: str = ""
    parts: tuple[tuple[str, ...], ...] = ()

    @property
    def canonical(self) -> str:
        """The name as it is written from its pieces: without spaces, with "=" in every option."""
        pairs = [f"{key}={value}" for key, value in self.options]
        if self.base == "noise" and self.parts:
            return f"noise({','.join([self.sigma, *pairs])}):{self.parts[0][0]}"
        base = f"recorded:{self.source}" if self.source else self.base
        return f"{base}?{'&'.join(pairs)}" if pairs else base


def parse(name: str) -> PlannerName:
    """Take a planner's name apart; every text is a name, be it of no planner."""
    if noise := re.fullmatch(r"noise\(([^()]*)\):(.+)", name):
        sigma, *rest = (part.strip() for part in noise[1].split(","))
        return PlannerName(name, "noise", tuple(map(_option, rest)), sigma=sigma, parts=((noise[2],),))
    if name.startswith("mix:"):
        pieces = name.removeprefix("mix:").split("+")
        ways = (("+".join(pieces[:cut]), "+".join(pieces[cut:])) for cut in range(1, len(pieces)))
        return PlannerName(name, "mix", parts=tuple(ways))
    base, _, query = name.partition("?")
    if base.startswith("recorded:") and base != "recorded:train":  # what follows is a path, in which ? is a letter
        return PlannerName(name, "recorded", source=name.removeprefix("recorded:"))
    return PlannerName(name, base, tuple(_option(part) for part in query.split("&") if part))


def _option(text: str) -> tuple[str, str]:
    """``key=value``, taken literally: nothing is unquoted, for values may be paths."""
    key, _, value = text.partition("=")
    return key, value
