"""Plain values, as YAML gives them, as typed settings: none is turned into a value of another kind.

A number in quotes is text, `yes` and `1:30` are text, and `true` is no number, to us as to DVC, which
compares the values of params.yaml with those of the last run.
"""

from __future__ import annotations

import json
from typing import Any, TypeVar

from pydantic import BaseModel

from neural_golf.base.errors import GolfError

__all__ = ["refuse_odd", "typed"]

M = TypeVar("M", bound=BaseModel)


def typed(model: type[M], tree: Any) -> M:
    """The tree as this model. Raises pydantic's ValidationError.

    By way of JSON, in which pydantic takes a list for a tuple without taking text for a number as well.
    """
    return model.model_validate_json(json.dumps(tree), strict=True)


def refuse_odd(tree: Any, key: str = "") -> None:
    """Raise GolfError that names the key for what YAML has and no setting is: dates, sets, bytes, loops, keys
    that are no text.
    """
    if key.count(".") > 20:
        raise GolfError(f"{key.partition('.')[0]}: it holds itself, or is far too deep")
    if isinstance(tree, dict):
        for name, value in tree.items():
            here = f"{key}.{name}" if key else str(name)
            if not isinstance(name, str):
                raise GolfError(f"{here}: a key should be text; write it in quotes")
            refuse_odd(value, here)
    elif isinstance(tree, list | tuple):
        for number, value in enumerate(tree):
            refuse_odd(value, f"{key}.{number}")
    elif not (tree is None or isinstance(tree, str | int | float)):
        kind = type(tree).__name__
        raise GolfError(f"{key} = {tree}: a {kind} is no setting; if it is text, write it in quotes")
