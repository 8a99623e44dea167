"""The C text of a plan: a file with its tables and only the code that this network needs, and its header."""

from __future__ import annotations

import math
import re
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import jinja2
import numpy as np
from numpy.typing import NDArray

from neural_golf.base.errors import GolfError
from neural_golf.device.plan import Stage, pads, plan, upright
from neural_golf.device.rows import Rows
from neural_golf.device.tables import Tables, number, numbers, unsigned
from neural_golf.device.whole import Whole
from neural_golf.net.form import FAINT
from neural_golf.net.layers import EPSILON
from neural_golf.net.spec import Network

__all__ = ["Given", "Source", "c_string", "template", "write_source"]

Values = NDArray[Any]
# Words of C, and names of this file.
RESERVED = """
auto break case char const continue default do double else enum extern float for goto if inline int long
register restrict return short signed sizeof static struct switch typedef union unsigned void volatile while
main cell sum small stage stages taps weights biases slopes memory root power ink measure pixel normalise row
image logits low share scaled
"""
# Functions of C's library: those of numbers, of which there are three each, and others.
MATHS = """
acos acosh asin asinh atan atan2 atanh cbrt ceil copysign cos cosh erf erfc exp exp2 expm1 fabs fdim floor
fma fmax fmin fmod frexp hypot ilogb ldexp lgamma llrint llround log log10 log1p log2 logb lrint lround modf
nan nearbyint nextafter nexttoward pow remainder remquo rint round scalbln scalbn sin sinh sqrt tan tanh
tgamma trunc cabs carg cimag conj cproj creal cacos casin catan ccos cexp clog cpow csin csqrt ctan cacosh
casinh catanh ccosh csinh ctanh
"""
LIBRARY = """
abort abs atexit calloc exit fprintf fputc fputs free fscanf fwrite imaxabs isalnum isalpha isblank iscntrl
isdigit isgraph islower isprint ispunct isspace isupper isxdigit labs llabs malloc memchr memcmp memcpy
memmove memset printf putchar puts realloc scanf snprintf sprintf sscanf strcat strchr strcmp strcpy strcspn
strlen strncat strncmp strncpy strpbrk strrchr strspn strstr tolower toupper vfprintf vfscanf vprintf vscanf
vsnprintf vsprintf vsscanf asctime atof atoi atol atoll bsearch btowc clearerr clock ctime difftime div fclose
feclearexcept fegetenv fegetexceptflag fegetround feholdexcept feof feraiseexcept ferror fesetenv
fesetexceptflag fesetround fetestexcept feupdateenv fflush fgetc fgetpos fgets fgetwc fgetws fopen fputwc
fputws fread freopen fseek fsetpos ftell fwide fwprintf fwscanf getc getchar getenv gets getwc getwchar gmtime
imaxdiv iswalnum iswalpha iswblank iswcntrl iswctype iswdigit iswgraph iswlower iswprint iswpunct iswspace
iswupper iswxdigit ldiv lldiv localeconv localtime longjmp mblen mbrlen mbrtowc mbsinit mbsrtowcs mbstowcs
mbtowc mktime perror putc putwc putwchar qsort raise rand remove rename rewind setbuf setlocale setvbuf signal
srand strcoll strerror strftime strtod strtof strtoimax strtok strtol strtold strtoll strtoul strtoull
strtoumax strxfrm swprintf swscanf system time tmpfile tmpnam towctrans towlower towupper ungetc ungetwc
vfwprintf vfwscanf vswprintf vswscanf vwprintf vwscanf wcrtomb wcscat wcschr wcscmp wcscoll wcscpy wcscspn
wcsftime wcslen wcsncat wcsncmp wcsncpy wcspbrk wcsrchr wcsrtombs wcsspn wcsstr wcstod wcstof wcstoimax wcstok
wcstol wcstold wcstoll wcstombs wcstoul wcstoull wcstoumax wcsxfrm wctob wctomb wctrans wctype wmemchr wmemcmp
wmemcpy wmemmove wmemset wprintf wscanf
"""
# Macros and types of its headers. Others have capitals only, begin with _, PRI or SCN, or end in _t.
MACROS = """
L_tmpnam P_tmpdir alignas alignof alloca and and_eq asm assert bitand bitor bool compl complex constexpr
errno false fpclassify imaginary isfinite isgreater isgreaterequal isinf isless islessequal islessgreater
isnan isnormal isunordered jmp_buf linux math_errhandling noreturn not not_eq nullptr offsetof or or_eq
setjmp signbit static_assert stderr stdin stdout thread_local true typeof unix va_arg va_copy va_end va_list
va_start xor xor_eq
"""
HEADERS = re.compile(r"_.*|[^a-z]*|(PRI|SCN)[diouxX].*|.*_t")


