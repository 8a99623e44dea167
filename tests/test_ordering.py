"""Nodes in any order are sorted as onnxruntime sorts them; a cycle, and a name that nothing makes, are refused."""

from __future__ import annotations

import time
from collections.abc import Sequence

import numpy as np
import onnx
import pytest
from hypothesis import given
from hypothesis import strategies as st
from onnx import TensorProto, helper, numpy_helper

from nets import node
from neural_golf.referee.ordering import in_order
from neural_golf.referee.rules import Refused

SECONDS = 10.0  # of processor time, for what takes less than one; what is quadratic takes minutes


def graph(*nodes: onnx.NodeProto) -> onnx.GraphProto:
    """A graph of the input `x` and the initializer `w`."""
    image = helper.make_tensor_value_info("x", TensorProto.FLOAT, ["batch", 784])
    weight = numpy_helper.from_array(np.ones(1, np.float32), "w")
    return helper.make_graph(nodes, "net", [image], [], [weight])


def names(nodes: Sequence[onnx.NodeProto]) -> list[str]:
    return [n.output[0] for n in nodes]


RELU, ADD, MUL = node("Relu", "x", "a"), node("Add", "a w", "b"), node("Mul", "b a", "c")
ASIDE = node("Neg", "x", "aside")


def test_nodes_in_order_stay_as_they_stand() -> None:
    straight = [ASIDE, RELU, ADD, MUL]
    assert names(in_order(graph(*straight))) == names(straight)


@pytest.mark.parametrize(
    ("nodes", "order"),
    [
        ([MUL, ADD, RELU], "a b c"),
        ([ADD, ASIDE, RELU, MUL], "aside a b c"),  # what is ready keeps its place
        ([MUL, RELU, ASIDE, ADD], "a aside b c"),
    ],
)
def test_of_the_nodes_that_are_ready_the_first_comes_first(nodes: list[onnx.NodeProto], order: str) -> None:
    assert names(in_order(graph(*nodes))) == order.split()


def test_inputs_left_out_and_several_outputs_are_no_obstacle() -> None:
    clip = node("Clip", "left - w", "y")
    split = node("Split", "x", "left right", axis=1)
    assert names(in_order(graph(clip, split))) == ["left", "y"]


@given(st.integers(1, 12), st.randoms())
def test_any_order_is_brought_into_one_that_runs(n: int, random: object) -> None:
    nodes = []
    for k in range(n):
        read = random.sample(["x", "w", *(f"n{i}" for i in range(k))], min(2, k + 2))  # type: ignore[attr-defined]
        nodes.append(node("Sum", " ".join(read), f"n{k}"))
    random.shuffle(nodes)  # type: ignore[attr-defined]
    made = {"x", "w"}
    found = in_order(graph(*nodes))
    for one in found:
        assert set(one.input) <= made
        made |= set(one.output)
    assert len(found) == n


def test_a_name_that_nothing_makes_is_told() -> None:
    with pytest.raises(Refused, match=r"^Add reads 'nowhere', which nothing makes$"):
        in_order(graph(node("Add", "x nowhere", "a")))


@pytest.mark.parametrize(
    "nodes",
    [
        [node("Relu", "round", "round", name="guilty")],
        [node("Relu", "back", "out", name="guilty"), node("Relu", "out", "back", name="guilty")],
        [
            node("Neg", "c", "behind", name="behind"),
            node("Abs", "behind", "far", name="behind"),
            node("Add", "x a", "b", name="guilty"),
            node("Relu", "b", "c", name="guilty"),
            node("Neg", "c", "a", name="guilty"),
        ],
    ],
    ids=["itself", "two", "others behind"],
)
def test_a_cycle_is_told_by_a_node_that_is_on_it(nodes: list[onnx.NodeProto]) -> None:
    with pytest.raises(Refused, match=r"^\w+ \('guilty'\) is part of a cycle: it reads what it makes$"):
        in_order(graph(ASIDE, *nodes))


def test_it_takes_no_time_for_many_nodes_and_many_inputs() -> None:
    chain = [node("Relu", f"n{k}" if k else "x", f"n{k + 1}") for k in range(20_000)]
    wide = onnx.NodeProto(op_type="Concat", input=["x"] * 300_000, output=["wide"])
    fan = [onnx.NodeProto(op_type="Sum", input=["wide"], output=[f"f{k}"]) for k in range(2_000)]
    all_of_it = onnx.NodeProto(
        op_type="Concat", input=[f"f{k % 2_000}" for k in range(300_000)], output=["y"]
    )
    for nodes in (chain[::-1], [all_of_it, *fan, wide], [*chain[1:], node("Relu", "n20000", "n1")]):
        since = time.process_time()
        try:
            assert len(in_order(graph(*nodes))) == len(nodes)
        except Refused as refused:
            assert "part of a cycle" in str(refused)
        assert time.process_time() - since < SECONDS
