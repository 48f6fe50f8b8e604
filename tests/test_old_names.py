"""Import paths of 0.1.0 that others use still lead to the same things, wherever those live now."""

from __future__ import annotations

from importlib import import_module

import pytest

OLD = {
    "types": (
        "CameraView EpisodeRecord InvalidScaffoldError Memory PrivilegedRequest RUN_SETTINGS Scaffold "
        "ScaffoldProvider ScaffoldRequest SceneState StartState TaskSpec Waypoints EPISODE_STEPS FINGERTIPS "
        "PALM_POINT WORLD WRIST_DIM"
    ),
    "scaffolds": (
        "MixedProvider NoisyProvider OracleProvider RecordedProvider ReusedProvider ScaffoldEntry ScaffoldFile "
        "failed_scaffold kept_sets load_scaffolds register_provider resolve_provider save_scaffolds "
        "scaffold_from_waypoints"
    ),
    "evaluation": ("PRESETS Episode EvaluationError Policy Preset Results evaluate make_policy read_records"),
    "leaderboard": (
        "BADGES CURRENT SUITES TRACKS About Report Submission SubmissionError Suite Verification escape markdown "
        "parse_submission prepare schema validate"
    ),
    "registration": (
        "get_task make_bridged_env make_env make_vector_env register_task start_states task_ids task_names "
        "task_spec SPLITS"
    ),
    "tasks.base": (
        "COUNTER_HEIGHT COUNTER_X COUNTER_Y SINK_X SINK_Y PALM_DOWN LEAD_STEPS BuiltTask Task distance "
        "over_counter path place pose resample touching turned wrist_at yaw_of"
    ),
    "envs.objects": (
        "ASSETS PIN_FRICTION build_apple build_board build_bottle build_cabinet build_fridge build_hammer "
        "build_pliers build_scissors build_sponge drawer_origin"
    ),
    "envs.dimensions": ("APPLE BOARD BOTTLE CABINET FRIDGE HAMMER PLIERS SCISSORS SPONGE Pliers Scissors"),
}


@pytest.mark.parametrize("module", OLD)
def test_what_was_imported_can_be_imported(module: str) -> None:
    loaded = import_module(f"scaffold_bench.{module}")
    assert [name for name in OLD[module].split() if not hasattr(loaded, name)] == []


def test_old_names_are_the_new_things() -> None:
    import scaffold_bench.envs.dimensions
    import scaffold_bench.envs.objects
    from scaffold_bench import leaderboard, objects, plan, records, spec, submissions, types
    from scaffold_bench.objects import dimensions, shapes

    assert objects
    assert scaffold_bench.envs.dimensions.HAMMER is dimensions.HAMMER
    assert scaffold_bench.envs.objects.build_hammer is shapes.build_hammer
    assert leaderboard.validate is submissions.validate
    assert types.ScaffoldProvider is plan.Planner
    assert (types.TaskSpec, types.EpisodeRecord) == (spec.TaskSpec, records.EpisodeRecord)
