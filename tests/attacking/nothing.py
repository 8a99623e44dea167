"""Networks that store nothing, or next to nothing: how far can one get?"""

from __future__ import annotations

import json
from pathlib import Path

from onnx import ModelProto

from attacking.surgery import Attack, Surgery

PICKS = Path(__file__).with_name("turns.json")  # [mirrored axes, order of axes, row, sign]
TAPS = Path(__file__).with_name("edges.json")  # [feature, class, how often]; negative: taken away


def taps() -> list[list[int]]:
    found: list[list[int]] = json.loads(TAPS.read_text())
    return found


class Blank(Surgery):
    """A network that begins with the image alone."""

    def __init__(self) -> None:
        super().__init__("prelu")
        self.nodes.clear()
        self.constants.clear()
        self.tensors.clear()


def cut(s: Surgery, name: str, axis: int, first: bool) -> str:
    """An image without its two first, or last, lines: one at a time, since a bound of 1 chooses no place."""
    last = 2**31 - 1
    for _ in range(2):
        bounds = (s.once("1", lambda: s.ints(1)), s.once("last", lambda: s.ints(last)))
        if not first:
            bounds = (s.once("0", lambda: s.ints(0)), s.once("-1", lambda: s.ints(-1)))
        name = s.add("Slice", name, *bounds, s.once(f"axis {axis}", lambda: s.ints(axis)))
    return name


def edges(products: bool = False) -> ModelProto:
    """Edges in eight directions, averaged over patches of 4 by 4; each class is a sum of some of these, less others.

    Which ones was found by a greedy search on the training images. Not one number is stored.

    products: the exponentials of the edges are multiplied and divided, which is to add and to subtract.
    """
    s = Blank()
    down, up = cut(s, s.image, 2, True), cut(s, s.image, 2, False)
    pairs = [
        (cut(s, s.image, 3, True), cut(s, s.image, 3, False)),
        (down, up),
        (cut(s, down, 3, True), cut(s, up, 3, False)),
        (cut(s, down, 3, False), cut(s, up, 3, True)),
    ]
    features: list[str] = []
    for one, other in pairs:
        for difference in (s.add("Sub", one, other), s.add("Sub", other, one)):
            edge = s.add("Relu", difference)
            patches = s.add("AveragePool", edge, kernel_shape=[4, 4], strides=[4, 4])
            if products:
                patches = s.add("Exp", patches)
            wide = 42 if (one, other) in (pairs[0], pairs[1]) else 36
            features += s.add("Split", s.add("Flatten", patches), outputs=wide, axis=1)
    answers = []
    for k in range(10):
        own = sorted((n, f) for f, c, n in taps() if c == k)[::-1]  # those that are added first
        own = [
            o for at, o in enumerate(own) if not products or at != len(own) // 2
        ]  # room for the exponentials
        total = ""
        for n, feature in own:
            for _ in range(abs(n)):
                if total:
                    plus, minus = ("Mul", "Div") if products else ("Add", "Sub")
                    total = s.add(plus if n > 0 else minus, total, features[feature])
                else:
                    assert n > 0
                    total = features[feature]
        answers.append(total)
    s.add("Concat", *answers, axis=1, name="logits")
    return s.built()


def turned(s: Surgery, features: str, flips: list[int], perm: list[int]) -> list[str]:
    """Twenty rows of ten features, after some axes were mirrored and all were put in another order."""
    axes = [k + 1 for k, flip in enumerate(flips) if flip]
    if axes:
        n = len(axes)
        starts, steps = (s.once(f"{n} ones", lambda: s.ints(*[-1] * n)) for _ in range(2))
        ends = s.once(f"{n} ends", lambda: s.ints(*[-(2**31)] * n))
        features = s.add("Slice", features, starts, ends, s.ints(*axes), steps)
    features = s.add("Transpose", features, perm=[0, *(k + 1 for k in perm)])
    rows = s.add("Reshape", features, s.once("rows", lambda: s.ints(-1, 200)))
    return list(s.add("Split", rows, outputs=20, axis=1))


def turns() -> ModelProto:
    """Two hundred averages of edges, turned and mirrored in 25 ways; ten of each are added to the answers, or taken
    away. That is 25 sums of activations, and no number. What a greedy search finds is far below any challenge.
    """
    s = Blank()
    down, up = cut(s, s.image, 2, True), cut(s, s.image, 2, False)
    right, left = cut(s, s.image, 3, True), cut(s, s.image, 3, False)
    differences = [
        cut(s, s.add("Sub", right, left), 2, False),
        cut(s, s.add("Sub", down, up), 3, False),
        s.add("Sub", cut(s, down, 3, True), cut(s, up, 3, False)),
        s.add("Sub", cut(s, down, 3, False), cut(s, up, 3, True)),
    ]
    both = s.add("Concat", *differences, axis=1)
    edge = s.add("Relu", s.add("Concat", both, s.add("Neg", both), axis=1))
    patches = s.add("AveragePool", edge, kernel_shape=[6, 6], strides=[5, 5])
    features = s.reshape(patches, -1, 2, 2, 2, 5, 5)
    total, picks = "", json.loads(PICKS.read_text())
    for at, (flips, perm, row, sign) in enumerate(sorted(picks, key=lambda p: -p[3])):
        piece = turned(s, features, flips, perm)[row]
        last = {"name": "logits"} if at == len(picks) - 1 else {}
        total = s.add("Add" if sign > 0 else "Sub", total, piece, **last) if total else piece
    return s.built()


NOTHING: dict[str, Attack] = {
    "edges and sums, nothing stored": Attack(edges, len(taps()), reason="wires: inputs of", least=900),
    "edges and products, nothing stored": Attack(
        lambda: edges(True), len(taps()), reason="wires: inputs of", least=900
    ),
    "turns, mirrors and 25 sums, nothing stored": Attack(turns, 250, least=700, harmless=900),
}