@dataclass(frozen=True)
class Source:
    """What `golf c` writes, and what can be said of it without a compiler.

    memory: bytes of static memory. adds: multiply-adds for an image.
    """

    code: str
    header: str
    memory: int
    adds: int


@dataclass(frozen=True)
class Given:
    """What the function is given: an image's numbers, of a type of C.

    low, high: for each channel, which numbers are 0 and 1 to the network; if there are none, bytes go from 0
    to 255 and a float from 0 to 1.
    """

    pixel: str = "unsigned char"
    low: tuple[float, ...] = ()
    high: tuple[float, ...] = ()

    @property
    def words(self) -> str:
        """What a number of an image is."""
        if self.low:
            ends = [f"{low:g} to {high:g}" for low, high in zip(self.low, self.high, strict=True)]
            few = dict.fromkeys(ends) if len(set(ends)) == 1 else ends[:8]
            return f"the data's own numbers ({', '.join(few)}{', ...' if len(few) < len(set(ends)) else ''})"
        return "numbers from 0 to 1" if self.pixel == "float" else "bytes"

    def told(self) -> dict[str, str]:
        """Where each range begins, and one over its length, in C."""
        lengths = [high - low for low, high in zip(self.low, self.high, strict=True)]
        shares = [1 / length if length > 0 else 0.0 for length in lengths]
        return {"low": numbers(self.low), "share": numbers(shares)} if self.low else {}


def write_source(
    network: Network, parameters: NDArray[np.float32], name: str = "net", given: Given | None = None,
    whole: Whole | None = None, header: str = "net.h", classes: Sequence[str] = (),
) -> Source:  # fmt: skip
    """The C99 of a network with parameters [n], as a function called `name`.

    With `whole` all weights and maps are whole numbers; see `whole.calibrated`. header: the file that the
    code includes; it lists the names of the classes, if they are given.

    Raises GolfError for a name that is none in C, and for a layer that cannot be written.
    """
    if not name.isidentifier() or not name.isascii():
        raise GolfError(f"--name {name!r} should be letters, digits and _, as C wants it")
    maths = MATHS.split()
    three = {*maths, *(f"{one}f" for one in maths), *(f"{one}l" for one in maths)}
    known = {*RESERVED.split(), *LIBRARY.split(), *MACROS.split(), *three}
    if name in known or HEADERS.fullmatch(name):
        raise GolfError(f"--name {name} means something else in C, or in this file")
    given, shape = given or Given(), network.in_shape
    network = upright(network)
    stages = whole.stages if whole else plan(network)
    tables = Tables(network, parameters, stages, whole)
    features = _features(network, stages, whole, tables)
    rows = Rows(stages, tables, features, whole)
    sides = {name: _side(name, columns) for name, columns in rows.pairs.items()}
    unit = whole.scales[-1] if whole else 1.0
    adds = _adds(network, parameters)
    memory = rows.memory * (whole.cell_bytes if whole else 4)
    told = {
        **features, **sides, "by_down": f" * {sides['down']['w']}" if sides["down"]["w"] != "1" else "",
        "counted": features["pads"] or features["adds"],
        "name": name, "NAME": name.upper(), "header": header, "spec": ", ".join(network.spec),
        "nonzero": np.count_nonzero(parameters), "shape": network.in_shape, "said_shape": shape,
        "classes": network.classes, "names": [c_string(one) for one in classes],
        "pixel": given.pixel, "given": given.words, "ranges": given.told(),
        "logit": "int" if whole else "float", "unit": f"{unit:.9g}f", "adds_number": f"{adds:,}",
        "bytes": f"{memory:,}", "memory": rows.memory,
        "rows": rows.cells(), "columns": rows.columns, "n": len(stages),
        "cell": whole.cell if whole else "float", "sum": "int" if whole else "float",
        "cols": max(stage.cols for stage in stages), "epsilon": f"{EPSILON:g}f", "tables": tables.texts(),
        "value": _value(given), "read": _read(network, given, whole),
        "unit_factor": " * t->unit" if tables.unit else "",
        "lowest": whole.lowest if whole else 0, "highest": whole.highest if whole else 0,
        "last_argument": f", s == {len(stages) - 1} ? logits : 0" if whole else "",
    }  # fmt: skip
    code, text = (template(part).render(told) for part in ("net.c.j2", "net.h.j2"))
    return Source(code, text, memory, adds)


