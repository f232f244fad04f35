"""Restricts this process's access to files, ports and other processes with Landlock.

Landlock is a security module of Linux 5.13 and later. The constants come from
``include/uapi/linux/landlock.h``; the kernel's
``Documentation/userspace-api/landlock.rst`` explains them.
"""

from __future__ import annotations

import ctypes
import os
import stat
import sys
from collections.abc import Iterable

from .kernel import call

#: Numbers of the system calls, the same on all architectures.
_CREATE_RULESET, _ADD_RULE, _RESTRICT_SELF = 444, 445, 446
_VERSION = 1 << 0
_PATH_BENEATH = 1

_WRITE_FILE, _READ_FILE, _READ_DIR = 1 << 1, 1 << 2, 1 << 3
_IOCTL_DEV = 1 << 15
#: The number of file rights in each version.
_RIGHTS = {1: 13, 2: 14, 3: 15, 4: 15, 5: 16}
#: Rights to bind and connect with TCP, since version 4.
_TCP = 1 << 0 | 1 << 1
#: Scopes that exclude abstract sockets and signals of other processes, since version 6.
_SCOPES = 1 << 0 | 1 << 1


class _Ruleset(ctypes.Structure):
    _fields_ = (
        ("handled_access_fs", ctypes.c_uint64),
        ("handled_access_net", ctypes.c_uint64),
        ("scoped", ctypes.c_uint64),
    )


class _PathBeneath(ctypes.Structure):
    _pack_ = 1
    _fields_ = (("allowed_access", ctypes.c_uint64), ("parent_fd", ctypes.c_int32))


def version() -> int:
    """Return the version of Landlock's interface; 0 if the kernel has none."""
    if sys.platform != "linux":
        return 0
    try:
        return call(_CREATE_RULESET, None, ctypes.c_size_t(0), _VERSION)
    except OSError:
        return 0


def restrict(readable: Iterable[str], devices: Iterable[str]) -> int:
    """Restrict this thread, and all threads that it starts, for ever.

    Afterwards no file can be written or executed except the devices, and only the files
    listed here can be read. Paths that do not exist are ignored.

    :param readable: files, and folders with their whole content.
    :param devices: files that may be read, written and controlled.
    :return: the version of Landlock's interface; 0 if the kernel has none.
    :raises OSError: if the kernel refuses.
    """
    known = version()
    if not known:
        return 0
    rights = (1 << _RIGHTS.get(known, 16)) - 1
    ruleset = _Ruleset(rights, _TCP, _SCOPES)
    # An older kernel refuses the fields that it does not know.
    size = 8 if known < 4 else 16 if known < 6 else ctypes.sizeof(ruleset)
    descriptor = call(_CREATE_RULESET, ctypes.byref(ruleset), ctypes.c_size_t(size), 0)
    try:
        for path in readable:
            _allow(descriptor, path, _READ_FILE | _READ_DIR)
        for path in devices:
            device_rights = _READ_FILE | _READ_DIR | _WRITE_FILE | _IOCTL_DEV
            _allow(descriptor, path, device_rights & rights)
        call(_RESTRICT_SELF, descriptor, 0)
    finally:
        os.close(descriptor)
    return known


def _allow(ruleset: int, path: str, rights: int) -> None:
    try:
        descriptor = os.open(path, os.O_PATH | os.O_CLOEXEC)
    except (FileNotFoundError, NotADirectoryError, PermissionError):
        return
    try:
        if not stat.S_ISDIR(os.fstat(descriptor).st_mode):
            rights &= ~_READ_DIR
        beneath = _PathBeneath(rights, descriptor)
        call(_ADD_RULE, ruleset, _PATH_BENEATH, ctypes.byref(beneath), 0)
    finally:
        os.close(descriptor)
