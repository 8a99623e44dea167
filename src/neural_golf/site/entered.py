"""The networks that have a page of their own: the leaderboard's entries, and what this run looked into."""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import onnx
from numpy.typing import NDArray

from neural_golf.base.errors import GolfError
from neural_golf.leaderboard.entries import MODELS
from neural_golf.net.foreign import Feed, model_of, read_foreign
from neural_golf.net.onnx import unpack
from neural_golf.net.spec import Network
from neural_golf.packed.graph import to_onnx
from neural_golf.results.result import Result, golf_file
from neural_golf.site.board import Challenge, Entry

__all__ = ["Entered", "Layers", "Place", "everything_entered"]


@dataclass(frozen=True)
class Place:
    """Where an entry stands: the challenge, and its rank among those of its table."""

    challenge: str
    title: str
    rank: int
    on_test: bool


@dataclass(frozen=True)
class Layers:
    """A network with its parameters [n]."""

    network: Network
    weights: NDArray[np.float32]


@dataclass(frozen=True)
class Entered:
    """One network with what the referee said of it, and what its card says.

    slug: its name in addresses. onnx: the ONNX file that runs. golf: its `.golf` file, if it has one.
    layers: what the graph computes, where that can be told. entry: its line of the leaderboard, and `result`
    its line of this run, where it has one.
    """

    slug: str
    name: str
    dataset: str
    nonzero: int
    parameters: int
    correct: int
    images: int
    chosen_on: str
    division: str
    sha256: str
    bits: int | None
    onnx: bytes
    golf: bytes | None
    layers: Layers | None
    places: tuple[Place, ...] = ()
    entry: Entry | None = None
    result: Result | None = None

    @property
    def network(self) -> Network | None:
        return self.layers.network if self.layers else None

    @property
    def honest(self) -> bool:
        return self.chosen_on != "test"

    @property
    def metadata(self) -> dict[str, str]:
        """What the ONNX file says of itself."""
        return {prop.key: prop.value for prop in onnx.load_from_string(self.onnx).metadata_props}

    @property
    def link(self) -> str:
        """The `.golf` file in base64url, as it stands in a link; empty where there is none."""
        return base64.urlsafe_b64encode(self.golf).decode().rstrip("=") if self.golf else ""


def everything_entered(
    path: Path, challenges: Sequence[Challenge], chosen: Sequence[Result], dataset: str,
    shape: tuple[int, int, int],
) -> list[Entered]:  # fmt: skip
    """Each network once, those of this run's data first. path: leaderboard.json, beside which entries lie.

    Two entries with one name are one network if their files are equal; else the name of the challenge tells
    them apart.
    """
    found: dict[tuple[str, str], Entered] = {}
    for challenge in sorted(challenges, key=lambda one: one.dataset != dataset):
        for entry in (*challenge.ranked, *challenge.chosen_on_test):
            place = Place(challenge.name, challenge.title, entry.rank, entry in challenge.chosen_on_test)
            key = (entry.name, entry.sha256 or challenge.name)
            if key in found:
                found[key] = replace(found[key], places=(*found[key].places, place))
                continue
            made = _entry(path.parent, challenge, entry, shape)
            if made:
                taken = any(one.slug == made.slug for one in found.values())
                slug = f"{made.slug}-{challenge.name}" if taken else made.slug
                found[key] = replace(made, slug=slug, places=(place,))
    return [*found.values(), *_looked_into(list(found.values()), chosen, dataset)]


def _entry(folder: Path, challenge: Challenge, entry: Entry, shape: tuple[int, int, int]) -> Entered | None:
    """An entry with its file; None where the file is not here."""
    file = folder / challenge.name / entry.name / MODELS[challenge.score]
    if not file.is_file():
        return None
    content = file.read_bytes()
    golf = content if file.suffix == ".golf" else None
    graph = to_onnx(content) if golf else content
    return Entered(
        slug=entry.name, name=entry.name, dataset=challenge.dataset, nonzero=entry.nonzero,
        parameters=entry.parameters, correct=entry.correct, images=challenge.images,
        chosen_on=entry.chosen_on, division=entry.division, sha256=entry.sha256, bits=entry.bits,
        onnx=graph, golf=golf, layers=_layers(graph, file.as_posix(), shape), entry=entry,
    )  # fmt: skip


def _layers(content: bytes, name: str, shape: tuple[int, int, int]) -> Layers | None:
    """The layers and parameters of a graph, ours or anyone's; None where they cannot be told."""
    try:
        return Layers(*unpack(content, name))
    except GolfError:
        pass
    except Exception:  # protobuf, onnx and JSON have errors of their own
        return None
    try:
        ones, zeros = (1.0,) * shape[0], (0.0,) * shape[0]
        feed = Feed((0, 1, 2), shape, ones, zeros, "pixel / 255")
        found = read_foreign(model_of(onnx.load_from_string(content), name), shape, feed)
        return Layers(found.network, found.parameters)
    except Exception:  # whatever a stranger's graph brings about, its page does without a drawing
        return None


def _looked_into(known: Sequence[Entered], chosen: Sequence[Result], dataset: str) -> list[Entered]:
    """The networks of this run that have figures and are no entries."""
    made = []
    slugs, digests = {one.slug for one in known}, {hashlib.sha256(one.onnx).hexdigest() for one in known}
    for result in chosen:
        if result.sha256 in digests:
            continue
        content = Path(result.path).read_bytes()
        golf = golf_file(result.name).read_bytes() if result.bytes is not None else None
        name = result.variant.name
        made.append(
            Entered(
                slug=f"{name}-of-this-run" if name in slugs else name, name=name, dataset=dataset,
                nonzero=result.nonzero, parameters=result.parameters, correct=result.correct,
                images=result.images, chosen_on=CHOSEN[result.judge], division=result.division,
                sha256=result.sha256, bits=result.bits, onnx=content, golf=golf,
                layers=Layers(*unpack(content, result.path)), result=result,
            )
        )  # fmt: skip
    return made


CHOSEN = {"test": "test", "heldout": "held-out", "": "held-out"}
