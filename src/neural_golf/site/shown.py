"""The networks as the page shows them: in numbers, in words, as marks of the chart, and to run."""

from __future__ import annotations

import base64
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TypedDict

from neural_golf.config.sections import Record
from neural_golf.look.findings import Findings
from neural_golf.look.subject import Subject
from neural_golf.net.formed import form_numbers
from neural_golf.net.layers import KINDS
from neural_golf.results.result import Result, by_variant, representative
from neural_golf.results.sizes import Point

__all__ = ["Mark", "Runnable", "Shown", "marks", "runnable"]


@dataclass(frozen=True)
class Shown:
    """One network with what was measured of it."""

    subject: Subject
    findings: Findings

    @property
    def variant(self) -> str:
        return self.subject.variant

    @property
    def result(self) -> Result:
        return self.subject.result

    @property
    def numbers(self) -> list[tuple[str, str]]:
        """The non-zero parameters of each tensor that has any, and of the form, as text."""
        found = []
        for tensor in self.subject.network.tensors:
            values = self.subject.parameters[tensor.slice]
            found.append((tensor.name, " ".join(short(value) for value in values[values != 0])))
        if self.subject.network.form:
            values = form_numbers(self.subject.network.form)
            found.append(("form", " ".join(short(value) for value in values[values != 0])))
        return [(name, text) for name, text in found if text]


def short(value: float) -> str:
    """A number in few characters: two digits and no leading zero.

    >>> short(-0.054), short(1.26), short(0.5)
    ('\u2212.054', '1.3', '.5')
    """
    text = f"{abs(value):.2g}"
    return ("\u2212" if value < 0 else "") + (text[1:] if text.startswith("0.") else text)


class Lit(TypedDict):
    """A layer as the page's script lights it. `name`: the output of the ONNX file that it reads."""

    name: str
    label: str
    title: str
    shape: tuple[int, int, int]


class Runnable(TypedDict):
    """What becomes JSON in the page, so that its script can run a network. `onnx`: the file, in base64."""

    variant: str
    layers: list[Lit]
    onnx: str


def runnable(subject: Subject) -> Runnable:
    """What the page's script needs in order to run a network and to light its layers."""
    network = subject.network
    layers = [layer for layer in network.layers if not KINDS[layer.kind].training]
    told = [Lit(name=x.name, label=x.name, title=KINDS[x.kind].title, shape=x.out_shape) for x in layers]
    if network.form:  # the graph's first nodes make it of the drawing, here as anywhere
        told.insert(
            0, Lit(name="form", label="form", title="the image brought into form", shape=network.in_shape)
        )
    # The scores are the file's output, and one strip rather than one square per class.
    told[-1] = Lit(
        name="logits", label=told[-1]["label"], title=told[-1]["title"], shape=(1, 1, subject.network.classes)
    )
    content = base64.b64encode(subject.path.read_bytes()).decode()
    return Runnable(variant=subject.variant, layers=told, onnx=content)


@dataclass(frozen=True)
class Mark:
    """One mark of the chart. `entry`: of its row and variant, the seed that was entered. `size`: what all
    seeds of its size say together, if it has one.
    """

    of: Result | Record
    entry: bool = False
    size: Point | None = None

    @property
    def ours(self) -> bool:
        return isinstance(self.of, Result)

    @property
    def hollow(self) -> bool:
        """Whether it is anything but an entry that no test image chose."""
        return not (isinstance(self.of, Result) and self.entry and self.of.honest)


def marks(results: Sequence[Result], public: Sequence[Record], points: Sequence[Point] = ()) -> list[Mark]:
    """The marks of the chart, the smallest network first."""
    entries = [representative(group) for group in by_variant(results).values()]
    sizes = {(point.row, point.size): point for point in points}
    found = [Mark(r, r in entries, sizes.get((r.row, r.size or 0))) for r in results]
    found += [Mark(other) for other in public]
    return sorted(found, key=lambda mark: (mark.of.nonzero, mark.of.name))
