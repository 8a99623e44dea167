"""The graph's input: how much it may take at once, and initializers that are listed among the inputs."""

from __future__ import annotations

import numpy as np
import pytest
from onnx import TensorProto, helper

from nets import W10, mean_net
from neural_golf.referee.counting import count
from neural_golf.referee.frame import BATCH, NUMBERS, graph_input
from neural_golf.referee.rules import Refused


@pytest.mark.parametrize("batch", ["batch", 1, 64, BATCH])
def test_a_batch_is_free_or_of_any_size_up_to_the_limit(batch: str | int) -> None:
    free = None if batch == "batch" else batch
    found = graph_input(mean_net(image=[batch, 1, 28, 28]).graph)
    assert found == ("x", TensorProto.FLOAT, (1, 28, 28), free)


@pytest.mark.parametrize("image", [["batch", 1, 1 << 12, 1 << 12], [BATCH, 1, 100, 100]])
def test_as_much_as_the_limit_is_taken(image: list[str | int]) -> None:
    graph_input(mean_net(image=image).graph)


@pytest.mark.parametrize(
    "image",
    [
        ["batch", 1, 1 << 12, (1 << 12) + 1],
        [BATCH, 3, 100, 100],
        [2, 1 << 40, 1 << 40, 1 << 40],
        ["n", 1 << 62],
    ],
)
def test_an_image_beyond_all_measure_is_refused_before_it_takes_memory(image: list[str | int]) -> None:
    with pytest.raises(
        Refused, match=rf"^the graph's input takes \d+ numbers at once; the limit is {NUMBERS}$"
    ):
        count(mean_net(image=image))


@pytest.mark.parametrize("first", [True, False])
def test_initializers_among_the_inputs_are_none(first: bool) -> None:
    made = mean_net()
    weight = helper.make_tensor_value_info("w", TensorProto.FLOAT, W10.shape)
    made.graph.input.insert(0 if first else 1, weight)
    made.ir_version = 3
    assert graph_input(made.graph)[0] == "x"
    assert count(made).nonzero == np.count_nonzero(W10)


def test_a_graph_of_initializers_alone_is_told() -> None:
    made = mean_net()
    made.graph.initializer.add(name="x", data_type=TensorProto.FLOAT, dims=[1], float_data=[1.0])
    with pytest.raises(Refused, match=r"^the graph has 0 inputs; it must have one, the images$"):
        graph_input(made.graph)
