"""Where the command line prints: results on stdout; progress, warnings and errors on stderr."""

from __future__ import annotations

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn

console = Console()
errors = Console(stderr=True)


def say(text: str) -> None:
    """Print one line as it is: text from submissions and plan files must not style the terminal, and a path must not
    be broken into two lines."""
    console.print(text, markup=False, highlight=False, soft_wrap=True)


def warn(text: str) -> None:
    """Print one line on stderr, as it is."""
    errors.print(text, markup=False, highlight=False, soft_wrap=True)


def progress_bar() -> Progress:
    """A bar on stderr; the task field ``note`` says what was done last."""
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TextColumn("{task.fields[note]}"))
    return Progress(*columns, TimeElapsedColumn(), TimeRemainingColumn(), console=errors)
