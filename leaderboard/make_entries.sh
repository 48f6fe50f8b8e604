#!/usr/bin/env bash
# The entries of the package's own policies: evaluated, prepared and verified by the commands that everybody uses.
#
#     bash baselines/benchmark.sh 1 2 3                    # trains; see docs/baselines.md
#     bash baselines/benchmark_plans.sh                    # trains on simulated plans, and with --preset no-scaffold
#     pack() { python scripts/make_baselines.py --pack "$@"; }
#     pack runs/seed-1 runs/*-cpu-1; pack runs/seed-2 runs/*-cpu-2; pack runs/seed-3 runs/*-cpu-3
#     pack runs/on-simulated runs/*-simulated-1; pack runs/no-scaffold runs/*-no-scaffold-1
#     bash leaderboard/make_entries.sh                     # ONLY=PATTERN takes the folders that match
#
# What exists already is left alone, so an interrupted run goes on. One process per core. The entry reference-full was
# made the same way, from a full evaluation on another machine.
set -euo pipefail
cd "$(dirname "$0")/.."
export OMP_NUM_THREADS=1
entries=leaderboard/submissions
authors="The maintainers"
hardware="1 core of a shared 2-core machine"

# folder | name | policies, one per training seed | plans | description
table() {
    cat <<END
random | Random actions | random | oracle | Uniform actions around the plan.
plan-only | Plan only | plan-only | oracle | The planned wrist with an open hand.
plan-grasp | Plan and grasp | plan-grasp | oracle | No learning: the plan ten steps ahead, and fingers that close where the hand takes hold. The same for every task; what residual PPO begins with.
reference | Scripted reference | reference | oracle | The plan ahead of time and the task's own schedule for the fingers.
residual-ppo | Residual PPO | zoo:residual-ppo file:runs/seed-2 file:runs/seed-3 | oracle | Trained on oracle plans of the training states with one preset for all tasks (docs/baselines.md).
residual-ppo-3-waypoints | Residual PPO, 3 waypoints | zoo:residual-ppo | oracle?waypoints=3 | Plans reduced to 3 waypoints; trained on 20.
residual-ppo-5-waypoints | Residual PPO, 5 waypoints | zoo:residual-ppo | oracle?waypoints=5 | Plans reduced to 5 waypoints; trained on 20.
residual-ppo-noise-1cm | Residual PPO, noise of 1 cm | zoo:residual-ppo | noise(0.01):oracle | Gaussian noise on keypoints and waypoints; trained on exact plans.
residual-ppo-noise-2cm | Residual PPO, noise of 2 cm | zoo:residual-ppo | noise(0.02):oracle | Gaussian noise on keypoints and waypoints; trained on exact plans.
reference-noise-2cm | Scripted reference, noise of 2 cm | reference | noise(0.02):oracle | Gaussian noise on keypoints and waypoints.
residual-ppo-pre-recorded | Residual PPO | zoo:residual-ppo | recorded:train | The plan of a training state, whatever the start; trained on oracle plans.
residual-ppo-simulated-vlm | Residual PPO trained on oracle plans | zoo:residual-ppo | recorded:simulated-vlm | Plans of the simulated vision-language model, zero-shot.
residual-ppo-simulated-vlm-3shot | Residual PPO trained on oracle plans, 3 examples | zoo:residual-ppo | recorded:simulated-vlm-3shot | Plans of the simulated vision-language model with three examples.
residual-ppo-on-simulated | Residual PPO trained on simulated plans | file:runs/on-simulated | recorded:simulated-vlm | Trained on the simulated vision-language model's plans of the training states.
plan-grasp-simulated-vlm | Plan and grasp | plan-grasp | recorded:simulated-vlm | No learning, plans of the simulated vision-language model.
ppo-no-scaffold | PPO without the planned wrist | file:runs/no-scaffold | oracle | The wrist moves by at most 1 cm per step; planned keypoints are seen and rewarded, the planned wrist is not followed.
END
}

make_entry() {
    IFS='|' read -r folder name policies plans description <<< "$1"
    folder=$(xargs <<< "$folder") name=$(xargs <<< "$name") plans=$(xargs <<< "$plans")
    if [ ! -e "$entries/$folder" ]; then
        runs=()
        for policy in $policies; do
            run=runs/entries/$folder-${#runs[@]}
            scaffold-bench evaluate --policy "$policy" --tasks all --states 100 --trials 1 --num-envs 50 \
                --scaffolds "$plans" --out "$run"
            runs+=("$run")
        done
        told=()
        [[ $policies == *:* ]] && told=(--training-hardware "$hardware")
        scaffold-bench submit prepare "${runs[@]}" --out "$entries/$folder" --name "$name" --authors "$authors" \
            --description "$(sed 's/^ *//' <<< "$description")" "${told[@]}"
    fi
    [ -e "$entries/$folder/verification.json" ] || scaffold-bench submit verify "$entries/$folder"
}
export -f make_entry
export entries authors hardware

table | grep -- "^[^|]*${ONLY:-}[^|]* |" | tr '\n' '\0' | xargs -0 -P "${JOBS:-$(nproc)}" -I{} bash -c 'set -euo pipefail; make_entry "$1"' - {}
