"""Where a command listens, as it is typed."""

from __future__ import annotations

import re

import click

#: No other machine reaches it.
LOOPBACK = "127.0.0.1"

_ADDRESS = re.compile(
    r"(?:(?:\[(?P<six>[0-9A-Fa-f:.]+)\]|(?P<name>[^\s:\[\]]*)):)?(?P<port>[0-9]{1,5})"
)


def read_address(
    _context: click.Context, _option: click.Parameter, value: str | None
) -> tuple[str, int] | None:
    """Read a host and a port, such as ``127.0.0.1:9187``, ``[::1]:9187`` or ``9187``.

    Without a host it is this machine alone.
    """
    if value is None:
        return None
    found = _ADDRESS.fullmatch(value)
    if found is None or int(found["port"]) > 65535:
        raise click.BadParameter(f"{value!r} is no address such as 127.0.0.1:9187.")
    return found["six"] or found["name"] or LOOPBACK, int(found["port"])
