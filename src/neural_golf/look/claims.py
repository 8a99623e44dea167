"""The blog's claims about what its network sees, each compared with what was measured here."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping
from pathlib import Path

from neural_golf.look.findings import Findings

__all__ = ["claims"]

DIRECTIONS = ("rising diagonal", "falling diagonal", "vertical", "horizontal")


def claims(findings: Mapping[str, Findings], file_of: Callable[[str, str], Path]) -> str:
    """A Markdown text with a table per claim and a verdict per network, from results/interpret.json.

    file_of: the file of a kind of figure of a network.
    """
    parts = [
        _table(
            "The first layer's channels are detectors of the four directions: rising diagonal, falling diagonal, "
            "vertical and horizontal",
            "Each channel was shown strokes at evenly spaced angles. Selectivity is 0 where all angles are alike and 1 where only one "
            "has any effect. Confirmed: each of the four directions has a channel.",
            "angles",
            ("channels answer to (selectivity)", "verdict"),
            {name: _directions(found) for name, found in findings.items()},
            {name: file_of("angles", name) for name in findings},
        ),
        _table(
            "One channel is inverted: bright where there is no ink",
            "The correlation of each channel's output with the ink below it, over test images; below 0 is inverted. "
            "Confirmed: exactly one channel is.",
            "channels",
            ("correlation with the ink, by channel", "verdict"),
            {name: _inverted(found) for name, found in findings.items()},
            {name: file_of("channels", name) for name in findings},
        ),
        _table(
            "The average activations of the features look different for every digit",
            "How many test images lie nearest to their own digit's mean activation, the means taken over the held-out "
            "images: what the heat maps alone can tell. And how many digits a feature is high for (above the middle "
            "between its least and its greatest mean). Confirmed: nearest to its own for at least 8 images of 10.",
            "classes",
            ("nearest to its own mean", "digits a feature is high for", "verdict"),
            {name: _heat_maps(found) for name, found in findings.items()},
            {name: file_of("classes", name) for name in findings},
        ),
        _table(
            "Gradient ascent on the image shows what excites a feature",
            "For how many features the image that was found excites it more than any test image does. Confirmed: for all "
            "of them. Whether a person recognises anything in these images is not measured.",
            "excite",
            ("features excited beyond every test image", "verdict"),
            {name: _excited(found) for name, found in findings.items()},
            {name: file_of("excite", name) for name in findings},
        ),
    ]
    return "\n".join(filter(None, parts))


def _table(
    claim: str,
    how: str,
    figure: str,
    header: tuple[str, ...],
    rows: Mapping[str, tuple[str, ...] | None],
    files: Mapping[str, Path],
) -> str:
    told = {name: cells for name, cells in rows.items() if cells}
    if not told:
        return ""
    count = Counter(cells[-1] for cells in told.values())
    verdict = ", ".join(f"{word} for {n} of {len(told)} networks" for word, n in count.items())
    lines = [
        f"### {claim}",
        f"**{verdict[:1].upper()}{verdict[1:]}.** {how}",
        "",
        f"| network | {' | '.join(header)} | figure |",
        f"|---|{'---|' * len(header)}---|",
        *(
            f"| {name} | {' | '.join(cells)} | [{figure}](../{files[name].as_posix()}) |"
            for name, cells in told.items()
        ),
        "",
    ]
    return "\n".join(lines)


def _verdict(holds: bool) -> str:
    return "confirmed" if holds else "not confirmed"


def _directions(found: Findings) -> tuple[str, ...] | None:
    channels = found.channels
    if not channels:
        return None
    text = ", ".join(f"{c.channel}: {c.answers_to} ({c.selectivity:.2f})" for c in channels)
    return text, _verdict(set(DIRECTIONS) <= {c.answers_to for c in channels})


def _inverted(found: Findings) -> tuple[str, ...] | None:
    channels = found.channels
    if not channels:
        return None
    text = ", ".join(f"{c.channel}: {c.agreement_with_ink:+.2f}" for c in channels)
    return text, _verdict(sum(c.inverted for c in channels) == 1)


def _heat_maps(found: Findings) -> tuple[str, ...]:
    right, images = found.features.nearest_mean_correct, found.test_images
    return (
        f"{right:,} of {images:,}",
        f"{found.features.digits_each_is_high_for:.1f}",
        _verdict(right >= 0.8 * images),
    )


def _excited(found: Findings) -> tuple[str, ...] | None:
    count, beyond = found.features.count, found.features.excited_beyond_every_test_image
    return None if beyond is None else (f"{beyond} of {count}", _verdict(beyond == count))
