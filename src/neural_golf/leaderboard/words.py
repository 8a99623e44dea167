"""Words of strangers, made fit to be shown: as one line, as a cell of a Markdown table, and with a warning.

`plain` leaves out what cannot be seen or turns the text around; `markdown` also takes the effect from
everything that GitHub, or a page generator that reads the same file, would act on.
"""

from __future__ import annotations

import html
import re
import unicodedata

__all__ = ["address", "markdown", "plain", "suspicions"]

# Letters, marks and blanks that show nothing, beside the categories below (Unicode calls most of them
# Default_Ignorable_Code_Point).
_BLANK = re.compile(
    "[\u034f\u115f\u1160\u17b4\u17b5\u180b-\u180f\u2800\u3164\ufe00-\ufe0f\uffa0\U000e0000-\U000e0fff]"
)
_UNSEEN = ("Cc", "Cf", "Cs", "Co", "Cn", "Zl", "Zp")
_MARKS = 3  # combining marks on one letter; some languages need as many

# What acts inside words, even with a backslash before it: GitHub looks for formulas, mentions, links, emoji
# and numbers of issues in the finished text. It looks at one piece of text at a time, so each such place
# becomes one.
_JOINTS = re.compile(
    r"[$@]"
    r"|\#(?=\d)"
    r"|(?<=\bGH)-(?=\d)"
    r"|(?<=/)/"
    r"|(?<=\w)\.(?=[^\W\d_])"
    r"|:(?=[a-z0-9_+-]+:)",
    re.IGNORECASE,
)
_ACTIVE = re.compile(r"[\\`*_\[\]|#!~]")
_BRACES = re.compile(r"[{}]")

# Alphabets whose letters look like one another's. (Japanese mixes three that do not.)
_ALPHABETS = {"LATIN", "GREEK", "CYRILLIC", "ARMENIAN", "CHEROKEE", "COPTIC", "LISU"}
_ALPHABETS |= {"FULLWIDTH", "MATHEMATICAL"}
# Letters of Cyrillic, Greek and Armenian that look like Latin ones.
_LIKE_LATIN = frozenset(
    "\u0410\u0412\u0415\u0405\u0406\u0408\u041a\u041c\u041d\u041e\u0420\u0421\u0422\u0423\u0425"
    "\u0430\u0435\u0455\u0456\u0458\u043e\u0440\u0441\u0443\u0445\u0501\u051b\u051d\u04bb\u04cf"
    "\u0391\u0392\u0395\u0396\u0397\u0399\u039a\u039c\u039d\u039f\u03a1\u03a4\u03a5\u03a7\u03bf"
    "\u03bd\u03b9\u03ba\u03c1\u03c5\u03b1\u0582\u057d\u0585\u0570\u0578"
)


def plain(text: str) -> str:
    """The text in one line, without characters that show nothing or change the direction, and with at most
    three marks on a letter.
    """
    seen = []
    marks = 0
    for character in unicodedata.normalize("NFC", text):
        marks = marks + 1 if unicodedata.category(character) in ("Mn", "Me") else 0
        if _unseen(character):
            seen.append(" " if character.isspace() else "")
        elif marks <= _MARKS:
            seen.append(character)
    return " ".join("".join(seen).split())


def _unseen(character: str) -> bool:
    return unicodedata.category(character) in _UNSEEN or _BLANK.match(character) is not None


def markdown(text: str) -> str:
    """The text as Markdown that shows it as it is: no HTML, formula, template, mention, reference or link."""
    line = plain(text)
    return "".join(
        f"<span>&#{ord(character)};</span>" if _JOINTS.match(line, at) else _inactive(character)
        for at, character in enumerate(line)
    )


def _inactive(character: str) -> str:
    if _BRACES.match(character):
        return f"&#{ord(character)};"
    return _ACTIVE.sub(r"\\\g<0>", html.escape(character, quote=False))


def address(link: str) -> str:
    """A card's link as the target of a Markdown link, `<…>`."""
    quoted = re.sub(r"[$*@!'{}]", lambda found: f"%{ord(found[0]):02X}", link)
    return f"<{html.escape(quoted)}>"


def suspicions(what: str, text: str) -> list[str]:
    """What a person should look at in a text: letters that pass for others, and what `plain` left out."""
    found = []
    words = re.findall(r"[^\W\d_]+", text)
    latin = any(_alphabets(word) == {"LATIN"} for word in words)
    for word in words:
        alphabets = _alphabets(word)
        posing = latin and len(word) > 1 and set(word) <= _LIKE_LATIN
        if len(alphabets) > 1 or posing or alphabets & {"FULLWIDTH", "MATHEMATICAL"}:
            odd = sorted({c for c in word if not c.isascii()})
            told = ", ".join(f"U+{ord(c):04X} {unicodedata.name(c, '')}".strip() for c in odd[:3])
            found.append(f"look-alike letters in the {what}: {plain(word)[:40]} has {told}")
    unseen = sorted({c for c in text if _unseen(c) and not c.isspace()})
    if unseen:
        told = ", ".join(f"U+{ord(c):04X}" for c in unseen[:3])
        found.append(f"characters that show nothing in the {what}, left out here: {told}")
    return found[:4]


def _alphabets(word: str) -> set[str]:
    """The alphabets of a word's letters, of those that are confused with one another."""
    names = {unicodedata.name(character, "").partition(" ")[0] for character in word}
    return names & _ALPHABETS
