"""The one type of a result: how it is read and written, which one stands for a row, what "reaches" means."""

from __future__ import annotations

import csv
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import Any, Literal, TypeVar

import pandas as pd

from neural_golf.base.errors import GolfError
from neural_golf.base.files import PLOTS, write_bytes
from neural_golf.base.statistics import needed, p_above
from neural_golf.config.sections import Ladder
from neural_golf.net.checkpoint import Judge, Order

__all__ = [
    "GOLF",
    "VERIFIED",
    "Result",
    "Variant",
    "by_variant",
    "certainty",
    "chosen_on",
    "golf_file",
    "holds",
    "read_lines",
    "read_results",
    "representative",
    "write_results",
]

T = TypeVar("T")

VERIFIED = PLOTS / "verify.csv"
GOLF = Path("results/golf")  # the .golf files, in Git
# How a cell is read, by the type of its field.
READ: Mapping[str, Callable[[str], Any]] = {
    "str": str, "Judge": str, "Order": str,
    "int": int, "float": float, "bool": {"True": True, "False": False}.__getitem__,
    "int | None": lambda text: int(text) if text else None,
    "float | None": lambda text: float(text) if text else None,
}  # fmt: skip


@dataclass(frozen=True, order=True)
class Variant:
    """What tells the networks of a row apart besides their seeds: the judge, and the order of zeroing or the
    size.
    """

    row: str
    judge: Judge = ""
    order: Order = ""
    size: int | None = None

    @property
    def name(self) -> str:
        """`pruned-test-index`, `golf98-heldout-200`, `baseline`."""
        return "-".join(filter(None, (self.row, self.judge, self.order, str(self.size or ""))))


@dataclass(frozen=True)
class Result:
    """The referee's verdict on one exported file, and how the file came about.

    `correct` of `images` are the test images. `judge`: which images decided what of it was removed, if any
    did. `size`: in a descent, the parameters that were left. `entered`: whether it is an entry, or only a
    point on the way to one. `train_correct` is what training recorded, if it did. `division`: open if the
    graph resamples the image, else plain. `bytes`: the length of its .golf file, if the row makes one.
    """

    name: str
    row: str
    judge: Judge
    order: Order
    size: int | None
    entered: bool
    seed: int
    parameters: int
    nonzero: int
    bits: int
    correct: int
    images: int
    heldout_correct: int
    heldout_images: int
    train_correct: int | None
    path: str
    sha256: str
    division: str = "plain"
    bytes: int | None = None

    @property
    def variant(self) -> Variant:
        return Variant(self.row, self.judge, self.order, self.size)

    @property
    def accuracy(self) -> float:
        """On the test images."""
        return self.correct / self.images

    @property
    def heldout_accuracy(self) -> float:
        return self.heldout_correct / self.heldout_images

    @property
    def honest(self) -> bool:
        """Whether the test images chose nothing about it."""
        return self.judge != "test"

    def reaches(self, goal: float, part: Literal["test", "heldout"] = "test") -> bool:
        """Whether at least this share of the images is right; nothing is rounded up."""
        if part == "test":
            return self.correct >= needed(goal, self.images)
        return self.heldout_correct >= needed(goal, self.heldout_images)


def golf_file(name: str) -> Path:
    """The .golf file of a run, by its name; only the runs of rows by packing have one."""
    return GOLF / f"{name}.golf"


def write_results(results: Iterable[Result], path: Path = VERIFIED) -> None:
    """A CSV file with a line per result, in this order."""
    table = pd.DataFrame([asdict(result) for result in results], columns=[f.name for f in fields(Result)])
    table = table.astype({"size": "Int64", "train_correct": "Int64", "bytes": "Int64"})
    write_bytes(path, table.to_csv(index=False, lineterminator="\n").encode())


def read_results(path: Path = VERIFIED) -> list[Result]:
    """What `write_results` wrote. Raises GolfError if the file is missing or of another form."""
    return read_lines(path, Result, "verify")


def read_lines(path: Path, kind: type[T], stage: str) -> list[T]:
    """The lines of a CSV file that a stage wrote, each as a dataclass with these columns, each value by the
    type of its field; what is not there is empty. Raises GolfError if the file is missing or of another form.
    """
    columns = fields(kind)  # type: ignore[arg-type]
    read = {field.name: READ[str(field.type)] for field in columns}
    try:
        with path.open(encoding="utf-8", newline="") as file:
            header, *lines = list(csv.reader(file)) or [[]]
        if header != list(read):
            raise ValueError(header)
        told = (dict(zip(header, line, strict=True)) for line in lines)
        return [kind(**{name: read[name](text) for name, text in line.items()}) for line in told]
    except FileNotFoundError:
        raise GolfError(f"{path} is missing: the stage {stage} has not run (`snakemake` runs it)") from None
    except OSError as error:
        raise GolfError(f"{path} cannot be read: {' '.join(str(error).split())}") from None
    except (ValueError, KeyError, csv.Error):
        raise GolfError(
            f"{path} is of another version of this project: run the stage `{stage}` again"
        ) from None


def by_variant(results: Iterable[Result], entered: bool = True) -> dict[Variant, list[Result]]:
    """The results by variant, in their order: either those that are entered or those that are not."""
    groups: dict[Variant, list[Result]] = {}
    for result in results:
        if result.entered == entered:
            groups.setdefault(result.variant, []).append(result)
    return groups


def chosen_on(group: Sequence[Result]) -> Literal["train", "held-out", "test"]:
    """The images that choose the network that stands for a group, in the words of the leaderboard."""
    if not group[0].honest:
        return "test"
    return "held-out" if group[0].judge == "heldout" or len(group) > 1 else "train"


def representative(group: Sequence[Result]) -> Result:
    """The seed that stands for a row or, of a row with sizes, for one size.

    A size is the same for all seeds, so there the most images right decide, and then the smallest file. In
    other rows the fewest non-zero parameters do, and then the most images right. These are held-out images,
    so that the choice among seeds leaves the test images alone; only where the test images judged already,
    they choose here too.
    """
    on_test = chosen_on(group) == "test"

    def rank(result: Result) -> tuple[int, ...]:
        right = result.correct if on_test else result.heldout_correct
        if result.size:
            return -right, result.bytes or 0, result.nonzero, result.seed
        return result.nonzero, -right, result.seed

    return min(group, key=rank)


def certainty(group: Sequence[Result], goal: float) -> float | None:
    """The p of a one-sided t test over seeds: that the mean accuracy on the test images is above the goal.

    None where there is no such test: of one seed, and of rows by zeroing. Each of their seeds ends with a
    number of parameters of its own, so there is no size that a mean could be about.
    """
    if group[0].order:
        return None
    return p_above([result.correct for result in group], round(goal * group[0].images, 6))


def holds(group: Sequence[Result], goal: float, rule: Ladder) -> bool:
    """Whether a recipe holds a size, by the rule of a record: a stranger would get it again with other seeds.

    There are at least `rule.record_seeds` seeds, their mean on the test images is above the goal with a
    `certainty` below `rule.record_p`, and the seed that stands for the size reaches the goal too.
    """
    p = certainty(group, goal)
    sure = p is not None and p < rule.record_p
    return len(group) >= rule.record_seeds and sure and representative(group).reaches(goal)
