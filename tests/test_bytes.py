"""The format .golf: round trips, one file for each network, hostile files, and how near the bits are to the bound."""

from __future__ import annotations

import contextlib
import math
import time
from dataclasses import replace
from fractions import Fraction

import numpy as np
import onnx
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

import bytes_tables
import plain_golf
from neural_golf.base.errors import GolfError
from neural_golf.net.form import Form
from neural_golf.net.onnx import unpack
from neural_golf.net.plain import Plain
from neural_golf.net.spec import Network
from neural_golf.packed import decode, encode, grammar
from neural_golf.packed import file as packed
from neural_golf.packed.coder import Model, Reader, Writer
from neural_golf.packed.file import as_packed, bill, contents, write
from neural_golf.packed.grammar import FIELDS, NAMES
from neural_golf.packed.graph import to_onnx
from neural_golf.quantise.twins import twin

Vector = NDArray[np.float32]

GOLF98 = (
    "conv 8 k5 nobias turns mirrors", "abs", "maxpool 2", "conv 8 k3 nobias turns mirrors", "abs", "maxpool 2",
    "conv 16 k3 nobias turns mirrors", "abs", "linear 10 nobias",
)  # fmt: skip
SPECS = [
    GOLF98,
    ("conv 12 k5 turns", "abs", "maxpool 2", "conv 12 k3 turns same", "abs", "avgpool 3", "linear 10 nobias"),
    ("conv 4 k4", "prelu", "maxpool 2", "conv 5 k3", "prelu", "maxpool 2", "conv 4 k3", "prelu", "linear 10"),
    (
        "conv 6 k3 g1 nobias",
        "relu",
        "conv 6 k3 g3",
        "leaky 0.01",
        "conv 6 k3 g3 tied=conv2",
        "gap",
        "linear 10",
    ),
    ("conv 20 k7", "norm", "abs", "maxpool 4", "dropout 0.5", "conv 10 k1", "gap"),
    ("conv 100 k2", "leaky 0.125", "maxpool 9", "linear 3"),
    (
        "conv 8 k5 nobias turns mirrors", "abs", "maxpool 2", "conv 8 k3 same nobias turns mirrors", "abs",
        "maxpool 2 s1", "conv 16 k3 d2 nobias turns mirrors", "abs", "avgpool 3 s2", "linear 10 nobias",
    ),
    (
        "conv 6 k3x5 same s2 nobias", "prelu", "maxpool 2x1 s1x2 p1x0", "conv 6 k1x3 same d1x2 g3", "add maxpool1", "relu",
        "dropout 0.5", "conv 6 k3 same", "add add1", "avgpool 1x2", "conv 6 k3 s2 tied=conv3", "norm", "gap", "linear 10",
    ),
    ("conv 8 k4 s2 nobias turns mirrors", "abs", "conv 8 k3 same nobias turns mirrors", "abs", "add abs1", "linear 10 nobias"),
]  # fmt: skip
FORMS = (None, Form(), Form(0.3, 0.4, 1.0, 0.25))
quick = settings(max_examples=60, deadline=None, suppress_health_check=list(HealthCheck))


def drawn(
    spec: tuple[str, ...], share: float, most: int, seed: int, shape: tuple[int, int, int] = (1, 28, 28)
) -> tuple[Network, Vector]:
    """A network of whole numbers up to `most`, times a scale of its own where a file tells it."""
    network, levels = whole(spec, share, most, seed, shape)
    values = levels.astype(np.float32)
    for tensor, told in zip(network.tensors, packed.told_scales(network, values != 0), strict=True):
        if told:
            number = np.random.default_rng(seed + tensor.offset)
            values[tensor.slice] *= np.float32(number.integers(8, 16) * 2.0 ** number.integers(-12, 3))
    return network, values


def whole(
    spec: tuple[str, ...], share: float, most: int, seed: int, shape: tuple[int, int, int] = (1, 28, 28)
) -> tuple[Network, NDArray[np.int64]]:
    """A network as a file has it, and whole numbers up to `most`, of which a share is not 0."""
    rng = np.random.default_rng(seed)
    network = Network.parse(spec, shape, FORMS[seed % 3])
    values = rng.integers(-most, most + 1, network.size) * (rng.random(network.size) < share)
    network, values = as_packed(network, values.astype(np.float32))
    return network, values.astype(np.int64)


