"""The stage `interpret`: what the networks look at, as figures, and as numbers in results/interpret.json.

    golf interpret

It reads verified ONNX files and writes results/figures/interpret/. A list (`drawings`) says what is
drawn of which network; Snakemake's report and the site take their captions from it.
"""

from __future__ import annotations

import inspect
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from functools import partial
from multiprocessing import get_context
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from neural_golf import data
from neural_golf.base.files import METRICS, PLOTS, read_json, write_bytes
from neural_golf.base.longwork import cores
from neural_golf.config import Config
from neural_golf.config.sections import Record
from neural_golf.look import anatomy, ascent, measure, overview, vision
from neural_golf.look.claims import claims
from neural_golf.look.figures import save_figure
from neural_golf.look.findings import (
    Channel,
    Costly,
    Features,
    Findings,
    Mistakes,
    Pruning,
    TensorSize,
    Worth,
    write_findings,
)
from neural_golf.look.style import applied, settle
from neural_golf.look.subject import Subject, choose, read_subject
from neural_golf.results.ladder import update_marked
from neural_golf.results.result import Result, read_results
from neural_golf.results.sizes import read_points

if TYPE_CHECKING:
    from matplotlib.figure import Figure

__all__ = ["FIGURES", "OVERVIEW", "PORTRAIT", "Drawing", "caption_file", "drawings", "run"]

FIGURES = Path("results/figures/interpret")
CLAIMS = Path("results/interpret.md")
DOCUMENT = Path("docs/interpretability.md")
STUDY = METRICS / "tune.json"

# Kind of figure: what draws it, the category it stands under, and its file's format: png where it has
# thousands of marks. OVERVIEW is drawn once, PORTRAIT for every network.
OVERVIEW: dict[str, tuple[Callable[..., Figure], str, str]] = {
    "front": (overview.front, "All networks", "svg"),
    "training": (overview.training, "All networks", "png"),
    "pruning": (overview.pruning, "All networks", "png"),
    "study": (overview.study, "Tuning", "svg"),
    "slices": (overview.slices, "Tuning", "png"),
}
PORTRAIT: dict[str, tuple[Callable[..., Figure], str, str]] = {
    "flow": (anatomy.flow, "The whole network", "svg"),
    "kernels": (anatomy.kernels, "The whole network", "png"),
    "survivors": (anatomy.survivors, "The whole network", "png"),
    "channels": (vision.channels, "What it sees", "png"),
    "angles": (vision.angles, "What it sees", "png"),
    "classes": (vision.classes, "What it sees", "png"),
    "excite": (vision.excite, "What it sees", "png"),
    "mistakes": (vision.mistakes, "What it gets wrong", "png"),
    "worth": (anatomy.worth, "What each weight is worth", "png"),
}


@dataclass(frozen=True)
class Drawing:
    """One figure: its file, its kind, the network it is of ("" for all), caption and category."""

    path: Path
    kind: str
    network: str
    caption: str
    category: str


def drawings(config: Config) -> list[Drawing]:
    """Every figure that the stage draws with these settings, whether or not it exists yet."""
    kinds = [(kind, "", *OVERVIEW[kind]) for kind in _overview(config)]
    kinds += [(kind, name, *PORTRAIT[kind]) for name in config.interpret.networks for kind in PORTRAIT]
    return [
        Drawing(file_of(kind, name), kind, name, caption(draw), category)
        for kind, name, draw, category, _ in kinds
    ]


def _overview(config: Config) -> list[str]:
    """The figures of all networks together that this run has something for."""
    without = {"pruning"} if not config.rows_by("zeroing") else set()
    without |= {"study", "slices"} if not config.tune else set()
    return [kind for kind in OVERVIEW if kind not in without]


def file_of(kind: str, network: str = "") -> Path:
    """The file of one figure; `network` is the group it is of, or empty for all."""
    *_, suffix = (OVERVIEW | PORTRAIT)[kind]
    return FIGURES / f"{'-'.join(filter(None, (kind, network)))}.{suffix}"


def caption(draw: Callable[..., Any]) -> str:
    """The first paragraph of a function's docstring."""
    return " ".join((inspect.getdoc(draw) or "").partition("\n\n")[0].split())


def caption_file(drawing: Drawing) -> str:
    """The caption as a file, for Snakemake's report; written if it is not there yet."""
    path = Path(".golf/captions") / f"{drawing.kind}.rst"
    text = f"{drawing.caption}\n".encode()
    if not path.exists() or path.read_bytes() != text:
        write_bytes(path, text)
    return path.absolute().as_posix()


