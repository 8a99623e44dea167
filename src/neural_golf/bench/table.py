"""The benchmark's record as Markdown; every number comes from the record."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from neural_golf.bench.peers import PEERS

__all__ = ["line", "table"]


def line(record: Mapping[str, Any]) -> str:
    """One sentence: the engine beside the strongest peer of each task."""
    factors = " and ".join(
        f"{_factor(task['1'])} times (batch {task['1']['batch']}, {_title(_strongest(task['1']['seconds']))})"
        for task in record["training"]
    )
    judged = record["evaluation"]["1"]
    return (
        f"On one thread it trains {factors} as fast as the strongest peers that were measured, and it "
        f"evaluates {_factor(judged)} times ({_title(_strongest(judged['seconds']))}) as fast.\n"
    )


def table(record: Mapping[str, Any]) -> str:
    """The record as Markdown."""
    training, evaluation, zeroing = record["training"], record["evaluation"], record["zeroing"]
    machine, memory, growth = record["machine"], record["memory"], record["growth"]
    versions = {"torch": "PyTorch", "jax": "JAX", "onnxruntime": "onnxruntime"}
    told = [
        f"{name} {machine['versions'][key]}" for key, name in versions.items() if machine["versions"][key]
    ]
    one = [task["1"] for task in training]
    peak = record["peak_multiply_adds_per_second"]
    shares = " and ".join(
        f"{100 * t['multiply_adds_per_second'] / peak:.0f} % (batch {t['batch']})" for t in one
    )
    lines = [*_trained(training), "", *_evaluated(evaluation), "", *_zeroed(zeroing), ""]
    lines += [
        f"{machine['processor']}, {machine['instructions']}, {', '.join(told)}. One thread unless said: CPU "
        "seconds; several threads: seconds on the wall. Each is the median of runs in turns. Of an epoch a "
        f"peer does {' and '.join(str(_steps(t)) for t in one)} steps, scaled up. {_missing(record)}",
        "",
        f"Training does {one[0]['multiply_adds_per_second'] / 1e9:.1f} billion multiply-adds per second at "
        f"batch {one[0]['batch']}; the core's measured peak is {peak / 1e9:.1f}: {shares}. A study as the "
        f"ladder's makes {record['study']['trials_per_minute']:.1f} trials of "
        f"{record['study']['epochs_of_a_trial']} epochs per minute. Peak memory: {memory['training']:.0f} "
        f"MiB in training and {memory['sweep']:.0f} MiB in the sweep, of which {memory['data']:.0f} MiB are "
        "Python and the images.",
        "",
        f"| parameters | seconds per epoch of {growth['parameters'][0]['images']:,.0f} images "
        "| 10⁹ multiply-adds / s |",
        "|---:|---:|---:|",
        *(f"| {g['parameters']:,.0f} | {_s(g['seconds'])} | {g['multiply_adds_per_second'] / 1e9:.1f} |"
          for g in growth["parameters"]),
        "",
        "| images | seconds per epoch |",
        "|---:|---:|",
        *(f"| {g['images']:,.0f} | {_s(g['seconds'])} |" for g in growth["images"]),
        "",
        f"| batch | seconds per epoch of {growth['batches'][0]['images']:,.0f} images |",
        "|---:|---:|",
        *(f"| {g['batch']:.0f} | {_s(g['seconds'])} |" for g in growth["batches"]),
    ]  # fmt: skip
    if growth["threads"]:
        lines += ["", "| threads | seconds per epoch, wall |", "|---:|---:|"]
        lines += [f"| {g['threads']:.0f} | {_s(g['wall_seconds'])} |" for g in growth["threads"]]
    return "\n".join(lines) + "\n"


def _trained(training: Sequence[Mapping[str, Any]]) -> list[str]:
    columns = [(task[k], k) for task in training for k in task]
    heads = [f"batch {t['batch']}" + (f", {k} threads" if k != "1" else "") for t, k in columns]
    names = [name for name in PEERS if any(name in t["seconds"] for t, _ in columns)]
    cells = [[_cells(t["seconds"], name) for t, _ in columns] for name in names]
    return [
        f"| training epoch of {columns[0][0]['images']:,} images | {' | slower | '.join(heads)} | slower |",
        "|---|" + "---:|" * 2 * len(columns),
        *(f"| {PEERS[name].title} | {' | '.join(row)} |" for name, row in zip(names, cells, strict=True)),
    ]


def _evaluated(evaluation: Mapping[str, Any]) -> list[str]:
    heads = ["one thread" if k == "1" else f"{k} threads" for k in evaluation]
    names = list(evaluation["1"]["seconds"])
    return [
        f"| evaluating {evaluation['1']['images']:,} images | {' | slower | '.join(heads)} | slower |",
        "|---|" + "---:|" * 2 * len(heads),
        *(f"| {_title(name)} | {' | '.join(_cells(t['seconds'], name) for t in evaluation.values())} |"
          for name in names),
    ]  # fmt: skip


def _zeroed(zeroing: Mapping[str, Any]) -> list[str]:
    seconds = zeroing["seconds"]
    differ = zeroing["decisions_that_differ_in_plain_torch"]
    rows = {
        "engine": "this engine",
        "plain_torch": "the same algorithm in plain PyTorch, "
        + (f"{differ} decisions differ" if differ else "the same decisions"),
        "loop": f"the blog's loop in PyTorch, {zeroing['loop_candidates_timed']} of the weights, scaled up",
    }
    return [
        f"| zeroing {zeroing['candidates']} weights one by one on {zeroing['images']:,} images | | slower |",
        "|---|---:|---:|",
        *(f"| {title} | {_cells(seconds, name)} |" for name, title in rows.items()),
        "",
        f"Of the factor between the blog's loop and the engine, {zeroing['algorithm_times_faster']:.3g} is "
        f"the algorithm and {zeroing['implementation_times_faster']:.3g} is its implementation.",
    ]


def _cells(seconds: Mapping[str, float], name: str) -> str:
    """Seconds, and how many times as many they are as the engine's."""
    if name not in seconds:
        return " | "
    factor = "" if name == "engine" else f"{seconds[name] / seconds['engine']:.3g}x"
    return f"{_s(seconds[name])} | {factor}"


def _factor(task: Mapping[str, Any]) -> str:
    """How many times as many seconds the strongest peer needs."""
    seconds = task["seconds"]
    return f"{seconds[_strongest(seconds)] / seconds['engine']:.3g}"


def _strongest(seconds: Mapping[str, float]) -> str:
    return min((name for name in seconds if name != "engine"), key=lambda name: seconds[name])


def _title(name: str) -> str:
    peer, _, batch = name.partition(" ")
    return PEERS[peer].title + (f", in batches of {int(batch):,}" if batch else "")


def _steps(task: Mapping[str, Any]) -> int:
    return int(min(task["steps_timed"].values()))


def _missing(record: Mapping[str, Any]) -> str:
    tasks = [record["evaluation"], *record["training"]]
    found = {name: why for task in tasks for one in task.values() for name, why in one["left_out"].items()}
    if not found:
        return ""
    return "Left out: " + "; ".join(f"{PEERS[name].title}: {why}" for name, why in found.items()) + "."


def _s(seconds: float) -> str:
    return f"{seconds:.3g} s" if seconds < 100 else f"{seconds:,.0f} s"
