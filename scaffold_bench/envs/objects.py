"""Old name of :mod:`scaffold_bench.objects.shapes`."""

from scaffold_bench.objects.shapes import *  # noqa: F403
