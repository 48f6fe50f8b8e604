"""Old name of :mod:`scaffold_bench.objects.dimensions`."""

from scaffold_bench.objects.dimensions import *  # noqa: F403
