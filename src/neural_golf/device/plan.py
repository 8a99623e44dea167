"""A network as stages, each of which makes a row at a time, so that few rows of a map are ever in memory."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any, Literal

from neural_golf.base.errors import GolfError
from neural_golf.net.kind import Layer
from neural_golf.net.layers import KINDS
from neural_golf.net.spec import Network

__all__ = ["Stage", "as_it_is", "pads", "plan"]

Op = Literal["taps", "largest", "mean"]


@dataclass(frozen=True, kw_only=True)
class Stage:
    """Sums of a row (`op`), then activation, then pooling, into a row of the next stage's memory.

    layers: those it does, by their index; the first is the convolution or pool of `op`, if it has one.
    shape: of its input (channels, height, width). outs, cols: channels, and columns of a row of sums.
    """

    op: Op
    layers: tuple[int, ...]
    shape: tuple[int, int, int]
    kernel: tuple[int, int]  # height and width
    outs: int
    cols: int
    out_shape: tuple[int, int, int]
    pad: int = 0
    down: int = 1  # how many rows, and columns, a window of `op` moves on
    dilation: int = 1
    orbit: int = 1
    among: int = 1  # in how many positions its input's channels come
    conv: Layer | None = None  # with the weights of `taps`
    slopes: Layer | None = None  # a PReLU
    slope: float = 1.0  # of the activation below zero, where it is not a PReLU
    pool: tuple[int, int] = (1, 1)  # height and width of the windows of the fused pooling
    step: int = 1  # and how far apart they are
    pool_mean: bool = False
    norm: int | None = None  # the `norm` layer that its input goes through first

    @property
    def last(self) -> int:
        """The layer whose output it makes, by its index."""
        return self.layers[-1] if self.layers else self.norm or 0

    @property
    def reach(self) -> int:
        """Rows of its input that a row of sums reads."""
        return (self.kernel[0] - 1) * self.dilation + 1

    @property
    def rows(self) -> int:
        """Rows of its input that are in memory."""
        if self.norm is not None:  # all of them, for their mean
            return self.shape[1] + 2 * self.pad
        return max(self.reach, self.down)

    @property
    def width(self) -> int:
        """Of a row of its input in memory, with the padding."""
        return self.shape[2] + 2 * self.pad

    @property
    def cells(self) -> int:
        """Numbers of its input that are in memory."""
        return self.rows * self.shape[0] * self.width


def plan(network: Network, means: bool = True) -> list[Stage]:
    """The stages of a network. Without `means` no mean is fused with what stands before it, as a sum of whole
    numbers would not fit where its mean does.
    """
    layers = [layer for layer in network.layers if not KINDS[layer.kind].training]
    place = {id(layer): index for index, layer in enumerate(network.layers)}
    stages: list[Stage] = []
    norm: int | None = None
    orbit, done = 1, 0
    while done < len(layers):
        layer = layers[done]
        if layer.kind == "norm" and norm is None:
            norm, done = place[id(layer)], done + 1
            continue
        stage = _first(layer, orbit, place[id(layer)])
        orbit = layer.orbit if layer.kind == "conv" else orbit
        done += bool(stage.layers)
        if done < len(layers) and KINDS[layers[done].kind].activation:
            stage = _activated(stage, layers[done], place[id(layers[done])])
            done += 1
        if done < len(layers) and (stage.op == "taps" or stage.kernel == (1, 1)):
            pooled = _pooled(stage, layers[done], place[id(layers[done])], means)
            done += pooled is not stage
            stage = pooled
        if not stage.layers and norm is None:
            raise GolfError(f"a layer of kind {layer.kind} cannot be written in C")
        stages.append(replace(stage, norm=norm))
        norm = None
    return stages


def _first(layer: Layer, orbit: int, place: int) -> Stage:
    """A stage that begins with this layer, or (with no layer yet) one that reads its input as it is."""
    _, height, width = layer.in_shape
    outs, _, cols = layer.out_shape
    common: dict[str, Any] = {
        "shape": layer.in_shape,
        "out_shape": layer.out_shape,
        "outs": outs,
        "cols": cols,
    }
    if layer.kind == "linear":
        return Stage(op="taps", layers=(place,), kernel=(height, width), conv=layer, among=1, **common)
    if layer.kind == "conv":
        return Stage(
            op="taps", layers=(place,), kernel=(layer.kernel, layer.kernel), pad=layer.pad, conv=layer,
            dilation=layer.dilation, orbit=layer.orbit, among=orbit if layer.orbit > 1 else 1, **common,
        )  # fmt: skip
    if layer.kind in ("maxpool", "avgpool") and (layer.stride < layer.kernel or layer.pad):
        return Stage(
            op="largest" if layer.kind == "maxpool" else "mean", layers=(place,), pad=layer.pad,
            kernel=(layer.kernel, layer.kernel), down=layer.stride, **common,
        )  # fmt: skip
    if layer.kind in ("avgpool", "gap"):
        kernel = (height, width) if layer.kind == "gap" else (layer.kernel, layer.kernel)
        down = layer.stride if layer.kind == "avgpool" else 1
        return Stage(op="mean", layers=(place,), kernel=kernel, down=down, **common)
    return as_it_is(layer.in_shape)


def as_it_is(shape: tuple[int, int, int]) -> Stage:
    """A stage that does nothing yet."""
    channels, _, width = shape
    return Stage(
        op="largest", layers=(), kernel=(1, 1), shape=shape, out_shape=shape, outs=channels, cols=width
    )


def _activated(stage: Stage, layer: Layer, place: int) -> Stage:
    layers = (*stage.layers, place)
    if layer.weight is not None:
        return replace(stage, layers=layers, slopes=layer)
    return replace(stage, layers=layers, slope=0.0 if layer.kind == "relu" else layer.value)


def _pooled(stage: Stage, layer: Layer, place: int, means: bool) -> Stage:
    """The stage with this layer fused, if its windows do not overlap; else the stage."""
    _, height, width = layer.in_shape
    mean = layer.kind in ("avgpool", "gap")
    able = layer.kind == "gap" or (layer.kind in ("maxpool", "avgpool") and layer.stride >= layer.kernel)
    if not able or layer.pad or (mean and not means):
        return stage
    pool = (height, width) if layer.kind == "gap" else (layer.kernel, layer.kernel)
    step = height if layer.kind == "gap" else layer.stride
    return replace(
        stage, layers=(*stage.layers, place), out_shape=layer.out_shape, pool=pool, step=step, pool_mean=mean
    )


def pads(stages: Sequence[Stage]) -> bool:
    """Whether some stage reads rows beyond its input's last one."""
    return any(stage.pad or stage.down > stage.kernel[0] for stage in stages)
