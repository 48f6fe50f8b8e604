"""``python -m scaffold_bench`` is ``scaffold-bench``."""

from scaffold_bench.cli import main

main()
