#!/usr/bin/env bash
# The commands behind docs/baselines.md: one run per task and seed on one core each, two at a time on two cores.
#
#     bash baselines/benchmark.sh [seed ...]
set -euo pipefail
cd "$(dirname "$0")/.."
ids=(MoveApple MoveBottle OpenDrawer OpenFridge Hammer WipeSponge CloseScissors ClosePliers)
for seed in "${@:-1}"; do
    for id in "${ids[@]}"; do
        echo "Scaffold-$id-v0 $seed"
    done
done | xargs -P "${JOBS:-$(nproc)}" -L 1 bash -c \
    'python baselines/residual_ppo.py --preset cpu --env-id "$0" --seed "$1" --resume --track none'