def run(config: Config) -> None:
    """Draw every figure of `drawings`; write results/interpret.json."""
    names = config.interpret.networks
    choose(read_results(), names)  # a wrong name ends here, before any work
    # Processes, since most of the time goes into drawing, in Python. Spawned: a fork would inherit threads.
    with ProcessPoolExecutor(min(cores(), len(names)), get_context("spawn")) as pool:
        overview_done = pool.submit(_survey, config)
        found = dict(pool.map(partial(_portrait, config), names))
        overview_done.result()
    wanted = {drawing.path for drawing in drawings(config)}
    for path in FIGURES.glob("*"):
        if path not in wanted:
            path.unlink()
    write_findings(found)
    write_bytes(CLAIMS, claims(found, file_of).encode())
    if DOCUMENT.exists():  # not in the demo's workspace
        update_marked(DOCUMENT, "interpret", CLAIMS.read_text(encoding="utf-8"))


def _survey(config: Config) -> None:
    """Runs in a process of its own."""
    with applied():
        survey(config, read_results())


def _portrait(config: Config, name: str) -> tuple[str, Findings]:
    """One network in a process of its own: its group, and what was measured."""
    results = read_results()
    subject = read_subject(choose(results, [name])[0])
    with applied():
        return subject.variant, portrait(config, subject, results, data.read("test"), data.read("heldout"))


def survey(config: Config, results: list[Result]) -> None:
    """The figures of all networks together."""
    rows = {name: overview.read(PLOTS / f"{name}.csv") for name in config.rows_by("reference", "training")}
    thresholds = {"test": config.prune.threshold, "heldout": config.prune.heldout_threshold}
    goals: dict[str, float] = {
        judge: goal for judge, goal in thresholds.items() if judge in config.prune.judges
    }
    trials = overview.read(PLOTS / "tune.csv")
    curves = {name: overview.read(PLOTS / f"{name}.csv") for name in config.rows_by("zeroing")}
    draw: dict[str, Callable[[], Figure]] = {
        "front": lambda: overview.front(results, public_records(config), read_points()),
        "training": lambda: overview.training({name: some for name, some in rows.items() if not some.empty}),
        "pruning": lambda: overview.pruning({k: some for k, some in curves.items() if not some.empty}, goals),
        "study": lambda: overview.study(trials, read_json(STUDY)["importance"]),
        "slices": lambda: overview.slices(trials),
    }
    for kind in _overview(config):
        figure = draw[kind]()
        settle(figure)
        save_figure(figure, file_of(kind))


def public_records(config: Config) -> list[Record]:
    """What others report on this data set, beginning with the blog's rows."""
    if not config.as_the_blog:
        return []
    blog = [
        Record(
            name=f"the blog's {name}", nonzero=row.blog.nonzero, accuracy=row.blog.accuracy, source="the blog"
        )
        for name, row in config.rows.items()
        if row.blog and row.blog.accuracy
    ]
    known = {(record.nonzero, record.accuracy) for record in blog}  # the blog is also among the records
    return blog + [r for r in config.ladder.records if (r.nonzero, r.accuracy) not in known]


def portrait(
    config: Config, subject: Subject, results: list[Result], test: data.Split, heldout: data.Split
) -> Findings:
    """Draw every figure of one network; returns what was measured on the way."""
    section = config.interpret
    full = subject.written_out()
    network = full.network
    digits = measure.samples(test, section.sample_seed)
    names = data.facts().classes
    tunings = measure.tuning(full, section.strokes, test[:1000])
    degrees, _ = measure.strokes(section.strokes, *network.in_shape[1:])
    reads = measure.features(network)
    told = [reads.name, *(network.layers[place].name for place, _ in measure.convolutions(network)[-1:])]
    seen = measure.activations(full, test.pixels, told)
    means = measure.class_means(seen[reads.name], test.labels, len(names))
    held = measure.activations(full, heldout.pixels, told[:1])
    centres = measure.class_means(held[reads.name], heldout.labels, len(names))
    exciting = ascent.excite(full, section.excite)
    scores = measure.logits(subject, test)
    loss = measure.losses(scores, test.labels)
    parent = _parent(config, subject, results, test)
    index, lost, right = measure.worth(subject, heldout)
    figures: Mapping[str, Figure] = {
        "flow": anatomy.flow(full, subject.nonzero),
        "kernels": anatomy.kernels(subject),
        "survivors": anatomy.survivors(subject),
        "channels": vision.channels(full, digits, measure.activations(full, digits.pixels)),
        "angles": vision.angles(subject, degrees, tunings, section.strokes.selective),
        "classes": vision.classes(full, means),
        "excite": vision.excite(full, exciting),
        "mistakes": vision.mistakes(subject, test, scores, loss, section.worst, parent, names),
        "worth": anatomy.worth(subject, index, lost, len(heldout)),
    }
    for kind, figure in figures.items():
        settle(figure)
        save_figure(figure, file_of(kind, subject.variant))
    print(f"interpret: {len(figures)} figures of {subject.name}")
    return findings(
        config, subject, tunings, parent, scores, test,
        features=_features(
            means,
            nearest_mean_correct=measure.nearest_mean(seen[reads.name], test.labels, centres),
            beyond=measure.beyond(full, exciting["features"], seen) if "features" in exciting else None,
        ),
        worth=_worth(subject, index, lost, right, len(heldout)),
    )  # fmt: skip


