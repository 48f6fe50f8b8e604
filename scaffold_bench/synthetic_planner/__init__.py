"""A stand-in for a vision-language model behind Google's interface, for tests and demonstrations without a key."""

from scaffold_bench.synthetic_planner.faults import ErrorRates
from scaffold_bench.synthetic_planner.planner import SimulatedPlanner
from scaffold_bench.synthetic_planner.provider import simulated_vlm
from scaffold_bench.synthetic_planner.server import FakeGemini, client

__all__ = ["ErrorRates", "FakeGemini", "SimulatedPlanner", "client", "simulated_vlm"]
