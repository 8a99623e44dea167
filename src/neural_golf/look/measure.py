"""What a network does, as numbers: activations, stroke angles, mistakes, worth."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from neural_golf.config.sections import Strokes
from neural_golf.data import Split
from neural_golf.engine import engine
from neural_golf.look.subject import Subject
from neural_golf.net.kind import Layer
from neural_golf.net.layers import KINDS
from neural_golf.net.plain import Plain
from neural_golf.net.spec import Network

__all__ = [
    "SHOWN",
    "Tuning",
    "activations",
    "beyond",
    "class_means",
    "convolutions",
    "features",
    "logits",
    "losses",
    "nearest_mean",
    "samples",
    "shown",
    "strokes",
    "tuning",
    "worth",
]

Array = NDArray[Any]
SHOWN = 30  # classes that figures show


def activations(
    subject: Subject, pixels: Array, layers: Sequence[str] | None = None
) -> dict[str, NDArray[np.float32]]:
    """The output of layers, by name (default all), for images; both are [n, channels, height, width].

    uint8 images are brought into the network's form, if it has one, and divided by 255; float32 images are
    taken as they are.
    """
    pixels = shown(subject, pixels)
    names = [layer.name for layer in subject.network.layers]
    wanted = names if layers is None else layers
    last = 1 + max(names.index(name) for name in wanted)
    plain = Plain(subject.network, subject.parameters, last)
    parts: dict[str, list[Array]] = {name: [] for name in wanted}
    for start in range(0, len(pixels), 128):  # few enough images for their maps to stay in the cache
        part = np.ascontiguousarray(pixels[start : start + 128].transpose(1, 2, 3, 0), np.float32)
        maps = plain.forward(part / np.float32(255) if pixels.dtype == np.uint8 else part)
        for name in wanted:
            parts[name].append(maps[1 + names.index(name)])
    return {
        name: np.ascontiguousarray(np.concatenate(some, axis=-1).transpose(3, 0, 1, 2))
        for name, some in parts.items()
    }


def shown(subject: Subject, pixels: Array) -> Array:
    """Images as the layers see them: uint8 ones of a network with a form in it, as float32."""
    return engine(subject.network).seen(pixels)


def convolutions(network: Network) -> list[tuple[int, int]]:
    """For each convolution: its place in the layers, and the place of its activation (or itself)."""
    places = []
    for number, layer in enumerate(network.layers):
        if layer.kind == "conv":
            after = network.layers[number + 1 : number + 2]
            active = bool(after) and KINDS[after[0].kind].activation
            places.append((number, number + active))
    return places


def features(network: Network) -> Layer:
    """The layer whose output the last linear layer (or the global pool) reads: the features."""
    last = max(n for n, layer in enumerate(network.layers) if KINDS[layer.kind].ends)
    before = [layer for layer in network.layers[:last] if not KINDS[layer.kind].training]
    return before[-1] if before else network.layers[last]


def logits(subject: Subject, images: Split) -> NDArray[np.float32]:
    return engine(subject.network).logits(subject.parameters, images.pixels)


def losses(scores: NDArray[np.float32], labels: NDArray[Any]) -> NDArray[np.float64]:
    """The cross-entropy [n] of each image, in nats.

    >>> losses(np.zeros((1, 10), np.float32), np.array([3], np.uint8)).round(3)
    array([2.303])
    """
    z = scores.astype(np.float64)
    top = z.max(axis=1)
    total = top + np.log(np.exp(z - top[:, None]).sum(axis=1))
    return np.asarray(total - z[np.arange(len(z)), labels])


def samples(images: Split, seed: int, most: int = SHOWN) -> Split:
    """One image of each of the first `most` classes, drawn by seed."""
    rng = np.random.default_rng(seed)
    labels = np.unique(images.labels)[:most]
    return images[np.array([int(rng.choice(np.flatnonzero(images.labels == label))) for label in labels])]


def class_means(
    maps: NDArray[np.float32], labels: NDArray[Any], classes: int | None = None
) -> NDArray[np.float64]:
    """The mean activation [classes, channels, height, width] of each class; NaN of one that has no image."""
    known = range(int(labels.max()) + 1 if classes is None else classes)
    none = np.full(maps.shape[1:], np.nan)
    return np.stack(
        [own.mean(axis=0, dtype=np.float64) if len(own := maps[labels == k]) else none for k in known]
    )


def strokes(
    settings: Strokes, height: int = 28, width: int = 28
) -> tuple[NDArray[np.float64], NDArray[np.float32]]:
    """Straight strokes at evenly spaced angles: degrees [angles], images [angles, offsets, 1, height, width].

    0° lies flat and 90° stands upright; 45° rises to the right. Each is cut off by a circle, so that
    every angle paints equally much, and is moved sideways in whole pixels.
    """
    angles = np.arange(settings.angles) * 180 / settings.angles
    y, x = np.mgrid[:height, :width] - np.reshape([(height - 1) / 2, (width - 1) / 2], (2, 1, 1))
    inside = np.clip(settings.radius + 0.5 - np.hypot(x, y), 0, 1)
    pictures = []
    for angle in np.deg2rad(angles):
        across = x * math.sin(angle) + y * math.cos(angle)
        for offset in range(-settings.shift, settings.shift + 1):
            line = np.clip(settings.width / 2 + 0.5 - np.abs(across - offset), 0, 1)
            pictures.append(line * inside)
    stack = np.array(pictures, np.float32).reshape(settings.angles, -1, 1, height, width)
    return angles, stack


@dataclass(frozen=True)
class Tuning:
    """How one channel answers to the angle of a stroke.

    response: [angles], the mean change of its output against an empty image. selectivity: 0 where
    all angles are alike, 1 where only one has any effect: |Σ r e^(2iθ)| / Σ r (Ringach et al. 2002).
    preferred: degrees from 0 to 180. agreement: the correlation of its output with the ink below it,
    over sample digits; below 0 the channel is inverted.
    """

    response: NDArray[np.float64]
    selectivity: float
    preferred: float
    agreement: float
    alive: bool

    def kind(self, selective: float) -> str:
        """What to call it, in a word or two."""
        if not self.alive:
            return "silent"
        if self.selectivity < selective:
            return "any angle"
        names = ("horizontal", "rising diagonal", "vertical", "falling diagonal")
        return names[round(self.preferred / 45) % 4]

    @property
    def inverted(self) -> bool:
        return self.alive and self.agreement < 0


def tuning(subject: Subject, settings: Strokes, digits: Split) -> list[Tuning]:
    """The stroke angles that each channel of the first convolution answers to, after its activation.

    A stroke is white, on all channels. Without a convolution, and of series, there is nothing to find.
    """
    network = subject.network
    channels, height, width = network.in_shape
    if height == 1 or not convolutions(network):
        return []
    conv, active = convolutions(network)[0]
    name = network.layers[active].name
    angles, pictures = strokes(settings, height, width)
    pictures = np.repeat(pictures, channels, axis=2)
    blank = activations(subject, np.zeros((1, *network.in_shape), np.float32), [name])[name]
    maps = activations(subject, pictures.reshape(-1, *network.in_shape), [name])[name]
    changes = np.abs(maps - blank).mean(axis=(2, 3)).reshape(len(angles), -1, maps.shape[1]).mean(axis=1)
    answers = activations(subject, digits.pixels, [name])[name]
    seen = shown(subject, digits.pixels)
    seen = seen / 255 if seen.dtype == np.uint8 else seen
    ink = _patch_means(seen[:, 0] if channels == 1 else seen.mean(axis=1), network.layers[conv])
    turned = np.exp(2j * np.deg2rad(angles))
    found = []
    for channel in range(maps.shape[1]):
        r = changes[:, channel].astype(np.float64)
        vector = (r * turned).sum() / max(r.sum(), 1e-12)
        flat = answers[:, channel].ravel()
        alive = bool(flat.std() > 1e-7)
        agreement = float(np.corrcoef(flat, ink.ravel())[0, 1]) if alive else 0.0
        preferred = float(np.rad2deg(np.angle(vector)) / 2 % 180)
        found.append(Tuning(r, float(abs(vector)), preferred, agreement, alive))
    return found


def _patch_means(images: Array, layer: Layer) -> Array:
    """The mean ink [n, height, width] at the pixels that a convolution's kernel looks at in each position."""
    padded = np.pad(images, ((0, 0), *((pad, pad) for pad in layer.pad)))
    (down, across), (below, beside) = layer.dilation, layer.stride
    sides = (1 + (layer.kernel[0] - 1) * down, 1 + (layer.kernel[1] - 1) * across)
    windows = np.lib.stride_tricks.sliding_window_view(padded, sides, axis=(1, 2))[:, ::below, ::beside]
    return np.asarray(windows[..., ::down, ::across].mean(axis=(3, 4)))


