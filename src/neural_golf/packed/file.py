"""The contents of a `.golf` file, in their order: version, images, layers, counts, positions, levels, scales.

Every network of whole numbers has exactly one file. `decode` writes what it has read once more, and refuses a
file that is not the one that comes out.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import astuple, dataclass
from fractions import Fraction

import numpy as np
from numpy.typing import NDArray

from neural_golf.base.errors import GolfError
from neural_golf.net.form import Form
from neural_golf.net.kind import Tensor
from neural_golf.net.spec import Network
from neural_golf.packed.coder import Coder, Model, Reader, Writer
from neural_golf.packed.grammar import Numbers, layers, usual_spec, version

__all__ = [
    "MOST_BYTES",
    "SUFFIX",
    "as_packed",
    "bill",
    "contents",
    "decode",
    "encode",
    "level_bits",
    "near_scale",
    "told_scales",
    "write",
]

Levels = NDArray[np.int64]
Vector = NDArray[np.float32]

SUFFIX = ".golf"
MOST_BYTES = 1 << 16  # of a file
MOST_NUMBERS = 1 << 18  # of a network, zeros included
MOST_LEVEL = 255
VERSIONS = (15, 1)  # how frequent: this version, and later ones
USUAL_SHAPE = (1, 28, 28)
FORMS = (12, 10, 1, 1)  # how frequent: images as they are; in the usual form; in another one; later ones

# Kinds through which a factor goes as it is: without biases, scales of weights decide nothing.
HOMOGENEOUS = {"conv", "linear", "relu", "abs", "leaky", "prelu", "maxpool", "avgpool", "gap"}

MANTISSAS = range(8, 16)  # of a scale: mantissa · 2 ** exponent
EXPONENTS = range(-40, 24)


@dataclass(frozen=True)
class Contents:
    """What a file says: levels [n], and for each tensor its scale as an index, or 0 where there is none."""

    form: tuple[int, ...]  # thousandths; empty for images as they are
    shape: tuple[int, ...]
    spec: tuple[str, ...]
    levels: Levels
    scales: tuple[int, ...]


def as_packed(network: Network, parameters: Vector) -> tuple[Network, Vector]:
    """The same network as a file has it: without the biases that are all 0, and without training's layers.

    Raises GolfError for a network that no file can say.
    """
    named = network.unpack(parameters)
    biases = [layer.bias is not None and bool(named[layer.bias.name].any()) for layer in network.layers]
    made = Network.parse(usual_spec(network.spec, biases), network.in_shape, network.form)
    return made, made.pack({t.name: np.asarray(named[t.name], np.float32) for t in made.tensors})


def encode(network: Network, parameters: Vector) -> bytes:
    """The file of a network whose parameters [n] are whole numbers, or whole numbers times a scale.

    Raises GolfError where they are not, or the network has layers that no file can say.
    """
    return write(contents(network, parameters))


def decode(content: bytes) -> tuple[Network, Vector]:
    """The network of a file and its parameters [n].

    Raises GolfError, in one line, for whatever is no file of this version. Its time and memory are bounded.
    """
    if not 0 < len(content) <= MOST_BYTES:
        raise GolfError(f"a .golf file has 1 to {MOST_BYTES:,} bytes, not {len(content):,}")
    try:
        found = _contents(Reader(content), None)
        network = _network(found.spec, found.shape, found.form)
        parameters = _values(network, found)
        again = encode(network, parameters)
    except GolfError as error:
        raise GolfError(f"it is no .golf file: {error}") from None
    if again != content:
        raise GolfError(f"it is not canonical: this network is another file, of {len(again):,} bytes")
    return network, parameters


def contents(network: Network, parameters: Vector) -> Contents:
    """What the file of a network says; see `encode`."""
    if not np.isfinite(parameters).all():
        raise GolfError("a number of the network is NaN or infinite")
    _check_size(network)
    network, parameters = as_packed(network, parameters)
    levels, scales = np.zeros(network.size, np.int64), []
    for tensor, told in zip(network.tensors, told_scales(network, parameters != 0), strict=True):
        values = parameters[tensor.slice]
        scale, index = _scale(tensor, values) if told else (Fraction(1), 0)
        levels[tensor.slice] = _whole(tensor, values, scale)
        scales.append(index)
    return Contents(_thousandths(network.form), network.in_shape, network.spec, levels, tuple(scales))


def write(found: Contents) -> bytes:
    """The bytes of a file's contents."""
    writer = Writer()
    _contents(writer, found)
    return writer.finish()


def bill(network: Network, parameters: Vector) -> dict[str, float]:
    """What a file is made of, in bits: the layers, the counts and positions, the levels, the scales."""
    found = contents(network, parameters)
    meter = _Meter()
    _contents(meter, found)
    return dict(zip(("layers", "positions", "levels", "scales"), np.diff(meter.marks).tolist(), strict=True))