def _side(name: str, columns: dict[str, str]) -> dict[str, str]:
    """How the code reads the two sides of something of stage `t`; without columns they are 1."""
    if name == "pad":  # of the next stage, too
        return columns
    return {side: f"t->{column}" if column else "1" for side, column in columns.items()}


@cache
def template(name: str) -> jinja2.Template:
    """A text of this folder, with places to fill in."""
    return jinja2.Environment(
        loader=jinja2.FileSystemLoader(Path(__file__).parent), undefined=jinja2.StrictUndefined,
        trim_blocks=True, lstrip_blocks=True, keep_trailing_newline=True,
    ).get_template(name)  # fmt: skip


def _features(
    network: Network, stages: Sequence[Stage], whole: Whole | None, tables: Tables
) -> dict[str, Any]:
    """Which parts of the code are needed."""
    form = network.form
    return {
        "whole_maps": whole is not None,
        "walk": tables.walk,
        "orbit": any(stage.orbit > 1 for stage in stages),
        "mirrors": any(stage.orbit > 4 for stage in stages),
        "window": any(stage.op != "taps" for stage in stages),
        "window_mean": any(stage.op == "mean" for stage in stages),
        "alike": any(place["alike"] for place in tables.places),
        "adds": any(stage.adds is not None for stage in stages),
        "activation": any(stage.slope != 1 or stage.slopes for stage in stages),
        "pool": any(stage.pool != (1, 1) or stage.step != (1, 1) for stage in stages),
        "pool_mean": any(stage.pool_mean for stage in stages),
        "pads": pads(stages),
        "border": any(any(stage.pad) and stage.op == "largest" for stage in stages),
        "norm": any(stage.norm is not None for stage in stages),
        "form": form and {
            "faint": f"{FAINT:g}f",
            "kx": _spread("uu", form.width, form.width_exponent),
            "ky": _spread("vv", form.height, form.height_exponent),
            "power": not {form.width_exponent, form.height_exponent} <= set(_ROOTS),
        },
        "small": unsigned(
            size
            for s in stages
            for size in (s.width, *s.shape, s.outs, s.cols, s.rows + s.down[0], *s.pool, *s.step)
        ),
    }  # fmt: skip


_ROOTS = {0.0: "1", 0.5: "root(root({}))", 1.0: "root({})"}


def _spread(square: str, size: float, exponent: float) -> str:
    """(√square / size) to an exponent, in C."""
    if exponent in _ROOTS:
        return f"{_ROOTS[exponent].format(square)} * {number(float(size**-exponent))}"
    return f"power({square}, {number(exponent / 2)}) * {number(float(size**-exponent))}"


def _value(given: Given) -> str:
    """A number of the image in C as one from 0 to 1, at `place` of channel c."""
    if given.low:
        return "scaled(image[{place}], {channel})"
    return "image[{place}]" if given.pixel == "float" else "image[{place}] * (1 / 255.0f)"


def _read(network: Network, given: Given, whole: Whole | None) -> str:
    """A number of the image in C as the first stage sees it, at row y and column i of channel c."""
    channels, height, width = network.in_shape
    channel = "c" if channels > 1 else "0"
    place = f"(c * {height} + y) * {width} + i" if channels > 1 else f"y * {width} + i"
    if network.form:
        value = f"pixel(image, m, {channel}, y, i)"
    elif whole and given.pixel != "float":
        bits = whole.pixel_bits
        return f"(cell)(image[{place}] >> {8 - bits})" if bits < 8 else f"image[{place}]"
    else:
        value = _value(given).format(place=place, channel=channel)
    return f"(cell)({value} * {number(1 / whole.scales_before[0])} + 0.5f)" if whole else value


def c_string(text: str) -> str:
    """A text between quotes in C, in UTF-8. What is no plain letter there is written as a number.

    >>> print(c_string("ae"), c_string('é "?"'))
    "ae" "\\303\\251 \\042\\077\\042"
    """
    plain = (chr(b) if 32 <= b < 127 and chr(b) not in '"?\\' else f"\\{b:03o}" for b in text.encode())
    return f'"{"".join(plain)}"'


def _adds(network: Network, parameters: Values) -> int:
    """Multiply-adds for an image: each weight that is not zero, once per place where its kernel is put."""
    found = 0
    for layer in network.layers:
        if layer.weight is not None and layer.weight.name.endswith(".weight"):
            found += (
                layer.orbit
                * math.prod(layer.out_shape[1:])
                * int(np.count_nonzero(parameters[layer.weight.slice]))
            )
    return int(found)
