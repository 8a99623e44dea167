"""Images that excite a channel or a feature most, found by gradient ascent on the input."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from neural_golf.config.sections import Excite
from neural_golf.look.measure import convolutions, features
from neural_golf.look.subject import Subject
from neural_golf.net.kind import Maps
from neural_golf.net.plain import Plain

__all__ = ["excite"]


def excite(subject: Subject, settings: Excite) -> dict[str, NDArray[np.float32]]:
    """Images that excite, by layer name: [k, channels, height, width] for the k channels of each convolution
    and for the k features. There are none without a convolution.

    Gradient ascent on the input, Adam, from seeded noise (Erhan et al. 2009). The aim for a feature
    is its value before its activation; for a channel, whose map can be excited anywhere, the mean
    of the maxima of 4x4 fields of that map, in units of its deviation over noise. The image pays
    for ink (L2) and for roughness (squared steps between neighbours), and for channels it moves
    by up to `jitter` pixels between steps.
    """
    network = subject.network
    found = {}
    for conv, _ in convolutions(network):
        channels, height, width = network.layers[conv].out_shape
        fields = _fields(height, width)
        aims = [Aim(channel, fields) for channel in range(channels)]
        found[network.layers[conv].name] = _ascend(subject, conv, aims, settings, settings.jitter)
    if found and features(network).out_shape == (channels, height, width):
        points = [(slice(y, y + 1), slice(x, x + 1)) for y in range(height) for x in range(width)]
        aims = [Aim(channel, [point]) for channel in range(channels) for point in points]
        # A single feature looks at one place: moving the image would smear it.
        found["features"] = _ascend(subject, conv, aims, settings, jitter=0)
    return found


Field = tuple[slice, slice]


def _fields(height: int, width: int, most: int = 4) -> list[Field]:
    """At most 4 by 4 fields that cover a map, overlapping by a row or column where 4 does not divide it.

    >>> _fields(5, 5, most=2)
    [(slice(0, 3, None), slice(0, 3, None)), (slice(0, 3, None), slice(2, 5, None)), \
(slice(2, 5, None), slice(0, 3, None)), (slice(2, 5, None), slice(2, 5, None))]
    """
    n = min(most, height, width)
    rows, columns = (
        [slice(k * size // n, -(-(k + 1) * size // n)) for k in range(n)] for size in (height, width)
    )
    return [(row, column) for row in rows for column in columns]


@dataclass(frozen=True)
class Aim:
    """What an image shall excite: the mean of the maxima of the fields of a channel's map."""

    channel: int
    fields: list[Field]

    def value(self, maps: Maps) -> NDArray[np.float32]:
        """[images], of maps [channels, height, width, images]."""
        tops = [maps[self.channel][field].max(axis=(0, 1)) for field in self.fields]
        return np.asarray(sum(tops[1:], start=tops[0]) / np.float32(len(tops)))

    def gradient(self, maps: Maps, image: int, out: Maps) -> None:
        """Adds the gradient of the value for one image to `out`, which is shaped as the maps are."""
        for field in self.fields:
            values = maps[self.channel][field][..., image]
            y, x = divmod(int(values.argmax()), values.shape[1])  # of equals the first
            out[self.channel][field][y, x, image] += np.float32(1 / len(self.fields))


def _ascend(
    subject: Subject, place: int, aims: list[Aim], settings: Excite, jitter: int
) -> NDArray[np.float32]:
    """An image [aims, channels, height, width] for each aim at the output of the layer at `place`."""
    plain = Plain(subject.network, subject.parameters, place + 1)
    shape = subject.network.in_shape
    rng = np.random.default_rng(settings.seed)
    noise = plain.forward(rng.random((*shape, 64), np.float32))[-1]
    deviation = np.array([aim.value(noise).std(ddof=1) for aim in aims], np.float32)
    scale = 1 / np.maximum(deviation, np.float32(1e-6))
    x = np.float32(0.1) * rng.random((*shape, len(aims)), np.float32)
    m, v = np.zeros_like(x), np.zeros_like(x)
    moves = rng.integers(-jitter, jitter + 1, (settings.steps, 2)).tolist()
    for step, (down, right) in enumerate(moves, 1):
        maps = plain.forward(np.roll(x, (down, right), (1, 2)))
        excited = np.zeros_like(maps[-1])
        for image, aim in enumerate(aims):
            aim.gradient(maps[-1], image, excited)
        up = np.roll(plain.backward(maps, excited * scale), (-down, -right), (1, 2))
        gradient = 2 * settings.ink * x + 2 * settings.smooth * _roughness(x) - up
        # Adam (Kingma & Ba 2015, algorithm 1).
        m += 0.1 * (gradient - m)
        v += 0.001 * (gradient * gradient - v)
        x -= settings.rate / (1 - 0.9**step) * m / (np.sqrt(v / (1 - 0.999**step)) + 1e-8)
        np.clip(x, 0, 1, out=x)
    return np.ascontiguousarray(x.transpose(3, 0, 1, 2))


def _roughness(x: Maps) -> Maps:
    """Half the gradient of the sum of squared steps between neighbours."""
    total = np.zeros_like(x)
    for axis in (1, 2):
        steps = np.diff(x, axis=axis)
        still = np.zeros_like(np.take(x, [0], axis))
        total += np.diff(-steps, axis=axis, prepend=still, append=still)
    return total
