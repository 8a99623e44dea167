"""The one type of a result: written and read, which one stands for a row, what reaches a goal."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import get_args

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from scipy import stats

from neural_golf import config
from neural_golf.base.errors import GolfError
from neural_golf.base.statistics import Spread, interval, p_above
from neural_golf.net.checkpoint import Judge, Order
from neural_golf.results.result import (
    Result,
    Variant,
    by_variant,
    certainty,
    chosen_on,
    holds,
    read_results,
    representative,
    write_results,
)


def result(
    row: str = "tuned", seed: int = 0, nonzero: int = 807, correct: int = 9800, heldout: int = 4900,
    judge: Judge = "", order: Order = "", size: int | None = None, **more: object,
) -> Result:  # fmt: skip
    """A result with what a test says of it."""
    name = "-".join(filter(None, (row, judge, order, str(size or ""), str(seed))))
    found = Result(
        name=name, row=row, judge=judge, order=order, size=size, entered=True, seed=seed, parameters=807,
        nonzero=nonzero, bits=25824, correct=correct, images=10_000, heldout_correct=heldout,
        heldout_images=5000, train_correct=None, path=f"results/onnx/{name}.onnx", sha256="0" * 64,
    )  # fmt: skip
    return replace(found, **more)


counts = st.integers(0, 2**40)
words = st.text(st.characters(codec="utf-8", exclude_categories=("Cc", "Cs")), min_size=1, max_size=8)
results = st.builds(
    Result,
    name=words, row=st.sampled_from(["tuned", "null", "NA", "nan", "1", "1e3", "True", "inf"]),
    judge=st.sampled_from(get_args(Judge)), order=st.sampled_from(get_args(Order)),
    size=st.none() | st.integers(1, 10_000), entered=st.booleans(), seed=st.integers(0, 2**32 - 1),
    parameters=counts, nonzero=counts, bits=counts, correct=counts, images=counts, heldout_correct=counts,
    heldout_images=counts, train_correct=st.none() | counts, path=words,
    sha256=st.text("0123456789abcdef", min_size=64, max_size=64) | st.just("0" * 64) | st.just("1" * 64),
)  # fmt: skip


@given(st.lists(results, max_size=4))
@settings(deadline=None, max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_what_is_read_is_what_was_written(tmp_path: Path, written: list[Result]) -> None:
    path = tmp_path / "verify.csv"
    write_results(written, path)
    found = read_results(path)
    assert found == written
    for one in found:  # plain values, which JSON and the site take as they are
        assert {type(value) for value in vars(one).values()} <= {int, str, bool, type(None)}
    first = path.read_bytes()
    write_results(found, path)
    assert path.read_bytes() == first


@pytest.mark.parametrize(
    "text",
    [
        "",
        "a,b\n1,2\n",
        "row\n",
        "\x00\x00",
        'name,row\n"',
        "HEADER\n1\n",
        "HEADER,seconds\n",
        "HEADER\nVALUES,1\n",
    ],
)
def test_a_file_of_another_version_is_one_line(tmp_path: Path, text: str) -> None:
    path = tmp_path / "verify.csv"
    write_results([result()], path)
    header, values, _ = path.read_text().split("\n")
    path.write_text(text.replace("HEADER", header).replace("VALUES", values))
    with pytest.raises(
        GolfError, match=r"verify\.csv (is of another version of this|cannot be read)"
    ) as caught:
        read_results(path)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("column", ["seed", "correct", "size", "entered", "train_correct"])
def test_a_value_of_another_kind_is_one_line(tmp_path: Path, column: str) -> None:
    path = tmp_path / "verify.csv"
    write_results([result(size=200, train_correct=7)], path)
    header, values, _ = path.read_text().split("\n")
    cells = dict(zip(header.split(","), values.split(","), strict=True)) | {column: "many"}
    path.write_text(f"{header}\n{','.join(cells.values())}\n")
    with pytest.raises(GolfError, match=r"verify\.csv is of another version of this project") as caught:
        read_results(path)
    assert "\n" not in str(caught.value)


def test_a_missing_file_says_what_writes_it(tmp_path: Path) -> None:
    with pytest.raises(GolfError, match=r"verify\.csv is missing: the stage verify has not run"):
        read_results(tmp_path / "verify.csv")


def test_the_test_images_never_choose_among_seeds_of_a_row_they_did_not_judge() -> None:
    best_on_test = result(seed=0, correct=9900, heldout=4890)
    best_on_heldout = result(seed=1, correct=9800, heldout=4910)
    fewest = result(seed=2, nonzero=700, correct=9700, heldout=4800)
    assert representative([best_on_test, best_on_heldout]) is best_on_heldout
    assert representative([best_on_test, best_on_heldout, fewest]) is fewest


@given(st.lists(results, min_size=1, max_size=6), st.randoms())
@settings(deadline=None, max_examples=60)
def test_what_stands_for_a_row_does_not_change_with_the_test_images(
    group: list[Result], random: object
) -> None:
    """Unless they judged. Nor does it change with the order of the group."""
    judge = group[0].judge
    group = [replace(one, judge=judge, seed=seed) for seed, one in enumerate(group)]
    chosen = representative(group)
    shuffled = list(group)
    random.shuffle(shuffled)  # type: ignore[attr-defined]
    assert representative(shuffled) == chosen
    if judge != "test":
        other = [replace(one, correct=random.randrange(10_000)) for one in group]  # type: ignore[attr-defined]
        assert representative(other).seed == chosen.seed


def test_where_the_test_images_judged_they_choose_the_seed_too() -> None:
    group = [result("pruned", seed, 600, 9800 + seed, 4900 - seed, "test", "index") for seed in (0, 1)]
    assert representative(group) is group[1]
    assert chosen_on(group) == "test"
    assert not group[0].honest


def test_what_chose_is_held_out_for_several_seeds_and_train_for_one() -> None:
    assert chosen_on([result()]) == "train"
    assert chosen_on([result(), result(seed=1)]) == "held-out"
    assert chosen_on([result("pruned", judge="heldout", order="index")]) == "held-out"


def test_snapshots_that_were_not_entered_have_no_part() -> None:
    lines = [
        result("golf98", 0, judge="heldout", size=300, entered=False),
        result("golf98", 1, judge="heldout", size=300),
    ]
    variant = Variant("golf98", "heldout", size=300)
    assert by_variant(lines) == {variant: [lines[1]]}
    assert by_variant(lines, entered=False) == {variant: [lines[0]]}


def test_variants_have_readable_names() -> None:
    assert Variant("baseline").name == "baseline"
    assert Variant("pruned", "test", "index").name == "pruned-test-index"
    assert Variant("golf98", "heldout", size=200).name == "golf98-heldout-200"


@pytest.mark.parametrize(
    ("goal", "correct", "images", "reached"),
    [
        (0.98, 9800, 10_000, True), (0.98, 9799, 10_000, False),
        (0.99, 9900, 10_000, True), (0.99, 9899, 10_000, False),
        (0.9, 7, 7, True), (0.9, 6, 7, False),  # 6.3 are needed, so 7
        (0.995, 199, 200, True), (0.999, 999, 1000, True), (0.999, 998, 1000, False),
        (0.9996, 9995, 10_000, False),
    ],
)  # fmt: skip
def test_a_goal_is_reached_by_whole_images_without_rounding_up(
    goal: float, correct: int, images: int, reached: bool
) -> None:
    assert result(correct=correct, images=images, heldout=0).reaches(goal) is reached
    other = result(correct=0, heldout_correct=correct, heldout_images=images)
    assert other.reaches(goal, "heldout") is reached
    assert not other.reaches(goal)


RULE = config.load(Path(__file__).parent.parent / "params.yaml").ladder


def group(*correct: int, chosen: int = 0, **more: object) -> list[Result]:
    """A size with so many images right, of which the held-out images choose the seed `chosen`."""
    return [
        result("golf98", seed, 200, right, 4950 if seed == chosen else 4900, "heldout", size=200, **more)
        for seed, right in enumerate(correct)
    ]


FAR = (9810, 9812, 9808, 9815, 9805, 9811, 9809, 9813, 9807, 9810)


def test_a_recipe_holds_a_size_by_the_mean_of_enough_seeds_and_by_the_one_that_stands_for_it() -> None:
    assert holds(group(*FAR), 0.98, RULE)
    assert not holds(group(*FAR[:9]), 0.98, RULE)  # nine seeds, however good
    assert not holds(group(9799, *FAR), 0.98, RULE)  # the mean is sure, but held-out images choose another
    assert holds(group(9799, *FAR, chosen=3), 0.98, RULE)
    unsure = (9850, 9790, 9840, 9780, 9830, 9790, 9820, 9795, 9810, 9800)
    assert sum(unsure) > 10 * 9800 and not holds(group(*unsure), 0.98, RULE)
    assert not holds(group(*[9790] * 10), 0.98, RULE)


def test_values_without_a_spread_hold_if_they_are_above_the_goal() -> None:
    assert holds(group(*[9801] * 10), 0.98, RULE)
    assert not holds(group(*[9800] * 10), 0.98, RULE)  # a mean of exactly the goal leaves doubt
    assert not holds(group(9900), 0.98, RULE.model_copy(update={"record_seeds": 1}))  # no test of one


def test_what_is_held_is_not_rounded() -> None:
    """0.99 of 10,000 images is 9,900, whatever a binary fraction makes of it."""
    for goal, images in ((0.98, 10_000), (0.99, 10_000), (0.85, 10_000), (0.9, 7)):
        count = round(goal * images, 6)
        some = [replace(one, images=images, correct=int(count)) for one in group(*range(10))]
        assert certainty(some, goal) == 1.0


def test_p_and_the_interval_are_those_of_students_t() -> None:
    values = [2.0, 4.0, 4.0, 5.0, 7.0]  # mean 4.4, deviation 1.8166
    t = (4.4 - 3) / (3.3**0.5 / 5**0.5)
    assert p_above(values, 3) == pytest.approx(float(stats.t.sf(t, 4)))
    assert p_above(values, 4.4) == pytest.approx(0.5)
    low, high = Spread.of(values).mean_interval or (0, 0)
    assert (low, high) == pytest.approx(
        (4.4 - 2.7764 * t_unit(values), 4.4 + 2.7764 * t_unit(values)), abs=1e-3
    )
    assert Spread.of([3.0]).mean_interval is None and p_above([3.0], 2) is None
    assert Spread.of([3.0, 3.0]).mean_interval == (3.0, 3.0)


def t_unit(values: list[float]) -> float:
    return float(np.std(values, ddof=1)) / len(values) ** 0.5


def test_one_in_a_hundred_recipes_at_the_goal_holds_by_chance(rng: np.random.Generator) -> None:
    drawn = rng.normal(9800, 10, (2000, 10))
    found = np.mean([(p_above(list(values), 9800) or 0) < 0.01 for values in drawn])
    assert 0.005 < found < 0.016


def test_held_out_images_choose_among_the_seeds_of_a_size_whatever_their_files_weigh() -> None:
    """Packing may leave one seed a weight or a byte fewer; that is no reason to enter it."""
    some = group(9810, 9811, chosen=1)
    some = [replace(some[0], nonzero=190, bytes=90), replace(some[1], bytes=95)]
    assert representative(some).seed == 1
    equal = [replace(one, heldout_correct=4950) for one in some]
    assert representative(equal).seed == 0


def test_the_interval_holds_the_count_and_shrinks_with_more_images(rng: np.random.Generator) -> None:
    low, high = interval(9800, 10_000, rng)
    assert 9765 <= low < 9800 < high <= 9832