class _Meter(Writer):
    """A Writer that knows what its symbols cost."""

    def __init__(self) -> None:
        super().__init__()
        self.bits, self.marks = 0.0, [0.0]

    def mark(self) -> None:
        self.marks.append(self.bits)

    def narrow(self, start: int, size: int, total: int) -> None:
        self.bits += math.log2(total / size)


def _contents(coder: Coder, given: Contents | None) -> Contents:
    """Write what is given, or read it."""
    later = given is not None and version(given.spec) > 1
    found = 1 + coder.interval(int(later), VERSIONS)
    if found == 2 and coder.interval(0, VERSIONS):
        raise GolfError("it is of a later version")
    form = _form(coder, given.form if given else ())
    shape = _shape(coder, given.shape if given else USUAL_SHAPE)
    spec = layers(coder, given.spec if given else (), found)
    network = _network(spec, shape, form)
    _check_size(network)
    coder.mark()
    levels = given.levels if given else np.zeros(network.size, np.int64)
    there = _places(coder, network, levels != 0)
    coder.mark()
    levels = _levels(coder, network, levels, there)
    coder.mark()
    scales = []
    for number, told in enumerate(told_scales(network, there)):
        index = given.scales[number] if given else 0
        scales.append(coder.uniform(index, len(MANTISSAS) * len(EXPONENTS)) if told else 0)
    coder.mark()
    return Contents(form, shape, spec, levels, tuple(scales))


def _network(spec: Sequence[str], shape: Sequence[int], form: Sequence[int]) -> Network:
    if min(shape) < 1:
        raise GolfError(f"there are no images of {'x'.join(map(str, shape))}")
    if form and min(form[:2]) < 1:
        raise GolfError("a form divides by its width and its height, and one of them is 0")
    made = Form(*(number / 1000 for number in form)) if form else None
    return Network.parse(spec, (shape[0], shape[1], shape[2]), made)


def _thousandths(form: Form | None) -> tuple[int, ...]:
    """A form's numbers. Raises GolfError where they are no thousandths."""
    numbers = astuple(form) if form else ()
    whole = tuple(round(number * 1000) for number in numbers)
    exact = all(made / 1000 == number for made, number in zip(whole, numbers, strict=True))
    if not exact or not all(0 <= made < 65536 for made in whole):
        raise GolfError(f"a .golf file has a form's numbers in thousandths, so it cannot say {form}")
    return whole


def _form(coder: Coder, form: Sequence[int]) -> tuple[int, ...]:
    """The form of the images: one symbol where there is none, or the usual one."""
    usual = _thousandths(Form())
    kind = coder.interval(0 if not form else 1 if tuple(form) == usual else 2, FORMS)
    if kind == 3:
        raise GolfError("its images are in a form of a later version")
    if kind == 2:
        numbers = Numbers(coder)
        return tuple(numbers.code(number, "form", {}) for number in (form or usual))
    return usual if kind else ()


def _shape(coder: Coder, shape: Sequence[int]) -> tuple[int, ...]:
    """The shape of an image: one symbol where it is the usual one."""
    usual = tuple(shape) == USUAL_SHAPE
    if not coder.interval(int(not usual), (63, 1)):
        return USUAL_SHAPE
    numbers = Numbers(coder)
    return tuple(numbers.code(size, "shape", {}) for size in shape)


