"""The blog's claims about what its network sees, each compared with what was measured here."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

from neural_golf.look.findings import Findings

__all__ = ["Claim", "claims", "tested"]

DIRECTIONS = ("rising diagonal", "falling diagonal", "vertical", "horizontal")


@dataclass(frozen=True)
class Claim:
    """A claim of the blog, how it was tested, and for each network its cells, of which the last is the verdict.

    figure: the kind of figure that shows it. header: of the cells.
    """

    text: str
    how: str
    figure: str
    header: tuple[str, ...]
    cells: Mapping[str, tuple[str, ...]]

    @property
    def verdict(self) -> str:
        """For how many networks it is confirmed, and for how many not, as a sentence."""
        count = Counter(cells[-1] for cells in self.cells.values())
        told = ", ".join(f"{word} for {n} of {len(self.cells)} networks" for word, n in count.items())
        return f"{told[:1].upper()}{told[1:]}."


def tested(findings: Mapping[str, Findings]) -> list[Claim]:
    """The claims that something was measured for."""

    def claim(
        text: str, how: str, figure: str, *header: str, of: Callable[[Findings], tuple[str, ...] | None]
    ) -> Claim:
        told = {name: cells for name, found in findings.items() if (cells := of(found))}
        return Claim(text, how, figure, (*header, "verdict"), told)

    found = [
        claim(
            "The first layer's channels are detectors of the four directions: rising diagonal, falling diagonal, "
            "vertical and horizontal",
            "Each channel was shown strokes at evenly spaced angles. Selectivity is 0 where all angles are alike and 1 where only one "
            "has any effect. Confirmed: each of the four directions has a channel.",
            "angles", "channels answer to (selectivity)", of=_directions,
        ),
        claim(
            "One channel is inverted: bright where there is no ink",
            "The correlation of each channel's output with the ink below it, over test images; below 0 is inverted. "
            "Confirmed: exactly one channel is.",
            "channels", "correlation with the ink, by channel", of=_inverted,
        ),
        claim(
            "The average activations of the features look different for every digit",
            "How many test images lie nearest to their own digit's mean activation, the means taken over the held-out "
            "images: what the heat maps alone can tell. And how many digits a feature is high for (above the middle "
            "between its least and its greatest mean). Confirmed: nearest to its own for at least 8 images of 10.",
            "classes", "nearest to its own mean", "digits a feature is high for", of=_heat_maps,
        ),
        claim(
            "Gradient ascent on the image shows what excites a feature",
            "For how many features the image that was found excites it more than any test image does. Confirmed: for all "
            "of them. Whether a person recognises anything in these images is not measured.",
            "excite", "features excited beyond every test image", of=_excited,
        ),
    ]  # fmt: skip
    return [one for one in found if one.cells]


def claims(findings: Mapping[str, Findings], file_of: Callable[[str, str], Path]) -> str:
    """A Markdown text with a table per claim and a verdict per network, from results/interpret.json.

    file_of: the file of a kind of figure of a network.
    """
    return "\n".join(_table(claim, file_of) for claim in tested(findings))


def _table(claim: Claim, file_of: Callable[[str, str], Path]) -> str:
    lines = [
        f"### {claim.text}",
        f"**{claim.verdict}** {claim.how}",
        "",
        f"| network | {' | '.join(claim.header)} | figure |",
        f"|---|{'---|' * len(claim.header)}---|",
        *(
            f"| {name} | {' | '.join(cells)} | [{claim.figure}](../{file_of(claim.figure, name).as_posix()}) |"
            for name, cells in claim.cells.items()
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
