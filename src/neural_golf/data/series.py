"""Series from a table in CSV: a line for each series, or a line for each of its steps."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from neural_golf.base.errors import GolfError
from neural_golf.config.dataset import Dataset
from neural_golf.data import Loaded, at_home
from neural_golf.data.arrays import Raw, loaded

__all__ = ["from_csv"]

LABEL, EXAMPLE, TIME, PART = "label", "example", "time", "part"
NOTHING = [
    "",
    "NA",
    "N/A",
    "n/a",
    "nan",
    "NaN",
    "null",
    "NULL",
    "None",
]  # as a number; a label may be called so
COUNTING = ("id", "index", "idx", "row", "line")  # names that say which line it is


def from_csv(name: str, dataset: Dataset) -> Loaded:
    """From a table with a header and a column `label`.

    Without a column `example`, each line is a series of one channel, and every other column one of its
    steps. With it, the lines of one example are the steps of its series, in their order, and every other
    column, but for `time`, is a channel. A column `part`, of the words train and test, says what is what.
    Raises GolfError in one line.
    """
    path = at_home(str(dataset.csv))
    key = f"params.yaml: datasets.{name}.csv"
    try:
        table = _table(path)
    except FileNotFoundError:
        raise GolfError(f"{key}: there is no file {path}") from None
    except (OSError, ValueError, UnicodeError) as error:
        raise GolfError(f"{key}: {path} cannot be read: {' '.join(str(error).split())}") from None
    columns = [column for column in table.columns if column not in (LABEL, EXAMPLE, TIME, PART)]
    if LABEL not in table.columns or not columns or not len(table):
        have = ", ".join(map(str, table.columns[:8]))
        raise GolfError(
            f"{key}: {path} needs a header with a column `label`, other columns, and lines; it has "
            f"{len(table)} lines of {have}"
        )
    if str(table.columns[0]).startswith("Unnamed"):
        raise GolfError(
            f"{key}: the first column of {path} has no name, as an index of pandas: take it out, or write "
            "the table with index=False"
        )
    for column in columns:
        if column.lower() in COUNTING:
            raise GolfError(
                f"{key}: the column {column!r} of {path} would be taken for a part of the series; take it "
                "out, or give it another name if it is one"
            )
    texts = [column for column in columns if not pd.api.types.is_numeric_dtype(table[column])]
    if texts:
        raise GolfError(f"{key}: the column {texts[0]!r} of {path} holds something that is not a number")
    if table[LABEL].isna().any():
        raise GolfError(f"{key}: line {int(table[LABEL].isna().argmax()) + 2} of {path} has no label")
    for column in (*columns, EXAMPLE):
        if column in table.columns and table[column].isna().any():
            line = int(table[column].isna().argmax()) + 2
            raise GolfError(f"{key}: line {line} of {path} has nothing in the column {column!r}")
    long = EXAMPLE in table.columns
    parts = ["train"]
    if PART in table.columns:
        other = sorted(set(table[PART].dropna()) - {"train", "test"})
        if other or table[PART].isna().any():
            raise GolfError(f"{key}: the column `part` of {path} has other words than train and test")
        parts = [part for part in ("train", "test") if (table[PART] == part).any()]
        if parts[0] != "train":
            raise GolfError(f"{key}: no line of {path} is of the part train")
        both = table.groupby(EXAMPLE, sort=False)[PART].nunique() if long else pd.Series(dtype=int)
        if (both > 1).any():
            raise GolfError(f"{key}: example {both.index[int((both > 1).argmax())]} has lines of both parts")
    images, labels = [], []
    for part in parts:
        some = table[table[PART] == part] if PART in table.columns else table
        numbers = some[columns].to_numpy(np.float64)
        own = some[LABEL].to_numpy(str)
        if long:
            starts, length = _examples(key, some[EXAMPLE])
            if TIME in some.columns and pd.api.types.is_numeric_dtype(some[TIME]):
                back = np.diff(some[TIME].to_numpy(np.float64).reshape(-1, length)) < 0
                if back.any():
                    odd = some[EXAMPLE].to_numpy()[starts[int(back.any(axis=1).argmax())]]
                    raise GolfError(
                        f"{key}: the time of example {odd} goes back; its lines are to be in order"
                    )
            numbers = numbers.reshape(-1, length, len(columns)).transpose(0, 2, 1)
            own = _one_label(key, some[EXAMPLE].to_numpy()[starts], own.reshape(-1, length))
        images.append(Raw.of(numbers))
        labels.append(_whole(own))
    return loaded(name, images, labels, kind="series")


def _table(path: Path) -> pd.DataFrame:
    """The table, of commas, semicolons or tabs as its header has them. With semicolons, a comma may be that
    of a decimal fraction.
    """
    with path.open(encoding="utf-8-sig") as file:
        header, second = file.readline(), file.readline()
    comma = next((one for one in ",;\t" if one in header), ",")
    decimal = "," if comma == ";" and "," in second else "."
    names = [name.lstrip().strip('"') for name in header.rstrip("\r\n").split(comma)]  # as pandas has them
    words = [name for name in names if name.strip() in (LABEL, PART)]
    table = pd.read_csv(
        path, sep=comma, decimal=decimal, skipinitialspace=True, keep_default_na=False,
        dtype=dict.fromkeys(words, str), na_values={n: [""] if n in words else NOTHING for n in names},
    )  # fmt: skip
    table.columns = table.columns.str.strip()
    for name in table.columns.intersection([LABEL, PART]):
        table[name] = table[name].str.strip()
    return table


def _examples(key: str, example: pd.Series) -> tuple[NDArray[Any], int]:
    """Where each example starts, and how many lines each has."""
    named = example.to_numpy()
    starts = np.flatnonzero(np.concatenate([[True], named[1:] != named[:-1]]))
    lengths = np.diff(np.append(starts, len(named)))
    if len(pd.unique(example)) != len(starts):
        raise GolfError(f"{key}: the lines of an example must stand together")
    odd = np.flatnonzero(lengths != lengths[0])
    if len(odd):
        raise GolfError(
            f"{key}: example {named[starts[odd[0]]]} has {lengths[odd[0]]} lines and the first one "
            f"{lengths[0]}; all series must have one length"
        )
    return starts, int(lengths[0])


def _one_label(key: str, names: NDArray[Any], own: NDArray[Any]) -> NDArray[Any]:
    mixed = np.flatnonzero((own != own[:, :1]).any(axis=1))
    if len(mixed):
        raise GolfError(f"{key}: example {names[mixed[0]]} has lines with different labels")
    return own[:, 0]


def _whole(own: NDArray[Any]) -> NDArray[Any]:
    """Labels as whole numbers, where all of them are, so that 10 comes after 9."""
    try:
        return own.astype(np.int64) if all(str(int(label)) == label for label in own) else own
    except ValueError:
        return own