def _parent(
    config: Config, subject: Subject, results: list[Result], test: data.Split
) -> tuple[str, Any] | None:
    """Name and logits of the network that a zeroed or packed one was made from, if this run has it."""
    own = subject.result
    of, size = config.rows[own.row].of, own.size  # a packed network's size is that of its source
    found = [r for r in results if (r.row, r.seed, r.size) == (of, own.seed, size)]
    if not found:
        return None
    dense = read_subject(found[0])
    return dense.name, measure.logits(dense, test)


def findings(
    config: Config, subject: Subject, tunings: list[measure.Tuning], parent: tuple[str, Any] | None,
    scores: Any, test: data.Split, *, features: Features, worth: Worth,
) -> Findings:  # fmt: skip
    """What was measured of a network. `scores`: its logits of the test images, `parent`: name and logits."""
    wrong = scores.argmax(axis=1) != test.labels
    pruning = None
    if parent:
        fine = parent[1].argmax(axis=1) == test.labels
        pruning = Pruning(source=parent[0], lost=int((wrong & fine).sum()), won=int((~wrong & ~fine).sum()))
    return Findings(
        name=subject.name,
        file=subject.path.as_posix(),
        network=", ".join(subject.network.spec),
        parameters=subject.result.parameters,
        nonzero=subject.nonzero,
        test_correct=int((~wrong).sum()),
        test_images=len(test),
        tensors={
            t.name: TensorSize(size=t.size, nonzero=int(np.count_nonzero(subject.parameters[t.slice])))
            for t in subject.network.tensors
        },
        channels=tuple(
            Channel(
                channel=k + 1,
                answers_to=t.kind(config.interpret.strokes.selective),
                selectivity=round(float(t.selectivity), 3),
                preferred_degrees=round(float(t.preferred), 1),
                agreement_with_ink=round(float(t.agreement), 3),
                inverted=bool(t.inverted),
            )
            for k, t in enumerate(tunings)
        ),
        features=features,
        mistakes=_mistakes(scores.argmax(axis=1), test, data.facts().classes),
        worth=worth,
        pruning=pruning,
    )


def _features(means: Any, nearest_mean_correct: int, beyond: int | None) -> Features:
    """`means`: of each class, the mean activation of every feature."""
    flat = means.reshape(len(means), -1)  # [classes, features]
    flat = flat[~np.isnan(flat).any(axis=1)]
    spread = flat.max(axis=0) - flat.min(axis=0)
    high = (flat - flat.min(axis=0)) / np.maximum(spread, 1e-9) > 0.5
    some = spread >= 1e-6
    return Features(
        count=int(flat.shape[1]),
        silent=int((~some).sum()),
        digits_each_is_high_for=round(float(high[:, some].sum(axis=0).mean()), 2) if some.any() else 0,
        high_for_one_digit_only=int((high.sum(axis=0) == 1).sum()),
        nearest_mean_correct=nearest_mean_correct,
        excited_beyond_every_test_image=beyond,
    )


def _mistakes(answers: Any, test: data.Split, names: Sequence[str]) -> Mistakes:
    wrong = answers != test.labels
    pairs = Counter(
        f"{names[digit]} → {names[answer]}"
        for digit, answer in zip(test.labels[wrong].tolist(), answers[wrong].tolist(), strict=True)
    )
    commonest = sorted(pairs.items(), key=lambda item: (-item[1], item[0]))[:5]
    return Mistakes(wrong=int(wrong.sum()), commonest=dict(commonest))


def _worth(subject: Subject, index: Any, lost: Any, right: int, images: int) -> Worth:
    """`lost`: how many of the held-out images the removal of each parameter in `index` costs."""
    dearest = []
    for k in np.argsort(-lost, kind="stable")[:5]:
        tensor, at = anatomy.tensor_of(subject.network, int(index[k]))
        dearest.append(Costly(parameter=f"{tensor.name}{list(at)}", images_lost=int(lost[k])))
    return Worth(
        images=images,
        correct_with_all=right,
        costs_nothing_alone=int((lost <= 0).sum()),
        helps_when_removed=int((lost < 0).sum()),
        median_images_lost=float(np.median(lost)),
        dearest=tuple(dearest),
    )
