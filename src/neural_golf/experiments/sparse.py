"""How fast the engine is when most weights are gone, and how the surgeon's time grows with what is left.

`python -m neural_golf.experiments.sparse`, in a checkout, writes a table and a picture of docs/engine.md.
"""

from __future__ import annotations

import re
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np

from neural_golf.base.files import write_bytes
from neural_golf.compress.surgeon import blocks, operate
from neural_golf.engine import _core
from neural_golf.engine.compiled import Compiled
from neural_golf.net.parameters import initialise
from neural_golf.net.spec import Network

__all__ = ["live_multiply_adds", "main"]

PAGE, PICTURE = Path("docs/engine.md"), Path("docs/engine-sparse.svg")
NETWORK = (  # that of golf98
    "conv 8 k5 turns mirrors", "abs", "maxpool 2", "conv 8 k3 same turns mirrors", "abs", "maxpool 2 s1",
    "conv 16 k3 d2 turns mirrors", "abs", "avgpool 3 s2", "linear 10",
)  # fmt: skip
ALIVE = (86, 120, 200, 300, 430, 600, 860, 1200, 1723)
WEIGHTS = (250, 500, 1000, 2000, 2500, 5000, 10000, 50000)
IMAGES = 256


def live_multiply_adds(network: Network, parameters: np.ndarray) -> tuple[int, int]:
    """Multiply-adds per image with weights that are not 0: of the scores, and of a gradient.

    A gradient is the scores, the weights' gradients and, but for the first layer, that of what goes in.

    >>> network = Network.parse(["conv 2 k5 nobias", "linear 10 nobias"])
    >>> live_multiply_adds(network, np.ones(network.size))
    (40320, 92160)
    """
    plain, source = network.unrolled() if network.equivariant else (network, None)
    unrolled = parameters if source is None else parameters[source]
    scores = gradient = 0
    for layer in plain.layers:
        if layer.weight is None or layer.kind not in ("conv", "linear"):
            continue
        count = int(np.count_nonzero(unrolled[layer.weight.slice])) * layer.out_shape[1] * layer.out_shape[2]
        gradient += count * (3 if scores else 2)
        scores += count
    return scores, gradient


def _seconds(call: Callable[[], object], rounds: int = 100) -> float:
    """Of one call: the fourth percentile of many, which other work on the machine hardly moves."""
    call()
    times = []
    for _ in range(rounds):
        begin = time.perf_counter()
        call()
        times.append(time.perf_counter() - begin)
    return float(np.percentile(times, 4))


def _speeds(core: Compiled) -> list[tuple[int, float, float, float]]:
    """For each of ALIVE: it, seconds per image of a gradient, of the scores, and its multiply-adds."""
    network, rng = core.network, np.random.default_rng(0)
    images = rng.integers(0, 256, (IMAGES, *network.in_shape)).astype(np.uint8)
    images[..., :4], images[..., -4:], images[:, :, :4], images[:, :, -4:] = (
        0,
        0,
        0,
        0,
    )  # a border, as MNIST has
    labels = rng.integers(0, network.classes, IMAGES)
    full = initialise(network, rng)
    rows = []
    for alive in ALIVE:
        mask = np.zeros(network.size, bool)
        mask[rng.permutation(network.size)[:alive]] = True
        parameters = np.where(mask, np.where(full == 0, 0.1, full), 0).astype(np.float32)

        def gradient(p: np.ndarray = parameters, m: np.ndarray = mask) -> object:
            return core.loss_gradient(p, images, labels, mask=m)

        def scores(p: np.ndarray = parameters) -> object:
            return core.logits(p, images)

        work = live_multiply_adds(network, parameters)[1]
        rows.append((alive, _seconds(gradient) / IMAGES, _seconds(scores) / IMAGES, float(work)))
    return rows


