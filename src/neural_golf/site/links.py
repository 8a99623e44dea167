"""Networks in links: the `.golf` files of the results as text, and the tables that golf.js reads with."""

from __future__ import annotations

import base64
from collections.abc import Mapping, Sequence
from dataclasses import astuple, dataclass
from typing import TypedDict

import numpy as np

from neural_golf.base.errors import GolfError
from neural_golf.net.form import FAINT, Form
from neural_golf.net.formed import form_numbers
from neural_golf.net.layers import EPSILON, KINDS
from neural_golf.packed import grammar
from neural_golf.results.result import Result, by_variant, golf_file, representative

__all__ = ["Link", "Tables", "links", "tables", "text_of"]


class Tables(TypedDict):
    """The tables of the format, of which golf.js has no copy (docs/bytes.md).

    kinds: the kinds of layers by their numbers, and their titles. known: how many of them each version has.
    after: how frequent a kind is after a group of kinds, beyond 1. groups: of the kinds that are in one.
    fields: of each kind, each field with the values that are usual and how frequent they are, beyond 1, and
    the first version that has it. form: the usual numbers of a form, in thousandths. faint: the ink that
    every pixel is given when a form is found, and own: how many numbers the usual form adds to those that
    count. epsilon: what `norm` adds to a variance.
    """

    kinds: Sequence[str]
    known: Sequence[int]
    titles: Mapping[str, str]
    after: Mapping[str, Mapping[str, int]]
    groups: Mapping[str, str]
    fields: Mapping[str, Sequence[tuple[str, Mapping[int, int], int]]]
    form: Sequence[int]
    faint: float
    own: int
    epsilon: float


def tables() -> Tables:
    """The tables as the Python code has them; they become JSON in the page."""
    return Tables(
        kinds=grammar.NAMES,
        known=list(grammar.KNOWN.values()),
        titles={kind: KINDS[kind].title for kind in grammar.NAMES if kind in KINDS},
        after=grammar.AFTER,
        groups=grammar.GROUPS,
        fields={
            kind: [(field.name, field.usual, field.since) for field in fields]
            for kind, fields in grammar.FIELDS.items()
        },
        form=[round(number * 1000) for number in astuple(Form())],
        faint=FAINT,
        own=int(np.count_nonzero(form_numbers(Form()))),
        epsilon=EPSILON,
    )


@dataclass(frozen=True)
class Link:
    """One `.golf` file of the results.

    text: the file as it stands in a link, behind `#golf=`. first: whether it stands for its row and size.
    """

    result: Result
    text: str
    first: bool


def text_of(content: bytes) -> str:
    """A file in base64url, without the equals signs at its end: 100 bytes are 134 characters."""
    return base64.urlsafe_b64encode(content).decode().rstrip("=")


def links(results: Sequence[Result]) -> list[Link]:
    """A link for each result that has a `.golf` file, the shortest file first.

    Raises GolfError where a file is missing, or is not as long as the one that the referee scored.
    """
    packed = [result for result in results if result.bytes is not None]
    first = [representative(group) for group in by_variant(packed).values()]
    found = [Link(result, text_of(_content(result)), result in first) for result in packed]
    return sorted(found, key=lambda link: (link.result.bytes, link.result.name))


def _content(result: Result) -> bytes:
    path = golf_file(result.name)
    content = path.read_bytes() if path.exists() else b""
    if len(content) != result.bytes:
        raise GolfError(f"{path} is not as long as the referee says: run the stages export and verify again")
    return content
