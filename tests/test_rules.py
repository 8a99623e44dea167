"""docs/rules.md says what the referee does."""

from __future__ import annotations

from pathlib import Path

import pytest

import fuzz
import rules_table
from attacks import ATTACKS
from neural_golf.referee import frame, products, scoring
from neural_golf.referee.exits import EXIT_CODES, NO_VERDICT, UNWRITTEN
from neural_golf.referee.folding import MOVES
from neural_golf.referee.rules import LIMITS, OPSETS, RULES_VERSION
from rules_table import COMPARED, RULES, filled

TEXT = RULES.read_text(encoding="utf-8") if RULES.exists() else ""


@pytest.mark.parametrize("page", [RULES, COMPARED], ids=lambda page: page.stem)
def test_the_tables_are_those_of_the_tests(page: Path) -> None:
    assert filled(page) == page.read_text(encoding="utf-8"), "run: python tests/rules_table.py"


def test_the_fuzzer_was_run_over_these_rules() -> None:
    table = fuzz.PLACE.search(TEXT)
    assert table is not None
    assert all(line in table[0] for line in [*fuzz.HEADER, *fuzz.NAMES.values()])
    rows = [
        line.split(" | ")
        for line in table[0].splitlines()
        if line.startswith(tuple(f"| {n} |" for n in fuzz.NAMES.values()))
    ]
    assert [row[4:7] for row in rows] == [["0", "0", "0"]] * len(fuzz.NAMES)  # crashes, hangs, wrong counts


@pytest.mark.parametrize("version", [1, 2])
def test_every_attack_is_told_with_what_each_version_said(version: int) -> None:
    assert set(rules_table.verdicts(version)) >= set(ATTACKS)


@pytest.mark.parametrize(
    "words",
    [
        f"# The rules, version {RULES_VERSION}",
        f"at most {LIMITS.file_bytes >> 20} MiB",
        f"at most {LIMITS.nodes} nodes",
        f"at most {LIMITS.wires} wires",
        f"up to {LIMITS.integers} integers",
        f"a number up to {frame.BATCH:,}",
        f"operator sets {OPSETS[0]} to {OPSETS[-1]}",
        f"| RLIMIT_AS | {LIMITS.memory_bytes >> 30} GiB |",
        f"| RLIMIT_CPU | {LIMITS.cpu_seconds} s |",
        f"| RLIMIT_NOFILE | {LIMITS.open_files} |",
        f"{LIMITS.memory_bytes >> 30} GiB of address space and {LIMITS.cpu_seconds} seconds of processor time",
        f"{scoring.SAMPLE} images are run one by one",
        f"shuffled batches of {scoring.CHUNK}",
        f"agree to 1 in {round(1 / scoring.ROUNDING):,} of the largest",
        f"stands still over {scoring.IMAGES} test images",
        f"smaller one beyond {products.FREE}",
        f"{EXIT_CODES['PASS']} for PASS, {EXIT_CODES['FAIL']} for FAIL, {EXIT_CODES['REFUSED']} for REFUSED",
        f"and {NO_VERDICT} if there is no verdict",
        f"{UNWRITTEN} if",
    ],
)
def test_the_numbers_are_those_of_the_code(words: str) -> None:
    assert words in " ".join(TEXT.split()) or words in TEXT


def test_the_moves_are_named() -> None:
    named = TEXT.split("Moving a number about (")[1].split(" and the like")[0].replace("\n", " ")
    assert {word.strip() for word in named.split(",")} - {"Cast", "DequantizeLinear"} <= MOVES
