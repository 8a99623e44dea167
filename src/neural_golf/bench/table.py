"""The benchmark's record as Markdown; every number comes from the record."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

__all__ = ["table"]


def table(record: dict[str, Any]) -> str:
    """The record as Markdown; every number comes from it."""
    rows: list[Sequence[str]] = []
    for t in record["training"]:
        s, all_threads = t["seconds"], t["wall_seconds_on_all_threads"]
        what = f"training epoch, {t['images']:,} images, batch {t['batch']}"
        if "torch_compile" in s:
            rows.append((f"{what}, against torch.compile", _s(s["engine"]), _s(s["torch_compile"]),
                         _x(s["torch_compile"] / s["engine"])))  # fmt: skip
        rows.append((what, _s(s["engine"]), _s(s["torch_eager"]), _x(t["times_faster"])))
        if all_threads:
            ratio = all_threads["torch_eager"] / all_threads["engine"]
            rows.append((f"{what}, {t['threads']} threads", _s(all_threads["engine"]),
                         _s(all_threads["torch_eager"]), _x(ratio)))  # fmt: skip
    e, z, study = record["evaluation"], record["zeroing"], record["study"]
    for batch in e["torch_batches"]:
        what = f"evaluating {e['images']:,} images, PyTorch in batches of {batch:,}"
        for s, threads in (
            (e["seconds"], ""),
            (e["wall_seconds_on_all_threads"], f", {e['threads']} threads"),
        ):
            if s:
                ours, theirs = s["engine"], s[f"torch_eager_{batch}"]
                rows.append((what + threads, _s(ours), _s(theirs), _x(theirs / ours)))
    what = f"zeroing {z['candidates']} weights one by one against {z['images']:,} images"
    seconds = z["seconds"]
    rows.append((what, _s(seconds["engine"]), _s(seconds["torch_batch_14"]), _x(z["times_faster"])))
    per = study["trials_per_minute"]
    rows.append((f"trials per minute ({study['epochs_of_a_trial']} epochs each)", f"{per['engine']:.1f}",
                 f"{per['torch_eager']:.2f}", _x(study["times_faster"])))  # fmt: skip
    machine, memory = record["machine"], record["memory"]
    fractions = " and ".join(
        f"{100 * t['fraction_of_peak']:.0f} % (batch {t['batch']})" for t in record["training"]
    )
    growth = record["growth"]
    lines = [
        f"| {record['parameters']} parameters | engine | PyTorch | times faster |",
        "|---|---:|---:|---:|",
        *(f"| {' | '.join(row)} |" for row in rows),
        "",
        f"{machine['processor']}, {machine['instructions']}, PyTorch {machine['torch']}. "
        "One thread unless said: CPU seconds, medians; several threads: seconds on the wall. "
        "PyTorch is eager and was timed for "
        f"{' and '.join(str(t['torch_steps_timed']) for t in record['training'])} steps of an epoch and "
        f"{z['torch_candidates_timed']} of the weights, scaled up.",
        "",
        f"Training does {record['training'][0]['multiply_adds_per_second'] / 1e9:.1f} billion multiply-adds "
        f"per second at batch {record['training'][0]['batch']}; the core's measured peak is "
        f"{record['peak_multiply_adds_per_second'] / 1e9:.1f}: {fractions}. "
        f"Peak memory: {memory['training']:.0f} MiB in training and {memory['sweep']:.0f} MiB in the sweep, "
        f"of which {memory['data']:.0f} MiB are Python and the images.",
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


def _s(seconds: float) -> str:
    return f"{seconds:.3g} s" if seconds < 100 else f"{seconds:,.0f} s"


def _x(ratio: float) -> str:
    return f"{ratio:.0f}x" if ratio >= 10 else f"{ratio:.1f}x"
