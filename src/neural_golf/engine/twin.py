"""The PyTorch twin: the same interface with the modules of `modules`.

It is the reference the compiled core is tested against (in float64, `dtype="float64"`). It is used
where nothing could be compiled, and for networks with dropout (which is active only in gradients).
"""

from __future__ import annotations

import threading
from typing import Any, Literal

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional as F

from neural_golf.base.errors import GolfError
from neural_golf.engine.interface import Engine, Floats, Integers, Mask, Pixels
from neural_golf.engine.modules import sequential
from neural_golf.net.spec import Network

__all__ = ["Twin"]


class Twin(Engine):
    """Network evaluated with PyTorch; see `Engine` for the interface."""

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
        plain, self._source = network, None  # with turned kernels: unrolled, and what stands where
        if network.equivariant:
            plain, source = network.unrolled()
            self._source = torch.from_numpy(source)
        with torch.device("meta"):  # parameters without storage: every call brings its own
            self._module = sequential(plain.layers)
        names = [name for name, _ in self._module.named_parameters()]
        self._tensors = dict(zip(names, plain.tensors, strict=True))
        self._busy = threading.Lock()  # while PyTorch computes, the module holds this call's parameters
        torch.set_num_threads(threads)

    def forward(self, parameters: Tensor, x: Tensor, training: bool = False) -> Tensor:
        """Logits [n, classes] of normalised images x [n, channels, height, width]."""
        if self._source is not None:
            parameters = parameters[self._source]
        named = {name: parameters[t.slice].view(t.shape) for name, t in self._tensors.items()}
        with self._busy:
            logits: Tensor = torch.func.functional_call(self._module.train(training), named, (x,))
        return logits

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
