#!/usr/bin/env bash
# Trains on the simulated vision-language model's plans, and without the planned wrist: one run per task on one core each.
#
#     bash baselines/benchmark_plans.sh
set -euo pipefail
cd "$(dirname "$0")/.."
mkdir -p runs
ids=(CloseScissors Hammer ClosePliers WipeSponge MoveApple MoveBottle OpenDrawer OpenFridge)
for id in "${ids[@]}"; do
    echo "residual_ppo.py --preset cpu --scaffolds recorded:simulated-vlm --name $id-simulated-1 --env-id Scaffold-$id-v0"
done > runs/.jobs
for id in "${ids[@]}"; do
    echo "residual_ppo.py --preset no-scaffold --env-id Scaffold-$id-v0"
done >> runs/.jobs
xargs -a runs/.jobs -P "${JOBS:-$(nproc)}" -I{} bash -c 'python baselines/{} --resume --track none'
