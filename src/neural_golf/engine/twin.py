"""The PyTorch twin: the same interface in the words of torch.nn.functional.

It is the reference the compiled core is tested against (in float64, `dtype="float64"`), and what
runs where nothing could be compiled, or where a network has dropout (active in gradients only).
"""

from __future__ import annotations

from typing import Any, Literal

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional as F

from neural_golf.base.errors import GolfError
from neural_golf.engine.interface import Engine, Floats, Integers, Mask, Pixels
from neural_golf.net.spec import Network

__all__ = ["Twin"]


class Twin(Engine):
    """Network evaluated layer by layer with PyTorch; see `Engine` for the interface."""

    core = "torch"

    def __init__(
        self,
        network: Network,
        mean: float = 0.0,
        std: float = 1.0,
        threads: int = 1,
        dtype: Literal["float32", "float64"] = "float32",
    ) -> None:
        super().__init__(network, mean, std, threads)
        self.dtype = torch.float64 if dtype == "float64" else torch.float32
        self._plain, self._source = network, None  # with turned kernels: unrolled, and what stands where
        if network.equivariant:
            self._plain, source = network.unrolled()
            self._source = torch.from_numpy(source)
        torch.set_num_threads(threads)

    def forward(self, parameters: Tensor, x: Tensor, training: bool = False) -> Tensor:
        """Logits [n, classes] of normalised images x [n, channels, height, width]."""
        if self._source is not None:
            parameters = parameters[self._source]
        named = {t.name: parameters[t.slice].view(t.shape) for t in self._plain.tensors}
        for layer in self._plain.layers:
            weight = named[layer.weight.name] if layer.weight else torch.empty(0)
            bias = named[layer.bias.name] if layer.bias else None
            match layer.kind:
                case "conv":
                    x = F.conv2d(x, weight, bias, padding=layer.pad, groups=layer.groups)
                case "linear":
                    x = F.linear(x.flatten(1), weight, bias)[:, :, None, None]
                case "relu":
                    x = F.relu(x)
                case "abs":
                    x = x.abs()
                case "leaky":
                    x = F.leaky_relu(x, layer.value)
                case "prelu":
                    x = F.prelu(x, weight)
                case "maxpool":
                    x = F.max_pool2d(x, layer.kernel)
                case "avgpool":
                    x = F.avg_pool2d(x, layer.kernel)
                case "gap":
                    x = x.mean(dim=(2, 3), keepdim=True)
                case "norm":
                    x = F.instance_norm(x, eps=1e-5)
                case "dropout":
                    x = F.dropout(x, layer.value, training)
                case kind:
                    raise GolfError(f"the PyTorch core does not know the layer {kind!r}")
        return x.flatten(1)

    def _input(self, images: Pixels, index: Integers | None) -> Tensor:
        rows = images if index is None else images[index]
        x = torch.from_numpy(rows).view(-1, *self.network.in_shape).to(self.dtype)
        if rows.dtype == np.uint8:
            return (x / 255 - self.mean) / self.std
        if not bool(torch.isfinite(x).all()):
            raise GolfError("engine: an image has a value that is not a finite number")
        return x

    def _logits(self, parameters: Floats, images: Pixels, index: Integers | None) -> Floats:
        return self.exact_logits(parameters, images, index).astype(np.float32)

    def exact_logits(self, parameters: Floats, images: Pixels, index: Integers | None = None) -> NDArray[Any]:
        """Logits [n, classes] in the twin's own precision."""
        rows = np.arange(len(images)) if index is None else index
        p = torch.from_numpy(parameters).to(self.dtype)
        with torch.no_grad():
            parts = [
                self.forward(p, self._input(images, rows[i : i + 1024])).numpy()
                for i in range(0, len(rows), 1024)
            ]
        return np.concatenate([np.empty((0, self.network.classes), np.float32), *parts])

    def _loss_gradient(
        self,
        parameters: Floats,
        images: Pixels,
        targets: NDArray[Any],
        index: Integers | None,
        smoothing: float,
        mask: Mask | None = None,
    ) -> tuple[float, Floats]:
        loss, gradient = self.exact_loss_gradient(parameters, images, targets, index, smoothing)
        wanted = gradient if mask is None else np.where(mask, gradient, 0.0)
        return loss, wanted.astype(np.float32)

    def exact_loss_gradient(
        self,
        parameters: Floats,
        images: Pixels,
        targets: NDArray[Any],
        index: Integers | None = None,
        smoothing: float = 0.0,
    ) -> tuple[float, NDArray[Any]]:
        """Mean loss and gradient [n_params] in the twin's own precision; targets are rows of index."""
        p = torch.tensor(parameters, dtype=self.dtype, requires_grad=True)
        t = torch.from_numpy(targets)
        t = t.to(self.dtype) if t.is_floating_point() else t
        logits = self.forward(p, self._input(images, index), training=True)
        loss = F.cross_entropy(logits, t, label_smoothing=smoothing)
        if not bool(torch.isfinite(loss)):
            raise GolfError("engine: the loss is no longer a finite number; a lower learning rate may help")
        (gradient,) = torch.autograd.grad(loss, p, materialize_grads=True)
        return float(loss.detach()), gradient.numpy()