def _removals(network: Network) -> list[tuple[int, int, float, float]]:
    """(weights, blocks, MiB of their inverse, seconds to remove a tenth of them) for each of WEIGHTS."""
    rng, rows = np.random.default_rng(0), []
    for n in WEIGHTS:
        alive = np.sort(rng.permutation(network.size)[:n])
        sizes = [part.stop - part.start for part in blocks(network, alive)]
        samples = rng.normal(size=(max(sizes) + 100, max(sizes)))
        curvature = samples.T @ samples / len(samples)
        matrices = [curvature[:size, :size] for size in sizes]
        begin = time.process_time()
        operate(rng.normal(size=n), matrices, n // 10, 1e-3)
        took = time.process_time() - begin
        rows.append((n, len(sizes), sum(size**2 for size in sizes) * 8 / 2**20, took))
    return rows


def _draw(rows: list[tuple[int, float, float, float]], peak: float) -> bytes:
    import io

    import matplotlib as mpl
    from matplotlib.figure import Figure

    with mpl.rc_context({"svg.hashsalt": "sparse", "svg.fonttype": "path"}):
        figure = Figure(figsize=(6, 3.6), layout="constrained")
        axes = figure.add_subplot()
        alive = [row[0] for row in rows]
        axes.plot(alive, [row[1] * 1e6 for row in rows], "o-", color="black", label="gradient")
        axes.plot(alive, [row[2] * 1e6 for row in rows], "o--", color="black", label="scores")
        bound = [row[3] / peak * 1e6 for row in rows]
        axes.plot(alive, bound, ":", color="gray", label="the gradient's multiply-adds at the core's peak")
        axes.set(
            xlabel=f"parameters that are not 0, of {rows[-1][0]:,}",
            ylabel="µs per image, one thread",
            ylim=(0, None),
        )
        axes.spines[["top", "right"]].set_visible(False)
        axes.legend(frameon=False)
        out = io.BytesIO()
        figure.savefig(out, format="svg", metadata={"Date": None})
    return out.getvalue()


def _table(
    rows: list[tuple[int, float, float, float]],
    removals: list[tuple[int, int, float, float]],
    peak: float,
    core: Compiled,
) -> str:
    lines = [
        "| parameters that are not 0 | gradient, µs per image | scores, µs per image | share of the peak |"
    ]
    lines += ["|---:|---:|---:|---:|"]
    for alive, gradient, scores, work in rows:
        share = work / gradient / peak
        lines.append(
            f"| {alive:,} | {gradient * 1e6:.1f} | {scores * 1e6:.1f} | {share:.0%} |".replace("%", " %")
        )
    lines += [
        "",
        f"Batches of {IMAGES}, {core.instructions}, one thread; {peak / 1e9:.0f} billion per second at most.",
        "",
    ]
    lines += [
        "| weights | blocks | MiB of their matrices | seconds to remove a tenth |",
        "|---:|---:|---:|---:|",
    ]
    lines += [f"| {n:,} | {count} | {mib:.0f} | {seconds:.2f} |" for n, count, mib, seconds in removals]
    return "\n".join(lines)


def main() -> None:
    """Measure, and write the table and the picture."""
    core = Compiled(Network.parse(NETWORK))
    count = _core.peak(200_000, core.instructions)
    peak = count / _seconds(lambda: _core.peak(200_000, core.instructions))
    rows = _speeds(core)
    large = Network.parse(
        ("conv 16 k5", "abs", "maxpool 2", "conv 48 k3", "abs", "conv 96 k3", "abs", "maxpool 4", "linear 10")
    )
    table = _table(rows, _removals(large), peak, core)
    text = PAGE.read_text(encoding="utf-8")
    begin, end = (
        "<!-- sparse: written by `python -m neural_golf.experiments.sparse` -->",
        "<!-- end of sparse -->",
    )
    found = re.compile(re.escape(begin) + ".*?" + re.escape(end), re.DOTALL)
    write_bytes(PAGE, found.sub(lambda _: f"{begin}\n\n{table}\n\n{end}", text).encode())
    write_bytes(PICTURE, _draw(rows, peak))


if __name__ == "__main__":
    main()
