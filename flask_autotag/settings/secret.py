"""A key that an administrator typed, in a wrapper that does not show it."""

from __future__ import annotations

#: Shorter secrets are not shown in part: four characters would be too much of them.
_SHOWN_FROM = 12
_SHOWN = 4


class Secret:
    """A secret text, such as an API key. Only :meth:`reveal` gives it away.

    :param text: the secret; ``None`` if it is stored but cannot be decrypted.
    :param bound_to: the value, when it was saved, of the field that says where it
        is sent; ``None`` where that is fixed.
    """

    __slots__ = ("_text", "bound_to")

    def __init__(self, text: str | None, bound_to: str | None = None) -> None:
        self._text = text
        self.bound_to = bound_to

    def reveal(self) -> str:
        """Give the text.

        :raises LookupError: if it cannot be decrypted.
        """
        if self._text is None:
            raise LookupError("The secret cannot be decrypted.")
        return self._text

    @property
    def is_readable(self) -> bool:
        """Whether it can be decrypted."""
        return self._text is not None

    @property
    def ending(self) -> str:
        """Its last four characters; none of a short one."""
        text = self._text or ""
        return text[-_SHOWN:] if len(text) >= _SHOWN_FROM else ""

    def bound(self, to: str | None) -> Secret:
        """Give the same secret, for another place to send it to."""
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
        raise TypeError("A secret is not pickled.")