networks = st.builds(
    drawn, st.sampled_from(SPECS), st.sampled_from([0.0, 0.01, 0.1, 0.5, 1.0]), st.sampled_from([1, 3, 8, 100]),
    st.integers(0, 10_000),
)  # fmt: skip


@quick
@given(networks)
def test_a_network_comes_back_bit_for_bit_and_has_one_file(made: tuple[Network, Vector]) -> None:
    network, values = made
    content = encode(network, values)
    again, found = decode(content)
    assert again == network
    assert found.tobytes() == (values + np.float32(0)).tobytes()
    assert encode(again, found) == content


@quick
@given(networks)
def test_a_file_is_as_long_as_the_bits_of_its_symbols(made: tuple[Network, Vector]) -> None:
    """At most one byte more than they are when rounded up; and positions cost log2 C(n, k) and the counts."""
    network, values = made
    bits = bill(network, values)
    assert len(encode(network, values)) <= math.ceil(sum(bits.values()) / 8) + 1
    bound = sum(math.log2(math.comb(t.size, int((values[t.slice] != 0).sum()))) for t in network.tensors)
    assert (
        bound <= bits["positions"] + 1e-6 <= bound + sum(4 + 1.5 * math.log2(t.size) for t in network.tensors)
    )


@quick
@given(networks)
def test_a_decoder_that_was_written_from_the_page_reads_the_same(made: tuple[Network, Vector]) -> None:
    network, values = made
    layers, numbers = plain_golf.read(encode(network, values))
    assert [kind for kind, _ in layers] == [layer.kind for layer in network.layers]
    assert [x for tensor in numbers for x in tensor] == [Fraction(float(x)) for x in values]


def test_the_tables_of_the_page_are_those_of_the_code() -> None:
    text = bytes_tables.PAGE.read_text(encoding="utf-8")
    assert bytes_tables.written(text) == text


def test_sizes_cost_what_adaptive_frequencies_cost() -> None:
    network, values = drawn(GOLF98, 0.1, 8, 0)
    signs = Model([4, 4], 1)
    cost = 0.0
    for sign in (values[values != 0] < 0).astype(int).tolist():
        cost -= math.log2(signs.sizes[sign] / sum(signs.sizes))
        signs.sizes[sign] += 1
    told = bill(network, values)["levels"] - cost - packed.level_bits(contents(network, values).levels)
    assert 0.5 < told < 8  # the largest size


@quick
@given(networks, st.data())
def test_a_mutated_file_is_refused_in_one_line_or_is_the_one_file_of_another_network(
    made: tuple[Network, Vector], data: st.DataObject
) -> None:
    content = bytearray(encode(*made))
    for _ in range(data.draw(st.integers(1, 3))):
        at = data.draw(st.integers(0, len(content) - 1))
        match data.draw(st.sampled_from(["flip", "cut", "more", "drop"])):
            case "flip":
                content[at] ^= 1 << data.draw(st.integers(0, 7))
            case "cut":
                del content[max(at, 1) :]
            case "more":
                content += data.draw(st.binary(min_size=1, max_size=4))
            case "drop" if len(content) > 1:
                del content[at]
    refused_or_canonical(bytes(content))


@settings(max_examples=300, deadline=None)
@given(st.binary(min_size=0, max_size=120))
def test_random_bytes_are_refused_in_one_line(content: bytes) -> None:
    refused_or_canonical(content)


def refused_or_canonical(content: bytes) -> None:
    start = time.process_time()
    try:
        network, values = decode(content)
    except GolfError as error:
        assert "\n" not in str(error) and str(error).isascii()
    else:
        assert encode(network, values) == content
    assert time.process_time() - start < 10


