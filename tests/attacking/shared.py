"""One stored number in many tensors: a list of stored scalars, in another order for each row."""

from __future__ import annotations

import numpy as np
from onnx import ModelProto

from attacking.surgery import Attack, F, Surgery, filled

LAYERS = ("conv1", "conv2", "conv3", "linear1")


def short(values: np.ndarray) -> np.ndarray:
    """Rounded to 4 significant bits, so that the referee's rounding changes nothing."""
    mantissa, exponent = np.frexp(values.astype(np.float64))
    return np.ldexp(np.rint(mantissa * 16), exponent - 4).astype(F)


def matched(values: np.ndarray, book: np.ndarray) -> np.ndarray:
    """For each value another number of the sorted book, so that the squares of the errors add up to the least."""
    order = np.argsort(values)
    cost = (values[order][:, None] - book) ** 2
    best = np.full((len(values) + 1, len(book) + 1), np.inf)
    best[0] = 0
    for i in range(1, len(values) + 1):
        for j in range(i, len(book) + 1):
            best[i, j] = min(best[i, j - 1], best[i - 1, j - 1] + cost[i - 1, j - 1])
    places, j = np.empty(len(values), int), len(book)
    for i in range(len(values), 0, -1):
        while best[i, j] == best[i, j - 1]:
            j -= 1
        j -= 1
        places[order[i - 1]] = j
    return places


def shared(size: int = 80) -> ModelProto:
    """All weights of prelu, from 80 stored numbers. Each number is a tensor of its own, and each row of weights is a
    Concat of some of them in its own order, none of them twice.

    The layers are scaled so that they all fit one book; the network keeps such a factor, and the biases follow it.
    """
    s = Surgery("prelu")
    weights = {name: s.take(f"{name}.weight") for name in LAYERS}
    scales = {name: float(np.sqrt((w**2).mean())) for name, w in weights.items()}
    every = np.concatenate([(w / scales[name]).ravel() for name, w in weights.items()])
    book = np.sort(short(np.quantile(every, (np.arange(size) + 0.5) / size)))
    names = [s.const([v]) for v in book]
    factor = 1.0
    for name, weight in weights.items():
        rows = []
        for row in (weight / scales[name]).reshape(len(weight), -1):
            places = matched(row.astype(np.float64), book.astype(np.float64))
            flat = s.add("Concat", *(names[k] for k in places), axis=0)
            rows.append(s.reshape(flat, 1, *weight.shape[1:]))
        s.add("Concat", *rows, axis=0, name=f"{name}.weight")
        factor *= scales[name]
        s.constants[f"{name}.bias"] = short(s.constants[f"{name}.bias"] / factor)
    return s.built()


def shared_and_sparse(size: int = 28) -> ModelProto:
    """The last layer of golf98, of which each class has about fourteen weights: a Concat for each class, of stored
    numbers and of stored zeros between them.
    """
    s = Surgery("golf98-heldout-200")
    weight = s.take("linear1.weight")
    every = weight[weight != 0]
    book = np.sort(short(np.quantile(every, (np.arange(size) + 0.5) / size)))
    names = [s.const([v]) for v in book]
    rows = []
    for row in weight:
        at = np.flatnonzero(row)
        places = matched(row[at].astype(np.float64), book.astype(np.float64))
        parts, done = [], 0
        for position, place in zip(at, places, strict=True):
            if position > done:
                parts.append(s.const(np.zeros(position - done)))
            parts.append(names[place])
            done = position + 1
        if done < len(row):
            parts.append(s.const(np.zeros(len(row) - done)))
        rows.append(s.reshape(s.add("Concat", *parts, axis=0), 1, len(row)))
    s.add("Concat", *rows, axis=0, name="linear1.weight")
    return s.built()


SHARED: dict[str, Attack] = {
    "stored scalars, in another order for each row": Attack(
        shared, filled("prelu"), reason="wires: inputs of", like="prelu", agree=0.97
    ),
    "stored scalars between stored zeros": Attack(
        shared_and_sparse,
        filled("golf98-heldout-200"),
        reason="wires: inputs of",
        like="golf98-heldout-200",
        agree=0.97,
    ),
}
