"""The one way in which records, submissions and traces become JSON and come back.

What is read is checked by pydantic under :data:`STRICT`; what is written is finite, so a NaN has no way in or out.
"""

from __future__ import annotations

import json
from typing import Any

from pydantic import ConfigDict, ValidationError

STRICT = ConfigDict(strict=True, extra="forbid", allow_inf_nan=False)
"""No value of another type, no unknown field, no NaN and no infinity."""
_canonical = json.JSONEncoder(sort_keys=True, allow_nan=False).encode


def canonical(value: dict[str, Any]) -> str:
    """The one line of ASCII that a record is written as: sorted names, floats with all their digits.

    Raises:
        ValueError: a number is not finite.
    """
    return _canonical(value)


def to_json(value: Any, **layout: Any) -> str:
    """JSON in another layout, see :func:`json.dumps`.

    Raises:
        ValueError: a number is not finite.
    """
    return json.dumps(value, allow_nan=False, **layout)


def problems_of(error: ValidationError) -> list[tuple[str, str]]:
    """What pydantic found wrong, as (place, reason); the place is "" for the whole, and no value is repeated.

    Both may hold text from the input, but no more of it than names of fields.
    """
    return [(".".join(map(str, item["loc"])), item["msg"].removeprefix("Value error, ")) for item in error.errors()]
