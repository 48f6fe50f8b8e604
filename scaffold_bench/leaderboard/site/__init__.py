"""The leaderboard as static pages: offline, from a file or any host, with nothing from elsewhere."""

from scaffold_bench.leaderboard.site.build import Built, build

__all__ = ["Built", "build"]