def nearest_mean(maps: NDArray[np.float32], labels: NDArray[Any], means: NDArray[np.float64]) -> int:
    """How many images [n, …] lie nearest to the mean activation [classes, …] of their own class."""
    flat, centres = maps.reshape(len(maps), -1).astype(np.float64), means.reshape(len(means), -1)
    distance = (centres**2).sum(axis=1) - 2 * flat @ centres.T
    return int((np.where(np.isnan(distance), np.inf, distance).argmin(axis=1) == labels).sum())


def beyond(subject: Subject, exciting: NDArray[np.float32], seen: Mapping[str, NDArray[np.float32]]) -> int:
    """How many features their own image of `exciting` [k, channels, height, width] excites more than any of
    `seen`.

    `seen` holds the activations of those images by layer; features are taken before their activation.
    """
    conv, _ = convolutions(subject.network)[-1]
    name = subject.network.layers[conv].name
    own = activations(subject, exciting, [name])[name].reshape(len(exciting), -1)
    most = seen[name].reshape(len(seen[name]), -1).max(axis=0)
    return int((np.diag(own) > most).sum())


def worth(subject: Subject, images: Split) -> tuple[NDArray[np.int64], NDArray[np.int64], int]:
    """What each surviving parameter is worth: indices [k], images lost without it [k], images right
    with all.
    """
    core = engine(subject.network)
    index = np.flatnonzero(subject.parameters)
    right = core.correct(subject.parameters, images.pixels, images.labels)
    alone, _ = core.zero_alone(subject.parameters, index, images.pixels, images.labels)
    return index, right - np.asarray(alone, np.int64), right
