"""Small YAML files of strangers, a card or a challenge: what JSON can say too, in bounded size and time.

No anchors and aliases (a few lines of which make gigabytes), no merge keys, no tags, one document. A plain
word is a whole number only in digits (`12`, `-3`), and `true`, `false`, `null` are what they say. Everything
else is text: dates, `1_000`, `1:30`, `0x10`, `yes`. So nothing turns into what its writer did not mean.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import yaml

from neural_golf.base.errors import GolfError
from neural_golf.referee.rules import LIMITS
from neural_golf.referee.sandbox import open_untrusted

__all__ = ["MOST_BYTES", "parse_strict", "read_strict"]

MOST_BYTES = 1 << 16
_DEPTH = 8
_VALUES = 2_000
_WHOLE = re.compile(r"0|-?[1-9][0-9]{0,18}")
_WORDS = {"true": True, "false": False, "null": None, "~": None, "": None}


def read_strict(path: Path) -> Any:
    """The values of a file of at most 64 KiB.

    Raises GolfError, in one line of printable ASCII, for what is no regular file, too large, not UTF-8 or not
    such YAML, and NoVerdict where this machine cannot open it.
    """
    with os.fdopen(open_untrusted(path, replace(LIMITS, file_bytes=MOST_BYTES)), "rb") as file:
        data = file.read(MOST_BYTES + 1)
    if len(data) > MOST_BYTES:
        raise GolfError(f"the file is longer than {MOST_BYTES} bytes")
    try:
        return parse_strict(data.decode())
    except UnicodeDecodeError:
        raise GolfError("the file is not text (UTF-8)") from None


def parse_strict(text: str) -> Any:
    """The values of a text. Raises GolfError in one line of printable ASCII."""
    try:
        return _Reader(yaml.parse(text, yaml.SafeLoader)).document()
    except (GolfError, yaml.YAMLError, ValueError, RecursionError) as error:
        raise GolfError(_printable(f"not YAML ({error})")) from None


def _printable(text: str) -> str:
    line = " ".join(text.split())
    return (line if len(line) <= 300 else line[:297] + "...").encode("ascii", "backslashreplace").decode()


class _Reader:
    """Builds values from the parser's events, so that nothing is made that is not wanted."""

    def __init__(self, events: Iterator[yaml.Event]) -> None:
        self._events = events
        self._left = _VALUES

    def document(self) -> Any:
        next(self._events)  # the stream's start
        start = next(self._events)
        if not isinstance(start, yaml.DocumentStartEvent):
            raise GolfError("it is empty")
        if start.version or start.tags:
            raise GolfError("it has directives")
        value = self._value(next(self._events), 0)
        next(self._events)  # the document's end
        if not isinstance(next(self._events), yaml.StreamEndEvent):
            raise GolfError("it has more than one document")
        return value

    def _value(self, event: Any, depth: int) -> Any:
        self._left -= 1
        if self._left < 0:
            raise GolfError(f"it has more than {_VALUES} values")
        if isinstance(event, yaml.AliasEvent):
            raise GolfError(f"it has an alias, *{event.anchor}")
        if getattr(event, "anchor", None):
            raise GolfError(f"it has an anchor, &{event.anchor}")
        if getattr(event, "tag", None):
            raise GolfError(f"it has a tag, {event.tag}")
        if isinstance(event, yaml.ScalarEvent):
            return _scalar(event)
        if depth == _DEPTH:
            raise GolfError(f"it is nested more than {_DEPTH} deep")
        if isinstance(event, yaml.SequenceStartEvent):
            return [self._value(item, depth + 1) for item in self._until(yaml.SequenceEndEvent)]
        return self._mapping(depth + 1)

    def _mapping(self, depth: int) -> dict[str, Any]:
        found: dict[str, Any] = {}
        for event in self._until(yaml.MappingEndEvent):
            if not isinstance(event, yaml.ScalarEvent):
                raise GolfError("a key is not a word")
            self._value(event, depth)  # it is looked at as any value is
            key = event.value
            if key == "<<":
                raise GolfError("it has a merge key, <<")
            if key in found:
                raise GolfError(f"the key {key} stands more than once")
            found[key] = self._value(next(self._events), depth)
        return found

    def _until(self, end: type[yaml.Event]) -> Iterator[yaml.Event]:
        while not isinstance(event := next(self._events), end):
            yield event


def _scalar(event: yaml.ScalarEvent) -> str | int | bool | None:
    if not event.implicit[0]:  # in quotes, or a block of text
        return str(event.value)
    if event.value in _WORDS:
        return _WORDS[event.value]
    return int(event.value) if _WHOLE.fullmatch(event.value) else str(event.value)
