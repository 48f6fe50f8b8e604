#!/usr/bin/env bash
# The commands behind docs/baselines.md: one run per task and seed on one core each, two at a time on two cores.
# A run stops when 49 of 50 freshly drawn states are solved, or after 1.5 million steps.
#
#     bash baselines/benchmark.sh [seed ...]
set -euo pipefail
cd "$(dirname "$0")/.."
ids=(CloseScissors Hammer ClosePliers WipeSponge MoveApple MoveBottle OpenDrawer OpenFridge)  # the longest first
for seed in "${@:-1}"; do
    for id in "${ids[@]}"; do
        echo "Scaffold-$id-v0 $seed"
    done
done | xargs -P "${JOBS:-$(nproc)}" -L 1 bash -c \
    'python baselines/residual_ppo.py --preset cpu --env-id "$0" --seed "$1" --stop-at 0.98 --resume --track none'
