"""Make ``leaderboard/submission.schema.json`` from the model in ``scaffold_bench.submissions``.

python scripts/make_schema.py [--check]
"""

from __future__ import annotations

import json
import sys
from pathlib import Path

from scaffold_bench.submissions import schema

SCHEMA = Path(__file__).parents[1] / "leaderboard" / "submission.schema.json"


def main() -> int:
    text = json.dumps(schema(), indent=2, ensure_ascii=False) + "\n"
    if sys.argv[1:] == ["--check"]:
        if not SCHEMA.exists() or SCHEMA.read_text(encoding="utf-8") != text:
            sys.exit(f"{SCHEMA.name} does not match the model; run scripts/make_schema.py and commit the file")
        return 0
    SCHEMA.write_text(text, encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
