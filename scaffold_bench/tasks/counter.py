"""Where the top of the kitchen counter and its sink are, measured on the model."""

from __future__ import annotations

import torch

COUNTER_HEIGHT = 0.845
"""Top of mani_skill's kitchen counter, metres (measured)."""
COUNTER_X, COUNTER_Y = (-0.135, 0.47), (-1.52, 1.57)
"""Where the counter bears an object at any y and x, metres (measured by ray casts; the model is slightly turned)."""
SINK_X, SINK_Y = (0.02, 0.235), (0.10, 0.55)
"""The sink's opening with its sloping far wall, metres (measured by ray casts and by standing bottles there)."""


def over_counter(position: torch.Tensor) -> torch.Tensor:
    """Whether points (n, 3) are over the counter's top and not over the sink (n,); says nothing about height."""
    x, y, _ = position.unbind(-1)
    on_top = (x > COUNTER_X[0]) & (x < COUNTER_X[1]) & (y > COUNTER_Y[0]) & (y < COUNTER_Y[1])
    in_sink = (x > SINK_X[0]) & (x < SINK_X[1]) & (y > SINK_Y[0]) & (y < SINK_Y[1])
    return on_top & ~in_sink
