"""The eight tasks, one file each. A new task is one line here."""

BUILTIN_TASKS = {
    "Scaffold-MoveApple-v0": "scaffold_bench.tasks.move_apple:MoveApple",
    "Scaffold-MoveBottle-v0": "scaffold_bench.tasks.move_bottle:MoveBottle",
    "Scaffold-OpenDrawer-v0": "scaffold_bench.tasks.open_drawer:OpenDrawer",
    "Scaffold-OpenFridge-v0": "scaffold_bench.tasks.open_fridge:OpenFridge",
    "Scaffold-Hammer-v0": "scaffold_bench.tasks.hammer:Hammer",
    "Scaffold-WipeSponge-v0": "scaffold_bench.tasks.wipe_sponge:WipeSponge",
    "Scaffold-CloseScissors-v0": "scaffold_bench.tasks.close_scissors:CloseScissors",
    "Scaffold-ClosePliers-v0": "scaffold_bench.tasks.close_pliers:ClosePliers",
}
"""Where each id's task class lives. Strings, so that registering the ids imports no simulator."""
