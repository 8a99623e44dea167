"""What every core offers: the checks of its input, and plain versions of all that can be written plainly.

A core implements `_logits` and `_loss_gradient`. The rest is written here once in terms of these
two, slowly and readably; the compiled core overrides it with something faster and must agree.
"""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from neural_golf.base.errors import GolfError
from neural_golf.engine.form import canonical
from neural_golf.net.spec import Network

__all__ = ["Engine", "Floats", "Integers", "Mask", "Progress"]

Floats = NDArray[np.float32]
Integers = NDArray[np.int64]
Mask = NDArray[np.bool_]
Pixels = NDArray[Any]  # uint8 or float32, [N, channels, height, width] or [N, pixels]
Progress = Callable[[int, int, int], None]  # candidates done, zeroed so far, correct now


class Engine(ABC):
    """One network, ready to compute. Parameters are one float32 vector [n], as in `Network`.

    In all methods: `images` is uint8 or float32 [N, channels, height, width] or [N, pixels];
    `index` (int64 [n], default all) takes rows of images and targets; `targets` are integer
    labels [N] or soft targets float32 [N, classes]. Where gradients take a `mask` (bool [n_params]),
    the others are not wanted and are exactly 0. Wrong shapes, labels or indices out of range and NaN
    or Inf in any input raise GolfError.
    """

    core: str

    def __init__(self, network: Network, mean: float, std: float, threads: int) -> None:
        self.network = network
        self.mean = mean
        self.std = std
        self.threads = threads

    # What a core computes. Inputs are checked, targets are already the rows of `index`.

    @abstractmethod
    def _logits(self, parameters: Floats, images: Pixels, index: Integers | None) -> Floats: ...

    @abstractmethod
    def _loss_gradient(
        self,
        parameters: Floats,
        images: Pixels,
        targets: NDArray[Any],
        index: Integers | None,
        smoothing: float,
        mask: Mask | None = None,
    ) -> tuple[float, Floats]: ...

    # What the project calls.

    def seen(self, images: Pixels) -> Pixels:
        """Images as the layers see them: where the network has a form, uint8 images in it, as float32.

        Every method does so by itself, with the rows that it needs; do it before where images are shown
        often. float32 images are taken for such as are seen already.
        """
        return self._shown(self._images(images), None)[0]

    def logits(self, parameters: Floats, images: Pixels, index: Integers | None = None) -> Floats:
        """Scores before softmax, float32 [n, classes]."""
        images = self._images(images)
        shown, index = self._shown(images, self._index(index, images))
        return self._logits(self._parameters(parameters), shown, index)

    def correct(self, parameters: Floats, images: Pixels, labels: Integers) -> int:
        """How many of the N images get their label; of equal logits the first one counts."""
        images = self.seen(images)
        labels = self._labels(labels, images)
        return self._correct(self._parameters(parameters), images, labels)

    def loss_gradient(
        self,
        parameters: Floats,
        images: Pixels,
        targets: NDArray[Any],
        index: Integers | None = None,
        smoothing: float = 0.0,
        mask: Mask | None = None,
    ) -> tuple[float, Floats]:
        """Mean cross-entropy (nats) of the n images, and its gradient, float32 [n_params].

        With `smoothing` s the targets are (1 - s) t + s / classes (Szegedy et al. 2016,
        arXiv:1512.00567).
        """
        images = self._images(images)
        index = self._index(index, images)
        targets = self._targets(targets, images, index, smoothing)
        if not len(targets):
            raise GolfError("engine: the mean loss of no images does not exist")
        self._mask(mask)
        images, index = self._shown(images, index)
        return self._loss_gradient(self._parameters(parameters), images, targets, index, smoothing, mask)

    def micro_gradients(
        self,
        parameters: Floats,
        images: Pixels,
        targets: NDArray[Any],
        index: Integers | None,
        micro_batch: int,
        mask: Mask | None = None,
    ) -> Floats:
        """Gradients of the mean loss of every `micro_batch` images in turn, float32 [m, n_params].

        Their second moment is the empirical Fisher matrix. Raises GolfError where `micro_batch`
        does not divide the number of images.
        """
        images = self._images(images)
        index = self._index(index, images)
        targets = self._targets(targets, images, index, 0.0)
        if micro_batch < 1 or len(targets) % micro_batch:
            raise GolfError(f"engine: {len(targets)} images do not make whole micro-batches of {micro_batch}")
        self._mask(mask)
        images, index = self._shown(images, index)
        return self._micro_gradients(self._parameters(parameters), images, targets, index, micro_batch, mask)

    def adam_epoch(
        self,
        parameters: Floats,
        m: Floats,
        v: Floats,
        step: int,
        images: Pixels,
        targets: NDArray[Any],
        order: Integers,
        batch: int,
        lr: float | NDArray[Any],
        betas: tuple[float, float] = (0.9, 0.999),
        eps: float = 1e-8,
        mask: Mask | None = None,
        smoothing: float = 0.0,
    ) -> float:
        """One pass of Adam over images[order] in batches; returns the mean loss over the images.

        `parameters`, `m` and `v` (float32 [n_params]) change in place; `step` counts the updates
        made before, so the caller adds ceil(len(order) / batch) for the next call. `lr` is a number
        or one number per update. Parameters outside `mask` are set to +0.0 and stay there.

        The update is PyTorch's torch.optim.Adam (Kingma & Ba 2015, arXiv:1412.6980, algorithm 1):
        p -= lr / (1 - β₁ᵗ) · m / (√v / √(1 - β₂ᵗ) + ε).
        """
        images = self._images(images)
        for name, vector in (("parameters", parameters), ("m", m), ("v", v)):
            if not (
                isinstance(vector, np.ndarray)
                and vector.dtype == np.float32
                and vector.shape == (self.network.size,)
                and vector.flags.c_contiguous
                and vector.flags.writeable
            ):
                raise GolfError(f"engine: {name} must be a writeable float32 vector [{self.network.size}]")
            self._parameters(vector, name)
        index = self._index(order, images)
        assert index is not None
        targets = self._targets(targets, images, index, smoothing)
        if batch < 1 or not len(index):
            raise GolfError(f"engine: batch {batch} and {len(index)} images; both must be at least 1")
        steps = -(-len(index) // batch)
        rates = np.asarray(lr, np.float64)
        rates = np.full(steps, rates) if rates.ndim == 0 else np.ascontiguousarray(rates)
        if rates.shape != (steps,) or not np.isfinite(rates).all():
            raise GolfError(f"engine: lr must be a finite number or {steps} of them, one per update")
        if not (0 <= betas[0] < 1 and 0 <= betas[1] < 1 and eps >= 0 and step >= 0):
            raise GolfError(f"engine: Adam with betas {betas}, eps {eps}, step {step} is not defined")
        self._mask(mask)
        if mask is not None:
            for vector in (parameters, m, v):
                vector[~mask] = 0.0
        images, shown = self._shown(images, index)
        assert shown is not None
        return self._adam_epoch(
            parameters, m, v, step, images, targets, shown, batch, rates, betas, eps, mask, smoothing
        )

    def zero_one_by_one(
        self,
        parameters: Floats,
        candidates: Integers,
        images: Pixels,
        labels: Integers,
        threshold: int,
        progress: Progress | None = None,
        every: int = 64,
    ) -> Mask:
        """One pass over `candidates` (parameter indices, in this order); returns a mask [n_params].

        Each is set to zero and stays zero where `correct` is still at least `threshold` (a count of
        images); else it is restored. The mask is False where a candidate was zeroed. `progress` is
        called after each zero that stays, after every `every` candidates and at the end. To resume,
        pass the masked parameters and the candidates that are left: no other state exists.
        """
        images = self.seen(images)
        labels = self._labels(labels, images)
        candidates = self._candidates(candidates)
        parameters = self._parameters(parameters).copy()
        return self._zero_one_by_one(parameters, candidates, images, labels, int(threshold), progress, every)

    def zero_alone(
        self, parameters: Floats, candidates: Integers, images: Pixels, labels: Integers
    ) -> tuple[Integers, NDArray[np.float64]]:
        """What each candidate is worth: (correct [k], mean loss [k]) with that one alone at zero."""
        images = self.seen(images)
        labels = self._labels(labels, images)
        return self._zero_alone(self._parameters(parameters), self._candidates(candidates), images, labels)

    # The plain versions.

    def _correct(self, parameters: Floats, images: Pixels, labels: Integers) -> int:
        logits = self._logits(parameters, images, None)
        return int((logits.argmax(axis=1) == labels).sum())

    def _micro_gradients(
        self,
        parameters: Floats,
        images: Pixels,
        targets: NDArray[Any],
        index: Integers | None,
        micro_batch: int,
        mask: Mask | None = None,
    ) -> Floats:
        index = np.arange(len(targets)) if index is None else index
        out = np.empty((len(targets) // micro_batch, self.network.size), np.float32)
        for row in range(len(out)):
            part = slice(row * micro_batch, (row + 1) * micro_batch)
            out[row] = self._loss_gradient(parameters, images, targets[part], index[part], 0.0, mask)[1]
        return out

    def _adam_epoch(
        self,
        parameters: Floats,
        m: Floats,
        v: Floats,
        step: int,
        images: Pixels,
        targets: NDArray[Any],
        order: Integers,
        batch: int,
        lr: NDArray[np.float64],
        betas: tuple[float, float],
        eps: float,
        mask: Mask | None,
        smoothing: float,
    ) -> float:
        total = 0.0
        for k, start in enumerate(range(0, len(order), batch)):
            rows = slice(start, start + batch)
            loss, gradient = self._loss_gradient(
                parameters, images, targets[rows], order[rows], smoothing, mask
            )
            total += loss * len(order[rows])
            t = step + k + 1
            m += np.float32(1 - betas[0]) * (gradient - m)
            v *= np.float32(betas[1])
            v += np.float32(1 - betas[1]) * gradient * gradient
            root = np.sqrt(v) / np.float32(math.sqrt(1 - betas[1] ** t)) + np.float32(eps)
            parameters -= np.float32(lr[k] / (1 - betas[0] ** t)) * (m / root)
        return total / len(order)

    def _zero_one_by_one(
        self,
        parameters: Floats,
        candidates: Integers,
        images: Pixels,
        labels: Integers,
        threshold: int,
        progress: Progress | None,
        every: int,
    ) -> Mask:
        mask = np.ones(self.network.size, np.bool_)
        now, zeroed = self._correct(parameters, images, labels), 0
        for done, q in enumerate(candidates, start=1):
            before = parameters[q]
            parameters[q] = 0.0
            count = self._correct(parameters, images, labels)
            stays = count >= threshold
            if stays:
                now, zeroed, mask[q] = count, zeroed + 1, False
            else:
                parameters[q] = before
            if progress and (stays or done % every == 0 or done == len(candidates)):
                progress(done, zeroed, now)
        return mask

    def _zero_alone(
        self, parameters: Floats, candidates: Integers, images: Pixels, labels: Integers
    ) -> tuple[Integers, NDArray[np.float64]]:
        correct = np.empty(len(candidates), np.int64)
        loss = np.empty(len(candidates), np.float64)
        for k, q in enumerate(candidates):
            changed = parameters.copy()
            changed[q] = 0.0
            logits = self._logits(changed, images, None).astype(np.float64)
            logits -= logits.max(axis=1, keepdims=True)
            correct[k] = (logits.argmax(axis=1) == labels).sum()
            picked = logits[np.arange(len(labels)), labels]
            loss[k] = (np.log(np.exp(logits).sum(axis=1)) - picked).mean()
        return correct, loss

    # The checks.

    def _parameters(self, parameters: Floats, name: str = "parameters") -> Floats:
        vector = np.ascontiguousarray(parameters, np.float32)
        if vector.shape != (self.network.size,):
            raise GolfError(f"engine: {name} of shape {vector.shape}, not [{self.network.size}]")
        if not np.isfinite(vector).all():
            raise GolfError(f"engine: {name} {int(np.argmin(np.isfinite(vector)))} is not a finite number")
        return vector

    def _mask(self, mask: Mask | None) -> None:
        if mask is not None and (mask.shape != (self.network.size,) or mask.dtype != np.bool_):
            raise GolfError(f"engine: mask must be a boolean vector [{self.network.size}]")

    def _images(self, images: Pixels) -> Pixels:
        shape = self.network.in_shape
        pixels = math.prod(shape)
        if images.dtype not in (np.uint8, np.float32):
            raise GolfError(f"engine: images of type {images.dtype}, not uint8 or float32")
        if images.shape[1:] not in (shape, (pixels,)):
            raise GolfError(f"engine: images of shape {images.shape}, not [N, {', '.join(map(str, shape))}]")
        return np.ascontiguousarray(images)

    def _shown(self, images: Pixels, index: Integers | None) -> tuple[Pixels, Integers | None]:
        """What `seen` makes of images[index], and the index of these rows."""
        form, shape = self.network.form, self.network.in_shape
        if form is None or images.dtype != np.uint8:
            return images, index
        maps = images.reshape(-1, *shape)
        rows = canonical(maps, form, index, mean=self.mean, std=self.std, threads=self.threads)
        return rows, None if index is None else np.arange(len(rows))

    @staticmethod
    def _index(index: Integers | None, images: Pixels) -> Integers | None:
        if index is None:
            return None
        rows = np.ascontiguousarray(index, np.int64)
        if rows.ndim != 1:
            raise GolfError(f"engine: an index of shape {rows.shape}, not [n]")
        if len(rows) and (rows.min() < 0 or rows.max() >= len(images)):
            raise GolfError(f"engine: index {rows.min()} … {rows.max()} leaves the {len(images)} images")
        return rows

    def _targets(
        self, targets: NDArray[Any], images: Pixels, index: Integers | None, smoothing: float
    ) -> NDArray[Any]:
        if not 0 <= smoothing < 1:
            raise GolfError(f"engine: smoothing {smoothing} is not between 0 and 1")
        classes = self.network.classes
        if targets.ndim == 1 and np.issubdtype(targets.dtype, np.integer):
            return self._labels(targets, images, index)
        if targets.shape != (len(images), classes) or not np.issubdtype(targets.dtype, np.floating):
            raise GolfError(
                f"engine: targets of shape {targets.shape}, type {targets.dtype}, for {len(images)} images; "
                f"integers [N] or float32 [N, {classes}] are needed"
            )
        soft = np.ascontiguousarray(targets if index is None else targets[index], np.float32)
        if not np.isfinite(soft).all():
            raise GolfError("engine: a soft target is not a finite number")
        return soft

    def _labels(self, labels: NDArray[Any], images: Pixels, index: Integers | None = None) -> Integers:
        if labels.shape != (len(images),) or not np.issubdtype(labels.dtype, np.integer):
            raise GolfError(
                f"engine: labels of shape {labels.shape} and type {labels.dtype}, "
                f"not {len(images)} integers, one per image"
            )
        rows = np.ascontiguousarray(labels if index is None else labels[index], np.int64)
        if len(rows) and (rows.min() < 0 or rows.max() >= self.network.classes):
            raise GolfError(f"engine: labels {rows.min()} … {rows.max()} of {self.network.classes} classes")
        return rows

    def _candidates(self, candidates: Integers) -> Integers:
        rows = np.ascontiguousarray(candidates, np.int64)
        if rows.ndim != 1 or (len(rows) and (rows.min() < 0 or rows.max() >= self.network.size)):
            raise GolfError(f"engine: candidates must be parameter indices below {self.network.size}")
        return rows
