"""A secret in a wrapper that does not show it."""

from __future__ import annotations

#: The fewest characters of a secret whose last four are shown: four would be too many
#: of a shorter one.
_SHOWN_FROM = 12
_SHOWN = 4


class Secret:
    """A secret text, such as an API key. Only :meth:`reveal` returns it.

    :param text: the secret; ``None`` if the stored one cannot be decrypted.
    :param bound_to: the address to which it may be sent: the value of the field's
        ``bound_to`` field when the secret was saved. ``None`` for a fixed address.
    """

    __slots__ = ("_text", "bound_to")

    def __init__(self, text: str | None, bound_to: str | None = None) -> None:
        self._text = text
        self.bound_to = bound_to

    def reveal(self) -> str:
        """Return the text.

        :raises LookupError: if the stored secret cannot be decrypted.
        """
        if self._text is None:
            raise LookupError("The secret cannot be decrypted.")
        return self._text

    @property
    def is_readable(self) -> bool:
        """Whether the secret could be decrypted."""
        return self._text is not None

    @property
    def ending(self) -> str:
        """The last four characters, or ``""`` for a secret shorter than twelve."""
        text = self._text or ""
        return text[-_SHOWN:] if len(text) >= _SHOWN_FROM else ""

    def bound(self, to: str | None) -> Secret:
        """Return the same secret, bound to another address."""
        return Secret(self._text, to)

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Secret):
            return NotImplemented
        return (self._text, self.bound_to) == (other._text, other.bound_to)

    def __hash__(self) -> int:
        return hash((self._text, self.bound_to))

    def __repr__(self) -> str:
        return "<Secret>"

    def __reduce__(self) -> str:
        raise TypeError("A secret cannot be pickled.")
