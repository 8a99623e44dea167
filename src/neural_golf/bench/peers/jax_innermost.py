"""JAX, with the images innermost as in our engine: a map is [channel, row, column, image].

A convolution is one product with the columns of all windows (im2col), or a sum over the places of the kernel
(shift and add). The steps of an epoch are one `scan` in one `jit`.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from neural_golf.bench.peers.peer import NORMAL, Evaluation, Training, Vector, Work
from neural_golf.net.kind import Layer
from neural_golf.net.spec import Network

__all__ = ["evaluate", "train"]

GROUP = 32  # images that are looked at together, if a batch has a multiple of it: their maps fit into a cache
Convolution = Callable[[Any, Any], Any]  # weight [out, in, k, k], map [in, rows, columns, images]


def im2col(weight: Any, x: Any) -> Any:
    import jax.numpy as jnp

    out, _, *kernel = weight.shape
    columns = jnp.stack(_shifted(x, kernel), 1)  # [in, places, rows, columns, images]
    rows = columns.shape[2:]
    return (weight.reshape(out, -1) @ columns.reshape(-1, np.prod(rows))).reshape(out, *rows)


def shift_and_add(weight: Any, x: Any) -> Any:
    import jax.numpy as jnp

    out, _, *kernel = weight.shape
    places = weight.reshape(out, x.shape[0], -1)
    shifted = _shifted(x, kernel)
    return sum(jnp.einsum("oi,iyxb->oyxb", places[:, :, k], part) for k, part in enumerate(shifted))


def _shifted(x: Any, kernel: list[int]) -> list[Any]:
    """The map as each place of a kernel sees it."""
    rows, columns = x.shape[1] - kernel[0] + 1, x.shape[2] - kernel[1] + 1
    return [x[:, a : a + rows, b : b + columns] for a in range(kernel[0]) for b in range(kernel[1])]


def _pooled(layer: Layer, x: Any) -> Any:
    (a, b), (channels, rows, columns) = layer.kernel, layer.out_shape
    x = x[:, : rows * a, : columns * b]
    return x.reshape(channels, rows, a, columns, b, x.shape[-1]).max((2, 4))


def logits(network: Network, convolution: Convolution, parameters: Any, x: Any) -> Any:
    """Logits [classes, images] of uint8 images [channels, rows, columns, images]."""
    import jax.numpy as jnp

    def tensor(of: Any) -> Any:
        return parameters[of.slice].reshape(of.shape)

    x = (x.astype(jnp.float32) / 255 - NORMAL[0]) / NORMAL[1]
    for layer in network.layers:
        match layer.kind:
            case "conv":
                x = convolution(tensor(layer.weight), x) + tensor(layer.bias)[:, None, None, None]
            case "prelu":
                x = jnp.where(x > 0, x, tensor(layer.weight)[:, None, None, None] * x)
            case "maxpool":
                x = _pooled(layer, x)
            case "linear":
                x = tensor(layer.weight) @ x.reshape(-1, x.shape[-1]) + tensor(layer.bias)[:, None]
    return x


def train(convolution: Convolution) -> Callable[[Training], Work]:
    def work(task: Training) -> Work:
        import jax
        import jax.numpy as jnp

        def loss(parameters: Any, x: Any, y: Any) -> Any:
            scores = jax.nn.log_softmax(logits(task.network, convolution, parameters, x), 0)
            return -jnp.take_along_axis(scores, y[None], 0).mean()

        groups = task.batch // GROUP if task.batch % GROUP == 0 else 1

        def gradient(p: Any, x: Any, y: Any) -> Any:
            """The mean over groups of images, whose maps stay in the cache."""
            parts = jnp.moveaxis(x.reshape(*x.shape[:-1], groups, -1), -2, 0), y.reshape(groups, -1)

            def add(total: Any, part: Any) -> Any:
                return total + jax.grad(loss)(p, *part) / groups, None

            return jax.lax.scan(add, jnp.zeros_like(p), parts)[0]

        def step(state: Any, part: Any) -> Any:
            p, m, v, t = state
            g = gradient(p, *part)
            m, v, t = 0.9 * m + 0.1 * g, 0.999 * v + 0.001 * g * g, t + 1
            size = task.rate / (1 - 0.9**t)
            return (p - size * m / (jnp.sqrt(v / (1 - 0.999**t)) + 1e-8), m, v, t), None

        @jax.jit  # type: ignore[untyped-decorator, unused-ignore]
        def steps(start: Any, images: Any, labels: Any, rows: Any) -> Any:
            chosen = images[rows].reshape(task.steps, task.batch, *images.shape[1:])
            batches = jnp.moveaxis(chosen, 1, -1), labels[rows].reshape(task.steps, task.batch)
            zero = jnp.zeros_like(start)
            return jax.lax.scan(step, (start, zero, zero, jnp.float32(0)), batches)[0][0]

        rows = np.resize(task.rows, task.steps * task.batch).astype(np.int32)
        given = [jax.device_put(a) for a in (task.start, task.data[0], task.data[1].astype(np.int32), rows)]

        def run() -> Vector:
            return np.asarray(steps(*given))

        run()
        return Work(run, task.epoch / task.steps, task.steps)

    return work


def evaluate(convolution: Convolution) -> Callable[[Evaluation, int], Work]:
    def work(task: Evaluation, batch: int) -> Work:
        import jax
        import jax.numpy as jnp

        whole = len(task.data[0]) // batch * batch

        @jax.jit  # type: ignore[untyped-decorator, unused-ignore]
        def right(parameters: Any, images: Any, labels: Any) -> Any:
            def some(total: Any, part: Any) -> Any:
                x, y = part
                scores = logits(task.network, convolution, parameters, jnp.moveaxis(x, 0, -1))
                return total + (scores.argmax(0) == y).sum(), None

            parts = images[:whole].reshape(-1, batch, *images.shape[1:]), labels[:whole].reshape(-1, batch)
            total = jax.lax.scan(some, 0, parts)[0]
            return some(total, (images[whole:], labels[whole:]))[0] if whole < len(images) else total

        given = [jax.device_put(a) for a in (task.parameters, *task.data)]

        def run() -> int:
            return int(right(*given))

        run()
        return Work(run)

    return work
