"""Make the frozen start states in ``scaffold_bench/states``; they are reproducible, so a second run changes nothing.

python scripts/make_states.py [--check]
"""

from __future__ import annotations

import json
import sys

from scaffold_bench.envs.start_states import FOLDER, MANIFEST, SPLITS, StartStateError, frozen_states, generated_states
from scaffold_bench.registration import get_task
from scaffold_bench.tasks import BUILTIN_TASKS


def main() -> int:
    check = "--check" in sys.argv[1:]
    manifest = {}
    for env_id in BUILTIN_TASKS:
        task = get_task(env_id)
        for split in SPLITS:
            states = generated_states(task, split)
            key = f"{task.spec.name}-{split}"
            manifest[key] = states.sha256
            if check:
                try:
                    same = frozen_states(task.spec.name, split).sha256 == states.sha256
                except StartStateError as error:
                    sys.exit(str(error))
                if not same:
                    sys.exit(
                        f"{key}: the frozen states differ from new ones; bump the task's version or undo the change"
                    )
            else:
                states.save(FOLDER / f"{key}.npz")
    if not check:
        (FOLDER / MANIFEST).write_text(json.dumps(manifest, indent=2) + "\n", encoding="utf-8")
    print(f"{'checked' if check else 'wrote'} {len(manifest)} sets of start states")
    return 0


if __name__ == "__main__":
    sys.exit(main())
