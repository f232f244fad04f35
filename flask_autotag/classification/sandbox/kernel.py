"""System calls of Linux for which Python has no function."""

from __future__ import annotations

import ctypes
import os
from functools import cache
from typing import Any

#: ``prctl`` operations, from ``include/uapi/linux/prctl.h``.
PR_SET_PDEATHSIG = 1
PR_SET_DUMPABLE = 4
PR_SET_NO_NEW_PRIVS = 38
PR_SET_PTRACER = 0x59616D61
#: The capability to raise one's own hard limits; ``include/uapi/linux/capability.h``.
CAP_SYS_RESOURCE = 24
_CAPABILITY_VERSION = 0x20080522


def call(number: int, *arguments: Any) -> int:
    """Call a system call by its number.

    :raises OSError: if the call fails.
    """
    return _checked(_libc().syscall(number, *arguments))


def prctl(operation: int, value: int) -> None:
    """Change an attribute of this process.

    :raises OSError: if the call fails.
    """
    zero = ctypes.c_ulong(0)
    _checked(_libc().prctl(operation, ctypes.c_ulong(value), zero, zero, zero))


def drop_capability(capability: int) -> None:
    """Drop a capability of this thread, and of the threads that it starts, for good.

    :param capability: its number, below 32.
    :raises OSError: if the call fails.
    """
    header = (ctypes.c_uint32 * 2)(_CAPABILITY_VERSION, 0)
    # Effective, permitted and inheritable, for the capabilities below 32 and above.
    sets = (ctypes.c_uint32 * 6)()
    _checked(_libc().capget(header, sets))
    for place in range(3):
        sets[place] &= ~(1 << capability)
    _checked(_libc().capset(header, sets))


def _checked(result: int) -> int:
    if result < 0:
        number = ctypes.get_errno()
        raise OSError(number, os.strerror(number))
    return result


@cache
def _libc() -> ctypes.CDLL:
    libc = ctypes.CDLL(None, use_errno=True)
    libc.syscall.restype = ctypes.c_long
    return libc