@pytest.mark.parametrize("extra", [b"\0", b"\1", b"\0\0\0", b"\xff" * 40])
def test_more_bytes_than_needed_are_refused(extra: bytes) -> None:
    with pytest.raises(GolfError, match="not canonical"):
        decode(encode(*drawn(GOLF98, 0.1, 4, 0)) + extra)


def test_an_empty_file_and_a_very_long_one_are_refused() -> None:
    for content in (b"", b"\0" * (packed.MOST_BYTES + 1), b"\xff" * packed.MOST_BYTES):
        with pytest.raises(GolfError):
            decode(content)


def said(spec: tuple[str, ...], shape: tuple[int, int, int] = (1, 28, 28), version: int = 1) -> bytes:
    """The beginning of a file that has this spec: nothing about it is looked at."""
    writer = Writer()
    writer.interval(int(version > 1), (15, 1))
    if version > 1:
        writer.interval(version - 2, (15, 1))
    writer.interval(0, packed.FORMS)
    packed._shape(writer, shape)
    grammar.layers(writer, spec, min(version, 2))
    return writer.finish()


BOMBS = {
    "wide": (("conv 65000 k7", "conv 65000 k7", "linear 10"), "at most 262,144"),
    "many classes": (("linear 65550",), "at most 262,144"),
    "deep": (("conv 1 k1",) * 64 + ("gap",), "more than 64 layers"),
    "no numbers": (("gap",), "no numbers"),
    "does not fit": (("maxpool 40", "linear 10"), "does not fit"),
    "no end": (("conv 1 k1",), "one number per class"),
    "no layers": ((), "one number per class"),
    "tied to nothing": (("conv 4 k3 tied=conv7", "gap"), "no earlier layer"),
}
LATER_BOMBS = {
    "version 1 can say it": ("conv 4 k3 nobias", "gap"),
    "added to itself": ("conv 4 k3", "add conv1", "gap"),
    "unlike shapes": ("conv 4 k3", "conv 4 k3", "add conv1", "gap"),
    "unlike positions": ("conv 8 k1", "conv 8 k1 turns", "add conv1", "gap"),
    "turned and not square": ("conv 8 k3x5 turns", "gap"),
    "turned with a remainder": ("conv 8 k3 s2 turns", "gap"),
    "50 pixels": ("conv 8 k1x50 s2", "gap"),
    "no rows": ("conv 8 k0x5", "gap"),
    "no step": ("maxpool 2 s0x1", "linear 10"),
    "no stride": ("conv 8 k3 s0x1", "gap"),
    "padded by more than half": ("maxpool 1x3 p1x0", "linear 10"),
    "window too tall": ("maxpool 29x1", "linear 10"),
    "kernel too wide": ("conv 1 k1x20 d1x2", "linear 10"),
}


@pytest.mark.parametrize("name", BOMBS)
def test_impossible_and_enormous_networks_are_refused_at_once(name: str) -> None:
    spec, why = BOMBS[name]
    start = time.process_time()
    with pytest.raises(GolfError, match=why):
        decode(said(spec))
    assert time.process_time() - start < 1


@pytest.mark.parametrize("name", LATER_BOMBS)
def test_what_version_2_cannot_say_is_refused(name: str) -> None:
    with pytest.raises(GolfError):
        decode(said(LATER_BOMBS[name], version=2))


def test_a_sum_is_no_layer_of_version_1_and_there_is_no_version_3(monkeypatch: pytest.MonkeyPatch) -> None:
    spec = ("conv 4 k3 nobias", "abs", "add conv1", "gap")
    with pytest.raises(GolfError, match="of a later version"):
        decode(said(spec, version=3))
    bare = {
        name: {kind: n for kind, n in usual.items() if kind != "add"} for name, usual in grammar.AFTER.items()
    }
    monkeypatch.setattr(grammar, "KNOWN", {1: 12})
    monkeypatch.setattr(grammar, "AFTER", bare)
    content = said(spec)
    monkeypatch.undo()
    with pytest.raises(GolfError, match="a layer of a later version"):
        decode(content)


