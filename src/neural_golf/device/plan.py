"""A network as stages, each of which makes a row at a time, so that few rows of a map are ever in memory."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass, replace
from typing import Any, Literal

from neural_golf.base.errors import GolfError
from neural_golf.net.kind import Layer, Sides, Tensor
from neural_golf.net.layers import KINDS
from neural_golf.net.spec import Network

__all__ = ["Stage", "as_it_is", "kept_rows", "pads", "plan", "upright"]

Op = Literal["taps", "largest", "mean"]


@dataclass(frozen=True, kw_only=True)
class Stage:
    """Sums of a row (`op`), to which an earlier map may be added, then activation, then pooling, into a row
    of the next stage's memory.

    layers: those it does, by their index; the first is the convolution or pool of `op`, if it has one.
    shape: of its input (channels, height, width). outs, cols: channels, and columns of a row of sums.
    """

    op: Op
    layers: tuple[int, ...]
    shape: tuple[int, int, int]
    kernel: Sides
    outs: int
    cols: int
    out_shape: tuple[int, int, int]
    pad: Sides = (0, 0)
    down: Sides = (1, 1)  # how many rows, and columns, a window of `op` moves on
    dilation: Sides = (1, 1)
    orbit: int = 1
    among: int = 1  # in how many positions its input's channels come
    conv: Layer | None = None  # with the weights of `taps`
    adds: int | None = None  # the stage whose output is added to the sums
    slopes: Layer | None = None  # a PReLU
    slope: float = 1.0  # of the activation below zero, where it is not a PReLU
    pool: Sides = (1, 1)  # height and width of the windows of the fused pooling
    step: Sides = (1, 1)  # and how far apart they are
    pool_mean: bool = False
    norm: int | None = None  # the `norm` layer that its input goes through first

    @property
    def last(self) -> int:
        """The layer whose output it makes, by its index."""
        return self.layers[-1] if self.layers else self.norm or 0

    @property
    def reach(self) -> int:
        """Rows of its input that a row of sums reads."""
        return (self.kernel[0] - 1) * self.dilation[0] + 1

    @property
    def rows(self) -> int:
        """Rows of its input that are in memory."""
        if self.norm is not None:  # all of them, for their mean
            return self.shape[1] + 2 * self.pad[0]
        return max(self.reach, self.down[0])

    @property
    def width(self) -> int:
        """Of a row of its input in memory, with the padding."""
        return self.shape[2] + 2 * self.pad[1]

    @property
    def cells(self) -> int:
        """Numbers of its input that are in memory."""
        return self.rows * self.shape[0] * self.width

    @property
    def plain(self) -> bool:
        """Whether what it has done so far is to make sums."""
        return self.slope == 1 and self.slopes is None and self.pool == self.step == (1, 1)


def upright(network: Network) -> Network:
    """A series as an image of width 1, so that its rows are points of time and few are in memory; any other
    network as it is. The parameters are the same, and so are the numbers of an image, in the same order.
    """
    if network.in_shape[1] > 1 or network.in_shape[2] == 1:
        return network
    tensors = tuple(map(_upright_tensor, network.tensors))
    return replace(network, layers=tuple(map(_upright_layer, network.layers)), tensors=tensors)


def _upright_tensor(tensor: Tensor) -> Tensor:
    if len(tensor.shape) < 4:  # of no kernel
        return tensor
    outs, inputs, down, across = tensor.shape
    return replace(tensor, shape=(outs, inputs, across, down))


def _upright_layer(layer: Layer) -> Layer:
    changed: dict[str, Any] = {"weight": layer.weight and _upright_tensor(layer.weight)}
    for name in ("in_shape", "out_shape", "kernel", "pad", "stride", "dilation"):
        *first, down, across = getattr(layer, name)
        changed[name] = (*first, across, down)
    return replace(layer, **changed)


def plan(network: Network, means: bool = True) -> list[Stage]:
    """The stages of a network. Without `means` no mean is fused with what stands before it, as a sum of whole
    numbers would not fit where its mean does.

    Raises GolfError for a layer that no stage can do.
    """
    layers = [layer for layer in network.layers if not KINDS[layer.kind].training]
    place = {layer.name: index for index, layer in enumerate(network.layers)}
    added = {layer.adds for layer in layers}
    stages: list[Stage] = []
    makers: dict[str, int] = {}  # the stages that end in a layer, by its name
    norm: int | None = None
    done = 0
    while done < len(layers):
        if layers[done].kind == "norm" and norm is None:
            norm, done = place[layers[done].name], done + 1
            if layers[done - 1].name not in added:
                continue
            stage = as_it_is(layers[done - 1].out_shape)
        else:
            stage = _first(layers[done], place)
            done += bool(stage.layers)
            more = _fused(stage, layers[done:], place, added, makers, means)
            done += len(more.layers) - len(stage.layers)
            stage = more
        if not stage.layers and norm is None:
            raise GolfError(f"a layer of kind {layers[done].kind} cannot be written in C")
        stages.append(replace(stage, norm=norm))
        norm = None
        makers[layers[done - 1].name] = len(stages) - 1
    return stages


def _fused(
    stage: Stage, layers: Sequence[Layer], place: dict[str, int], added: Collection[str],
    makers: dict[str, int], means: bool,
) -> Stage:  # fmt: skip
    """The stage with as many of these layers as it can do, in their order. What is added to a later map is a
    stage's output.
    """
    names = {index: name for name, index in place.items()}
    for layer in layers:
        if stage.layers and names[stage.layers[-1]] in added:
            break
        more = _with(stage, layer, makers, means)
        if more is None:
            break
        stage = replace(more, layers=(*stage.layers, place[layer.name]))
    return stage


def _with(stage: Stage, layer: Layer, makers: dict[str, int], means: bool) -> Stage | None:
    """The stage with this layer fused, or None where it cannot be."""
    pooled = stage.pool != (1, 1) or stage.step != (1, 1) or stage.pool_mean
    if layer.kind == "add":
        return replace(stage, adds=makers[layer.adds]) if stage.plain and stage.adds is None else None
    if KINDS[layer.kind].activation:
        if pooled or stage.slope != 1 or stage.slopes:
            return None
        if layer.weight is not None:
            return replace(stage, slopes=layer)
        return replace(stage, slope=0.0 if layer.kind == "relu" else layer.value)
    if pooled or stage.adds is not None or (stage.op != "taps" and stage.kernel != (1, 1)):
        return None
    return _pooled(stage, layer, means)


def _first(layer: Layer, place: dict[str, int]) -> Stage:
    """A stage that begins with this layer, or (with no layer yet) one that reads its input as it is."""
    _, height, width = layer.in_shape
    outs, _, cols = layer.out_shape
    common: dict[str, Any] = {
        "layers": (place[layer.name],), "shape": layer.in_shape, "out_shape": layer.out_shape, "outs": outs,
        "cols": cols,
    }  # fmt: skip
    if layer.kind == "linear":
        return Stage(op="taps", kernel=(height, width), conv=layer, **common)
    common |= {"kernel": layer.kernel, "pad": layer.pad, "down": layer.stride}
    if layer.kind == "conv":
        return Stage(
            op="taps", conv=layer, dilation=layer.dilation, orbit=layer.orbit,
            among=layer.among if layer.orbit > 1 else 1, **common,
        )  # fmt: skip
    if layer.kind == "maxpool" and (_overlap(layer) or any(layer.pad)):
        return Stage(op="largest", **common)
    if layer.kind == "avgpool":
        return Stage(op="mean", **common)
    if layer.kind == "gap":
        return Stage(op="mean", **common | {"kernel": (height, width)})
    return as_it_is(layer.in_shape)


def as_it_is(shape: tuple[int, int, int]) -> Stage:
    """A stage that does nothing yet."""
    channels, _, width = shape
    return Stage(
        op="largest", layers=(), kernel=(1, 1), shape=shape, out_shape=shape, outs=channels, cols=width
    )


def _overlap(layer: Layer) -> bool:
    return any(stride < kernel for stride, kernel in zip(layer.stride, layer.kernel, strict=True))


def _pooled(stage: Stage, layer: Layer, means: bool) -> Stage | None:
    """The stage with this pool fused, if its windows do not overlap."""
    sides = layer.in_shape[1:] if layer.kind == "gap" else layer.kernel
    mean = layer.kind in ("avgpool", "gap")
    if not (mean or layer.kind == "maxpool") or _overlap(layer) or any(layer.pad) or (mean and not means):
        return None
    step = sides if layer.kind == "gap" else layer.stride
    return replace(stage, out_shape=layer.out_shape, pool=sides, step=step, pool_mean=mean)


def pads(stages: Sequence[Stage]) -> bool:
    """Whether some stage reads rows beyond its input's last one."""
    return any(any(stage.pad) or stage.down[0] > stage.reach for stage in stages)


