#!/usr/bin/env bash
# The commands behind docs/baselines.md: one run per task and seed on one core each, two at a time on two cores.
# A run is 122,880 steps, a minute or two; the policy that did best on 50 freshly drawn states is kept.
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
    'python baselines/residual_ppo.py --preset cpu --env-id "$0" --seed "$1" --resume --track none'
