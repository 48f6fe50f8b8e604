"""``python -m scaffold_bench`` is ``scaffold-bench``."""

from scaffold_bench.cli.main import main

main()