def test_files_of_version_1_keep_their_bytes() -> None:
    """These were written before there was a version 2."""
    begin = {
        GOLF98: "4b90e2d81c03560457970e17a7593ad47140b2fb5fca56c3",
        SPECS[3]: "21dcff6aa0ea79d1a7fc9ad850c25faaad92671b2214a08f",
        SPECS[6]: "4b91756dc4760d3c06ee033aaeb15ebf7683febe6bd6bd12",
    }
    assert {spec: encode(*drawn(spec, 0.1, 4, 0))[:24].hex() for spec in begin} == begin


@pytest.mark.parametrize("shape", [(0, 28, 28), (1, 0, 28), (1, 28, 0)])
def test_images_without_pixels_are_refused(shape: tuple[int, int, int]) -> None:
    with pytest.raises(GolfError, match="no images of"):
        decode(said(("conv 4 k1 nobias", "linear 10"), shape))


@pytest.mark.parametrize("numbers", [(0, 396, 500, 500), (250, 0, 500, 500)])
def test_a_form_without_a_width_or_a_height_is_refused(
    numbers: tuple[int, ...], monkeypatch: pytest.MonkeyPatch
) -> None:
    """ONNX and the engine divide by both."""
    network, values = drawn(GOLF98, 0.1, 4, 1)
    found = replace(contents(network, values), form=numbers)
    monkeypatch.setattr(packed, "_network", lambda spec, shape, form: network)
    content = write(found)
    monkeypatch.undo()
    with pytest.raises(GolfError, match="one of them is 0"):
        to_onnx(content)


def test_a_network_at_the_limit_takes_seconds() -> None:
    network, values = drawn(("linear 10",), 1.0, 255, 0, (1, 160, 163))
    assert network.size > 0.99 * packed.MOST_NUMBERS
    start = time.process_time()
    with pytest.raises(GolfError, match="65,536 bytes"):  # its file is too long, which is seen at once
        decode(encode(network, values))
    sparse = np.where(np.arange(network.size) % 9 == 0, np.float32(1), np.float32(0))
    decode(encode(network, sparse))
    assert time.process_time() - start < 20


def test_a_stride_that_is_the_size_is_not_told(monkeypatch: pytest.MonkeyPatch) -> None:
    told = {"size": 2, "stride": 2, "pad": 0}
    values = grammar._values
    monkeypatch.setattr(
        grammar, "_values", lambda text, before: told if text == "maxpool 2" else values(text, before)
    )
    content = said(("maxpool 2", "linear 10"))
    monkeypatch.undo()
    with pytest.raises(GolfError):
        decode(content)


def test_a_second_way_to_say_the_same_is_refused() -> None:
    """Levels twice as large with half of the scale are the same numbers."""
    network, values = drawn(SPECS[2], 0.3, 8, 3)
    found = contents(network, values)
    first = network.tensors[0].slice
    doubled = found.levels.copy()
    doubled[first] *= 2
    scales = (found.scales[0] - len(packed.MANTISSAS), *found.scales[1:])
    with pytest.raises(GolfError, match="not canonical"):
        decode(write(replace(found, levels=doubled, scales=scales)))


def test_words_of_a_spec_are_written_in_one_way() -> None:
    plain = Network.parse(("conv 4 k3 nobias g1", "abs", "maxpool 2", "dropout 0.1", "linear 10"))
    other = Network.parse(("conv 4 k3 g1 nobias", "abs", "maxpool 2", "linear 10 nobias"))
    values = np.ones(other.size, np.float32)
    named = dict.fromkeys((t.name for t in plain.tensors), np.float32(0))
    ones = plain.pack({t.name: np.full(t.shape, named[t.name] + (not t.name.endswith("bias")), np.float32) for t in plain.tensors})  # fmt: skip
    assert encode(plain, ones) == encode(other, values)


@pytest.mark.parametrize("value", [0.5, 256.0, np.nan, np.inf])
def test_numbers_that_are_not_whole_are_not_packed(value: float) -> None:
    network, values = drawn(GOLF98, 0.1, 4, 0)
    values[np.flatnonzero(values)[0]] = value
    with pytest.raises(GolfError):
        encode(network, values)