def kept_rows(stages: Sequence[Stage]) -> dict[int, int]:
    """Of each stage whose output is added to a later map: how many of its rows have to be kept at a time.

    Goes through the rows in the order of the C, whose loop this is.
    """
    readers: dict[int, list[int]] = {}
    for number, stage in enumerate(stages):
        if stage.adds is not None:
            readers.setdefault(stage.adds, []).append(number)
    kept = dict.fromkeys(readers, 1)
    if not readers:
        return kept
    n = len(stages)
    rows = [stage.pad[0] for stage in stages] + [0]
    need = [stage.rows for stage in stages]
    given, part = [0] * (n + 1), [0] * n
    height = stages[0].shape[1]
    while not rows[n]:
        s = next(
            (s for s in range(n - 1, -1, -1) if rows[s] >= need[s] or given[s + 1] == _height(stages, s)), -1
        )
        if given[s + 1] == (height if s < 0 else _height(stages, s)):
            rows[s + 1] += 1  # of padding
            continue
        if s < 0:
            rows[0] += 1
            given[0] += 1
            continue
        stage = stages[s]
        need[s] = max(stage.reach, stage.down[0])
        part[s] += 1
        if part[s] == stage.pool[0]:
            rows[s + 1] += 1
            given[s + 1] += 1
            for reader in readers.get(s, ()):
                kept[s] = max(kept[s], given[s + 1] - given[reader + 1])
        part[s] %= stage.step[0]
        rows[s] -= stage.down[0]
    return kept


def _height(stages: Sequence[Stage], s: int) -> int:
    return stages[s].out_shape[1]
