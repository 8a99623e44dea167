"""Thousands of mutated files: the referee counts or refuses each, and never dies, hangs or writes."""

from __future__ import annotations

import pytest

import fuzz

SEED = 20261122


def test_counting_survives_thousands_of_mutated_files() -> None:
    report = fuzz.bulk_limited(SEED, 6_000)
    assert report.crashes == [] and report.hangs == []
    assert report.cases == 6_000
    assert report.accepted > 300, "the mutations are too wild: hardly a file gets past the rules"
    assert report.refused > 3_000
    assert report.slowest_seconds < 2 and report.peak_mib < 500


def test_the_sandbox_survives_hundreds_of_mutated_files() -> None:
    report = fuzz.whole(SEED, 200)
    assert report.crashes == [] and report.hangs == []
    assert report.accepted > 10
    assert report.peak_mib < 3 << 10


def test_a_case_is_made_from_its_number_alone() -> None:
    assert [fuzz.case(1, n) for n in (3, 5)] == [fuzz.case(1, n) for n in (3, 5)]
    assert len({fuzz.case(1, n) for n in range(50)}) > 45


def test_the_fuzzer_sees_a_fault(monkeypatch: pytest.MonkeyPatch) -> None:
    """A fuzzer that finds nothing is believed only if it finds what is there."""

    def faulty(data: bytes) -> None:
        raise KeyError("planted")

    monkeypatch.setattr(fuzz, "parse", faulty)
    assert len(fuzz.bulk(SEED, 0, 10).crashes) == 10
