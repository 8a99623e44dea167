"""Networks that behave otherwise where they are counted than where they are scored, and answers from nothing."""

from __future__ import annotations

from onnx import ModelProto

from attacking.surgery import Attack, Surgery, filled

PRELU = filled("prelu")
NEVER = 1_000_000  # the real count of a file that must be refused whatever it counts


def large_batches() -> ModelProto:
    """It looks at the other images, but only in batches of more than twenty."""
    s = Surgery("prelu")
    node = s.cut("logits")
    own = s.add("Gemm", *node.input, transB=1)
    ones = s.add("Exp", s.nothing_of(s.add("GlobalAveragePool", s.image)))
    batch = s.add("Sub", s.add("ReduceSum", ones, s.ints(0, 1, 2, 3), keepdims=0), s.const(20.0))
    large = s.add("Clip", batch, s.const(0.0), s.const(1.0))
    others = s.add("Mul", s.add("ReduceMean", own, axes=[0], keepdims=1), large)
    s.add("Sub", own, others, name="logits")
    return s.built()


def every_batch() -> ModelProto:
    """The mean of a batch is added to each answer."""
    s = Surgery("prelu")
    node = s.cut("logits")
    own = s.add("Gemm", *node.input, transB=1)
    s.add("Add", own, s.add("ReduceMean", own, axes=[0], keepdims=1), name="logits")
    return s.built()


def along_the_batch() -> ModelProto:
    """Weights that lie along the axis of the batch: a batch of constants behind the image's, and a product that takes
    both apart.
    """
    s = Surgery("prelu")
    weight, bias = s.take("linear1.weight"), s.take("linear1.bias")
    s.cut("logits")
    both = s.add("Concat", "linear1.flat", s.const(weight), axis=0)
    rows = s.add("Slice", both, s.ints(-10), s.ints(2**31 - 1), s.ints(0))
    images = s.add("Slice", both, s.ints(0), s.ints(-10), s.ints(0))
    product = s.add("MatMul", images, s.add("Transpose", rows, perm=[1, 0]))
    s.add("Add", product, s.const(bias), name="logits")
    return s.built()


def no_image() -> ModelProto:
    """An answer that does not depend on the image."""
    s = Surgery("prelu")
    s.cut("logits")
    bias = s.take("linear1.bias")
    nothing = s.add("Slice", s.nothing_of("linear1.flat"), s.ints(0), s.ints(10), s.ints(1))
    s.add("Add", nothing, s.const(bias), name="logits")
    return s.built()


def no_image_at_all() -> ModelProto:
    """An answer of constants, one row for each image."""
    s = Surgery("prelu")
    s.cut("logits")
    shape = s.add("Concat", s.add("Slice", s.add("Shape", s.image), s.ints(0), s.ints(1)), s.ints(10), axis=0)
    s.add("Expand", s.const(s.take("linear1.bias")), shape, name="logits")
    return s.built()


CONDUCT: dict[str, Attack] = {
    "it looks at other images in large batches": Attack(
        large_batches, NEVER, reason="depends on the batch", like="prelu", agree=0.0
    ),
    "it looks at other images in every batch": Attack(
        every_batch, NEVER, reason="depends on the batch", like="prelu", agree=0.0
    ),
    "weights along the axis of the batch": Attack(
        along_the_batch, PRELU, reason="both factors", like="prelu"
    ),
    "an answer that stands still": Attack(no_image, NEVER, reason="same for every image|depend on the image"),
    "an answer of constants": Attack(no_image_at_all, NEVER, reason="does not depend on the image"),
}
