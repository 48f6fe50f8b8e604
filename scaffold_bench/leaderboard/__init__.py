"""The boards and their pages; names of :mod:`scaffold_bench.submissions` can be imported from here too, as ever."""

from scaffold_bench.submissions import *  # noqa: F403
from scaffold_bench.submissions import __all__ as __all__