def _places(coder: Coder, network: Network, there: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """Which numbers are not 0. First the count k of each tensor, most likely about 2 √n of its n numbers
    (`count_sizes`); then the numbers in their order, each with the share of those left that are not 0. All
    arrangements of k among n are then equally likely, and cost log2 C(n, k) bits.
    """
    counts = []
    for tensor in network.tensors:
        least = int(tensor.name.endswith(".bias"))  # a layer whose biases are all 0 has none
        count = int(there[tensor.slice].sum()) - least
        counts.append(least + coder.interval(count, count_sizes(tensor.size)[least:]))
    found = np.zeros(network.size, np.bool_)
    for tensor, ones in zip(network.tensors, counts, strict=True):
        left = tensor.size
        for place, bit in enumerate(there[tensor.slice].tolist(), tensor.offset):
            if not ones:
                break
            if coder.bit(bit, ones, left):
                found[place] = True
                ones -= 1
            left -= 1
    return found


def _levels(coder: Coder, network: Network, levels: Levels, there: NDArray[np.bool_]) -> Levels:
    """The numbers that are not 0: the largest size of all, then size and sign of each, in their order."""
    found = np.zeros(network.size, np.int64)
    places = np.flatnonzero(there).tolist()
    if not places:
        return found
    most = 1 + Numbers(coder).code(int(np.abs(levels).max(initial=1)) - 1, "most", {3: 32, 7: 32})
    if most > MOST_LEVEL:
        raise GolfError(f"a level above {MOST_LEVEL}")
    sizes = Model(first_sizes(most), 1)
    signs = Model([4, 4], 1)
    for place, level in zip(places, levels[places].tolist(), strict=True):
        size = 1 + coder.adaptive(abs(level) - 1, sizes)
        found[place] = -size if coder.adaptive(int(level < 0), signs) else size
    return found


def count_sizes(n: int) -> list[int]:
    """How frequent each k from 0 to n is: Cauchy's distribution with the middle 2 √n and the width √n."""
    away = np.arange(n + 1) - math.isqrt(4 * n)
    return list((1 + (n << 12) // (n + away**2)).tolist())


def first_sizes(most: int) -> list[int]:
    """How frequent each size from 1 to `most` is before the first: in a pruned network few are very small."""
    return [4 if 2 <= size <= most // 2 + 1 else 1 for size in range(1, most + 1)]


def level_bits(levels: Levels) -> float:
    """What the sizes of these levels cost in a file, in bits (zeros nothing); their order does not matter.

    With adaptive frequencies that begin with s_i and end with s_i + c_i the cost is
    log2 [Γ(Σs + Σc) / Γ(Σs)] − Σ log2 [Γ(s_i + c_i) / Γ(s_i)].
    """
    counts = np.bincount(np.abs(levels))[1:].tolist()
    first = first_sizes(len(counts))
    nats = math.lgamma(sum(first) + sum(counts)) - math.lgamma(sum(first))
    nats -= sum(math.lgamma(s + c) - math.lgamma(s) for s, c in zip(first, counts, strict=True))
    return nats / math.log(2)


def _check_size(network: Network) -> None:
    if not network.size:
        raise GolfError("the network has no numbers")
    if network.size > MOST_NUMBERS:
        raise GolfError(
            f"{network.size:,} numbers, zeros included; a .golf file has at most {MOST_NUMBERS:,}"
        )


def _slope(tensor: Tensor) -> bool:
    return tensor.name.endswith(".slope")


def _scaled(network: Network, there: NDArray[np.bool_]) -> bool:
    """Whether the scales of weights and biases decide something, so that a file has to tell them."""
    biases = any(layer.bias is not None and there[layer.bias.slice].any() for layer in network.layers)
    return biases or any(layer.kind not in HOMOGENEOUS for layer in network.layers)


def scale_of(index: int) -> Fraction:
    """The scale that an index stands for."""
    exponent, mantissa = divmod(index, len(MANTISSAS))
    return MANTISSAS[mantissa] * Fraction(2) ** EXPONENTS[exponent]


def told_scales(network: Network, there: NDArray[np.bool_]) -> list[bool]:
    """For each tensor, whether a file tells its scale, where `there` [n] says which numbers are not 0."""
    scaled = _scaled(network, there)
    return [(scaled or _slope(t)) and bool(there[t.slice].any()) for t in network.tensors]


def near_scale(scale: float) -> float:
    """The nearest scale that a file can tell."""
    every = [float(scale_of(index)) for index in range(len(MANTISSAS) * len(EXPONENTS))]
    return min(every, key=lambda one: abs(one - scale))


def _values(network: Network, found: Contents) -> Vector:
    """The parameters [n]: levels times scales. The product is exact in float32."""
    parameters = found.levels.astype(np.float64)
    told = told_scales(network, found.levels != 0)
    for tensor, index, scaled in zip(network.tensors, found.scales, told, strict=True):
        if scaled:
            parameters[tensor.slice] *= float(scale_of(index))
    return parameters.astype(np.float32)


def _scale(tensor: Tensor, values: Vector) -> tuple[Fraction, int]:
    """The largest scale of which all values of a tensor are multiples, and its index."""
    exact = [Fraction(float(v)) for v in values[values != 0].tolist()]
    unit = Fraction(math.gcd(*(f.numerator for f in exact)), math.lcm(*(f.denominator for f in exact)))
    best = None
    for mantissa in MANTISSAS:
        ratio = unit / mantissa
        twos = (ratio.numerator & -ratio.numerator).bit_length() - ratio.denominator.bit_length()
        if ratio.denominator & (ratio.denominator - 1) or twos < EXPONENTS[0]:
            continue
        exponent = min(twos, EXPONENTS[-1])
        made = (mantissa * Fraction(2) ** exponent, (exponent - EXPONENTS[0]) * len(MANTISSAS) + mantissa - 8)
        best = max(best, made) if best else made
    if best is None:
        raise GolfError(f"the numbers of {tensor.name} are not whole numbers times a scale")
    return best


def _whole(tensor: Tensor, values: Vector, scale: Fraction) -> Levels:
    """The values of a tensor as whole numbers times a scale."""
    levels = np.rint(values.astype(np.float64) / float(scale)) + 0.0  # −0 becomes 0
    if (levels * float(scale)).astype(np.float32).tobytes() != (values + np.float32(0)).tobytes():
        raise GolfError(f"the numbers of {tensor.name} are not whole numbers (`golf pack` makes them such)")
    if np.abs(levels).max() > MOST_LEVEL:
        raise GolfError(f"{tensor.name} has a level above {MOST_LEVEL}")
    return levels.astype(np.int64)
