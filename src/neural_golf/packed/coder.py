"""A range coder: symbols of stated probabilities as one number in [0, 1), written as the fewest bytes.

Writer and Reader have the same methods, so what a file holds is written down once for both: the Reader takes
no notice of the value that it is given, and returns the one that the file has.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence

from neural_golf.base.errors import GolfError

__all__ = ["MOST_TOTAL", "Coder", "Model", "Reader", "Writer"]

WIDTH, REFILL = 48, 40  # bits of a full range, and the number of bits below which it gets another byte
MOST_TOTAL = 1 << 24


class Model:
    """Adaptive frequencies: a symbol that came once is `step` more frequent afterwards."""

    def __init__(self, sizes: Sequence[int], step: int) -> None:
        self.sizes, self.step = list(sizes), step


class Coder(ABC):
    """What Writer and Reader have in common: the kinds of symbols."""

    @abstractmethod
    def interval(self, value: int, sizes: Sequence[int]) -> int:
        """The symbol `value`, where symbol i has the probability sizes[i] / sum(sizes)."""

    @abstractmethod
    def bit(self, value: int, ones: int, total: int) -> int:
        """A bit that is 1 with the probability ones / total; where that is 0 or 1 it costs nothing."""

    @abstractmethod
    def uniform(self, value: int, total: int) -> int:
        """A number from 0 to total − 1, all equally likely."""

    def mark(self) -> None:  # noqa: B027 (for who measures; nothing to do otherwise)
        """A part of the contents ends here."""

    def adaptive(self, value: int, model: Model) -> int:
        """A symbol with the frequencies of a model, which takes note of it."""
        found = self.interval(value, model.sizes)
        model.sizes[found] += model.step
        return found


class Writer(Coder):
    """Writes symbols; `finish` gives the bytes."""

    def __init__(self) -> None:
        self._low, self._range = 0, 1 << WIDTH
        self._out = bytearray()

    def narrow(self, start: int, size: int, total: int) -> None:
        """Take the part from `start` to `start` + `size` of what is divided into `total`."""
        step = self._range // total
        self._low += step * start
        self._range = step * size
        while self._range < 1 << REFILL:
            self._range <<= 8
            self._out.append(self._top() & 255)
            self._low = (self._low << 8) & ((1 << WIDTH) - 1)

    def _top(self) -> int:
        """The highest byte of `low`, with its carry handed to the bytes before it."""
        if self._low >> WIDTH:
            _carry(self._out)
        return self._low >> (WIDTH - 8)

    def interval(self, value: int, sizes: Sequence[int]) -> int:
        self.narrow(sum(sizes[:value]), sizes[value], sum(sizes))
        return value

    def bit(self, value: int, ones: int, total: int) -> int:
        if 0 < ones < total:
            self.narrow(*((total - ones, ones) if value else (0, total - ones)), total)
        return value

    def uniform(self, value: int, total: int) -> int:
        self.narrow(value, 1, total)
        return value

    def finish(self) -> bytes:
        """The shortest bytes (at least one) whose number lies in the interval; zeros follow them for ever."""
        out, low = bytearray(self._out), self._low
        if low >> WIDTH:
            _carry(out)
            low &= (1 << WIDTH) - 1
        for count in range(WIDTH // 8 + 1):  # of bytes behind those that are out
            unit = 1 << (WIDTH - 8 * count)
            rounded = -(-low // unit) * unit
            if rounded < low + self._range:
                break
        if rounded >> WIDTH:
            _carry(out)
            rounded = 0
        tail = (rounded & ((1 << WIDTH) - 1)).to_bytes(WIDTH // 8, "big")
        return bytes(out + tail).rstrip(b"\0") or b"\0"


def _carry(out: bytearray) -> None:
    at = len(out) - 1
    while out[at] == 255:
        out[at] = 0
        at -= 1
    out[at] += 1


class Reader(Coder):
    """Reads symbols. Raises GolfError for bytes that no Writer makes, as far as it comes upon them."""

    def __init__(self, content: bytes) -> None:
        self._content, self._at = content, WIDTH // 8
        self._code = int.from_bytes(content[: self._at].ljust(self._at, b"\0"), "big")
        self._range = 1 << WIDTH

    def _where(self, total: int) -> tuple[int, int]:
        """The length of a step, and the step of `total` that the number lies in."""
        step = self._range // total
        place = self._code // step
        if place >= total:
            raise GolfError("no symbol has this code")
        return step, place

    def _narrow(self, step: int, start: int, size: int) -> None:
        self._code -= step * start
        self._range = step * size
        while self._range < 1 << REFILL:
            self._range <<= 8
            more = self._content[self._at] if self._at < len(self._content) else 0
            self._code = self._code << 8 | more
            self._at += 1

    def interval(self, value: int, sizes: Sequence[int]) -> int:
        step, place = self._where(sum(sizes))
        found, start = 0, 0
        while place >= start + sizes[found]:
            start += sizes[found]
            found += 1
        self._narrow(step, start, sizes[found])
        return found

    def bit(self, value: int, ones: int, total: int) -> int:
        if not 0 < ones < total:
            return int(ones > 0)
        step, place = self._where(total)
        zeros = total - ones
        found = place >= zeros
        self._narrow(step, *((zeros, ones) if found else (0, zeros)))
        return int(found)

    def uniform(self, value: int, total: int) -> int:
        step, place = self._where(total)
        self._narrow(step, place, 1)
        return place
