"""docs/rules.md says what the referee does."""

from __future__ import annotations

import re

import pytest

from neural_golf.referee import counting, scoring
from neural_golf.referee.rules import LIMITS, OPSETS
from neural_golf.referee.rules import RULES_VERSION as VERSION
from rules_table import RULES_VERSION, filled

TEXT = RULES_VERSION.read_text(encoding="utf-8") if RULES_VERSION.exists() else ""


def test_the_examples_are_those_of_the_tests() -> None:
    assert filled(TEXT) == TEXT, "run: python tests/rules_table.py"


@pytest.mark.parametrize(
    "words",
    [
        f"# The rules, version {VERSION}",
        f"at most {LIMITS.file_bytes >> 20} MiB",
        f"at most {LIMITS.nodes} nodes",
        f"up to {LIMITS.free_integers} integers",
        f"operator sets {OPSETS[0]} to {OPSETS[-1]}",
        f"| RLIMIT_AS | {LIMITS.memory_bytes >> 30} GiB |",
        f"| RLIMIT_CPU | {LIMITS.cpu_seconds} s |",
        f"| RLIMIT_NOFILE | {LIMITS.open_files} |",
        f"| waiting time | {LIMITS.wall_seconds} s |",
        f"{LIMITS.memory_bytes >> 30} GiB of address space, {LIMITS.cpu_seconds} seconds of processor time",
        f"shuffled, {scoring.CHUNK} at a",
        f"agree to 1 in {round(1 / scoring.ROUNDING):,} of the largest",
    ],
)
def test_the_numbers_are_those_of_the_code(words: str) -> None:
    assert words in " ".join(TEXT.split()) or words in TEXT


def test_the_moves_that_are_not_flagged_are_named() -> None:
    named = re.search(r"Moving a constant about \(([^)]*)\)", TEXT)
    assert named is not None
    assert set(named[1].split(", ")) <= counting._MOVES
