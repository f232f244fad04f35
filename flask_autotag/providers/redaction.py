"""Keeps keys out of the messages and labels of remote providers."""

from __future__ import annotations

import base64
import html
import re
import unicodedata
from collections.abc import Callable, Iterable, Mapping
from typing import Any
from urllib.parse import unquote

from .. import errors
from ..errors import TaggingError, TryLater
from ..settings.secret import Secret

#: Replaces a message that repeats a key.
WITHHELD = "its message is left out, because it repeats the key"
#: Consecutive characters of a key that no text may repeat; a shorter key as a whole.
FRAGMENT = 8
#: Length of the same number of bytes in hexadecimal digits, and at least in base64.
_HEX, _BASE64 = 2 * FRAGMENT, 10
#: Rounds of decoding, because a text may be encoded more than once.
_ROUNDS = 3

_UNICODE_ESCAPE = re.compile(r"\\(?:u([0-9a-fA-F]{4})|x([0-9a-fA-F]{2}))")
_OTHER_ESCAPE = re.compile(r"\\[abfnrtv0]")

_KINDS = {
    kind
    for kind in vars(errors).values()
    if isinstance(kind, type) and issubclass(kind, TaggingError)
}

#: The length of fragments, and the fragments.
_Fragments = tuple[int, frozenset[str]]


class Redactor:
    """Finds the keys of a provider in untrusted texts.

    Case, accents, character widths and separators between the characters are ignored.
    Percent-encoding, HTML entities and backslash escapes are decoded. Keys are also
    found in hexadecimal digits and base64.

    :param secrets: the keys; empty strings are ignored.
    """

    def __init__(self, secrets: Iterable[str]) -> None:
        self._fragments: dict[Callable[[str], str], set[_Fragments]] = {
            _visible: set(),
            _alphanumeric: set(),
        }
        for secret in filter(None, secrets):
            self._add(secret)

    @classmethod
    def of(cls, settings: Mapping[str, Any]) -> Redactor:
        """Return a redactor for the secrets in a provider's settings."""
        return cls(
            value.reveal()
            for value in settings.values()
            if isinstance(value, Secret) and value.is_readable
        )

    def repeats(self, text: str) -> bool:
        """Return whether a text repeats :data:`FRAGMENT` characters of a key."""
        return any(
            form[start : start + length] in fragments
            for simplify, found in self._fragments.items()
            if found
            for form in map(simplify, _decoded(text))
            for length, fragments in found
            for start in range(len(form) - length + 1)
        )

    def cleaned(self, error: TaggingError) -> TaggingError:
        """Return an error of the same kind that repeats no key, and has no cause."""
        error.__cause__ = error.__context__ = None
        if not self.repeats("\n".join((str(error), *_notes(error)))):
            return error
        # A class of another package may need other arguments.
        kind = next(each for each in type(error).__mro__ if each in _KINDS)
        sentence = f"The provider failed: {WITHHELD}."
        if isinstance(error, TryLater):
            return kind(sentence, error.seconds)
        return kind(sentence)

    def _add(self, secret: str) -> None:
        self._add_form(_visible, secret, FRAGMENT)
        if len(_alphanumeric(secret)) < FRAGMENT:
            # A key of punctuation has so few letters that any text would match.
            return
        self._add_form(_alphanumeric, secret, FRAGMENT)
        data = secret.encode()
        self._add_form(_alphanumeric, data.hex(), _HEX)
        for before in range(3):
            # Base64 depends on which of the three bytes of a group comes first.
            encoded = base64.b64encode(b"\0" * before + data).decode().rstrip("=")
            # The first and last characters also hold bits of their neighbours.
            self._add_form(_alphanumeric, encoded[before + 1 : -1], _BASE64)

    def _add_form(self, simplify: Callable[[str], str], form: str, length: int) -> None:
        form = simplify(form)
        length = min(length, len(form))
        fragments = frozenset(
            form[start : start + length] for start in range(len(form) - length + 1)
        )
        if length:
            self._fragments[simplify].add((length, fragments))


def _visible(text: str) -> str:
    """Reduce a text to printable ASCII in lower case, the characters of a key."""
    folded = unicodedata.normalize("NFKD", text).casefold()
    return "".join(each for each in folded if "!" <= each <= "~")


def _alphanumeric(text: str) -> str:
    """Reduce a text to ASCII letters and digits in lower case."""
    return "".join(filter(str.isalnum, _visible(text)))


def _decoded(text: str) -> list[str]:
    """Return a text, and the results of each round of decoding."""
    texts = [text]
    for _ in range(_ROUNDS):
        text = _decode(text)
        if text == texts[-1]:
            break
        texts.append(text)
    return texts


def _decode(text: str) -> str:
    text = html.unescape(unquote(text))
    text = _UNICODE_ESCAPE.sub(lambda found: chr(int(found[1] or found[2], 16)), text)
    return _OTHER_ESCAPE.sub("", text)


def _notes(error: BaseException) -> list[str]:
    return [str(note) for note in getattr(error, "__notes__", ())]