def test_every_kind_of_layer_has_a_number_and_fields() -> None:
    assert len(set(NAMES)) == len(NAMES) <= 16 and set(FIELDS) <= set(NAMES)


@settings(max_examples=200, deadline=None)
@given(st.lists(st.tuples(st.integers(0, 3), st.integers(1, 1 << 20), st.integers(0, 1 << 20)), max_size=30))
def test_the_range_coder_returns_what_was_written(symbols: list[tuple[int, int, int]]) -> None:
    """Also where a byte carries into those before it, and with probabilities of a millionth."""

    def through(coder: Writer | Reader) -> list[int]:
        model = Model([1, 5, 1 << 18], 7)
        found = []
        for kind, total, value in symbols:
            match kind:
                case 0:
                    found.append(coder.uniform(value % total, total))
                case 1:
                    found.append(coder.bit(value % 2 if total > 1 else 1, 1, max(total, 1)))
                case 2:
                    found.append(coder.adaptive(value % 3, model))
                case 3:
                    found.append(coder.interval(int(value > 0), (1, (1 << 24) - 1)))
        return found

    writer = Writer()
    written = through(writer)
    content = writer.finish()
    assert through(Reader(content)) == written
    for shorter in range(len(content)):  # no shorter file says the same
        for last in (content[:shorter], content[: shorter - 1] + b"\xff"):
            with contextlib.suppress(GolfError):
                assert shorter == 0 or through(Reader(last)) != written


def test_the_onnx_file_is_the_network() -> None:
    network, values = drawn(GOLF98, 0.12, 8, 1)
    content = encode(network, values)
    made = to_onnx(content)
    assert made == to_onnx(content)
    again, found = unpack(made, "unpacked")
    assert again == network and found.tobytes() == values.tobytes()
    onnx.checker.check_model(onnx.load_from_string(made))


TWINS = [
    GOLF98,
    ("conv 12 k5 turns", "abs", "maxpool 2", "conv 12 k3 turns", "abs", "maxpool 2", "conv 16 k3 turns", "abs", "linear 10"),
    ("conv 4 k5", "abs", "maxpool 2", "conv 6 k3", "relu", "maxpool 2", "conv 5 k3", "abs", "gap"),
    ("conv 8 k5 turns mirrors", "abs", "maxpool 3", "conv 3 k3", "leaky 0.1", "linear 10"),
    ("conv 4 k5", "prelu", "conv 4 k3 g2", "abs", "linear 10"),
    ("conv 4 k5 s2", "abs", "conv 4 k1x3 same", "abs", "add abs1", "conv 5 k3", "abs", "linear 10"),
    ("conv 4 k5", "conv 5 k1", "conv 5 k3 same", "add conv2", "linear 10"),
]  # fmt: skip


@pytest.mark.parametrize("spec", TWINS)
def test_twins_compute_the_same(spec: tuple[str, ...], rng: np.random.Generator) -> None:
    network, values = whole(spec, 0.3, 4, 5)
    images = rng.random((1, 28, 28, 3))
    want = Plain(network, values.astype(np.float64)).forward(images)[-1]
    seen = set()
    for _ in range(10):
        levels = twin(network, values, rng)
        found = Plain(network, levels.astype(np.float64)).forward(images)[-1]
        assert np.allclose(found, want, rtol=1e-9)
        seen.add(levels.tobytes())
    assert len(seen) > 1 or "prelu" in spec


def test_the_committed_network_is_far_from_its_bound_only_by_what_the_layers_cost() -> None:
    """golf98's topology with 200 weights of 4 bits: positions, sizes and signs are within 5 % of the entropy."""
    network, values = drawn(GOLF98, 200 / 1689, 8, 3)
    levels = contents(network, values).levels
    sizes = np.unique(np.abs(levels[levels != 0]), return_counts=True)[1]
    k = sizes.sum()
    entropy = float(-(sizes * np.log2(sizes / k)).sum()) + k
    entropy += sum(math.log2(math.comb(t.size, int((values[t.slice] != 0).sum()))) for t in network.tensors)
    assert len(encode(network, values)) * 8 <= 1.05 * entropy + 40
