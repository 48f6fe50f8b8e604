"""Stand-ins for what tests and demonstrations cannot have: a vision-language model behind Google's interface."""

from scaffold_bench.testing.fake_gemini import FakeGemini, client
from scaffold_bench.testing.simulated_planner import ErrorRates, SimulatedPlanner
from scaffold_bench.testing.simulated_vlm import simulated_vlm

__all__ = ["ErrorRates", "FakeGemini", "SimulatedPlanner", "client", "simulated_vlm"]
