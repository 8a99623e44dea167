"""Operators that are not scored come with what to do instead; Swish of operator set 24 is scored."""

from __future__ import annotations

import pytest

from nets import mean_net, node
from neural_golf.referee.counting import count
from neural_golf.referee.rules import Refused


@pytest.mark.parametrize(
    ("op", "advice"),
    [
        ("Einsum", "write it as MatMul, Mul and ReduceSum"),
        ("Resize", "shrink with a pool or with strides"),
        ("ConstantOfShape", "PyTorch pads without it if it exports with dynamo=True"),
        ("Greater", "write it with Relu, Clip, Max and Min"),
        ("LessOrEqual", "write it with Relu, Clip, Max and Min"),
        ("Where", "write it with Relu, Clip, Max and Min"),
        ("ArgMax", "hand in the numbers of the classes and not the labels"),
    ],
)
def test_a_refused_operator_comes_with_what_to_do(op: str, advice: str) -> None:
    with pytest.raises(Refused) as caught:
        count(mean_net(node(op, "f", "g")))
    assert str(caught.value) == f"operator '{op}' is not on the list of allowed ones: {advice}"


@pytest.mark.parametrize(
    ("op", "advice"),
    [
        ("LinearClassifier", "write it as MatMul and Add"),
        ("Scaler", "write it as Sub and Mul, or bring it into the first layer"),
        ("ZipMap", "export with options={'zipmap': False}, and keep only the output of the probabilities"),
    ],
)
def test_an_operator_of_skl2onnx_comes_with_what_to_do(op: str, advice: str) -> None:
    with pytest.raises(Refused) as caught:
        count(mean_net(node(op, "f", "g", domain="ai.onnx.ml")))
    assert str(caught.value) == f"operator '{op}' of domain 'ai.onnx.ml'; only ai.onnx is scored: {advice}"


@pytest.mark.parametrize(("opset", "which"), [(6, "a newer"), (27, "an older"), (999, "an older")])
def test_another_operator_set_comes_with_what_to_do(opset: int, which: str) -> None:
    with pytest.raises(Refused) as caught:
        count(mean_net(opset=opset))
    told = f"operator set {opset}; from 7 to 26 are scored: export it again with {which} one"
    assert str(caught.value) == told


@pytest.mark.parametrize(("alpha", "more"), [({}, 0), ({"alpha": 1.0}, 0), ({"alpha": 1.7}, 1)])
def test_swish_counts_its_alpha_unless_it_is_the_default(alpha: dict[str, float], more: int) -> None:
    counted = count(mean_net(node("Swish", "f", "g", **alpha), opset=24))
    assert (counted.parameters, counted.nonzero) == (10 + more, 10 + more)


def test_swish_does_not_exist_before_operator_set_24() -> None:
    with pytest.raises(Refused, match="operator Swish does not exist in operator set 23"):
        count(mean_net(node("Swish", "f", "g"), opset=23))
