"""Whether two machines compute the same bits.

The physics engine divides by approximate reciprocals (the instructions ``rcpps`` and ``rsqrtps``), whose last bits are
Intel's or AMD's, and linear algebra libraries choose their kernels by processor. One kind of processor always gives
the same bits; on another an episode drifts, and a swinging hammer may drift far. The fingerprint tells which.
"""

from __future__ import annotations

import functools
import hashlib
from typing import Any

import numpy as np
import torch

from scaffold_bench.registration import make_vector_env

TASK, STEPS = "hammer", 90


@functools.cache
def numerics() -> str:
    """Sixteen hex digits that are equal where a short rollout with contacts, and a network, come out bit for bit equal.

    They depend on the processor and on the versions of the packages; a changed environment changes them too.
    """
    digest = hashlib.sha256()
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    env: Any = make_vector_env(TASK, 1, split="eval", tracking_threshold=None, autoreset=False)
    try:
        observation, _ = env.reset(seed=0, options={"state": 0, "trial": 0})
        actions = np.random.default_rng(0).uniform(-1, 1, (STEPS, *env.action_space.shape)).astype(np.float32)
        for action in actions:
            observation, *_ = env.step(action)
            digest.update(observation.tobytes())
        weights = torch.randn(256, observation.shape[1], generator=torch.Generator().manual_seed(0))
        digest.update(torch.nn.functional.elu(torch.from_numpy(observation) @ weights.T).numpy().tobytes())
    finally:
        env.close()
        torch.set_num_threads(threads)
    return digest.hexdigest()[:16]
