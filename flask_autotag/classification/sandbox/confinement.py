"""Confines the process that decodes images, with the means that the kernel has."""

from __future__ import annotations

import contextlib
import math
import os
import site
import sys
import sysconfig
import tempfile
import time
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any

from . import landlock, seccomp
from .kernel import (
    CAP_SYS_RESOURCE,
    PR_SET_DUMPABLE,
    PR_SET_NO_NEW_PRIVS,
    drop_capability,
    prctl,
)

MIB = 2**20
#: Bytes of the largest file that a child may write. It has no reason to write any.
MAX_FILE_SIZE = MIB
#: Files that a child may have open at once. The bundled model needs seven.
MAX_OPEN_FILES = 256

#: Paths that programs and libraries read on Linux while they run: shared libraries, the
#: time zone, random numbers, the number of processors, and the process's own data.
_SYSTEM = (
    "/lib",
    "/lib32",
    "/lib64",
    "/usr/lib",
    "/usr/lib32",
    "/usr/lib64",
    "/usr/local/lib",
    "/etc/ld.so.cache",
    "/etc/localtime",
    "/usr/share/zoneinfo",
    "/dev/null",
    "/dev/random",
    "/dev/urandom",
    "/dev/zero",
    "/proc/cpuinfo",
    "/proc/meminfo",
    "/proc/self",
    "/sys/devices/system/cpu",
)
#: Names of the folders in ``sysconfig`` that hold Python code.
_PYTHON = ("stdlib", "platstdlib", "purelib", "platlib")


@dataclass(frozen=True)
class Confinement:
    """The restrictions that are in force in a child.

    :param landlock: the version of Landlock's interface; 0 if it is not in force.
    :param seccomp: whether the filter of system calls is in force.
    """

    landlock: int = 0
    seccomp: bool = False

    @property
    def is_complete(self) -> bool:
        """Whether both Landlock and the filter are in force."""
        return bool(self.landlock) and self.seccomp

    def __str__(self) -> str:
        parts = [
            f"Landlock {self.landlock}" if self.landlock else "no Landlock",
            "seccomp filter" if self.seccomp else "no seccomp filter",
        ]
        return f"{', '.join(parts)}, limits of resources"

    def message(self) -> dict[str, Any]:
        """Return the JSON in which a child reports its restrictions."""
        return {"landlock": self.landlock, "seccomp": self.seccomp}

    @classmethod
    def read(cls, message: dict[str, Any]) -> Confinement:
        """Read the restrictions that a child reported.

        :raises KeyError: if a part is missing.
        """
        return cls(int(message["landlock"]), bool(message["seccomp"]))


def confine(readable: Iterable[str], devices: Iterable[str]) -> Confinement:
    """Confine this process for ever. Call it while the process has one thread.

    Means that the kernel lacks are left out. Landlock restricts only the calling thread
    and the threads that it starts, so it is not reported if there are other threads.

    :param readable: files and folders that may be read; see :func:`readable_code`.
    :param devices: files that may be read, written and controlled.
    :return: the restrictions that are in force now.
    :raises OSError: if the kernel has a means of confinement and refuses to apply it.
    """
    if sys.platform != "linux":
        return Confinement()
    # Some libraries ask for this folder during their import. Python finds it by writing
    # a file, which is still possible here; the result is cached.
    with contextlib.suppress(OSError):
        tempfile.gettempdir()
    with contextlib.suppress(OSError):
        prctl(PR_SET_DUMPABLE, 0)
    # Root has this capability, with which a child could lift its own limits.
    with contextlib.suppress(OSError):
        drop_capability(CAP_SYS_RESOURCE)
    try:
        prctl(PR_SET_NO_NEW_PRIVS, 1)
    except OSError:
        return Confinement()
    has_one_thread = threads() == 1
    version = landlock.restrict([*_SYSTEM, *readable], devices)
    return Confinement(version if has_one_thread else 0, seccomp.restrict())


def threads() -> int:
    """Count the threads of this process, including threads unknown to Python."""
    return len(os.listdir("/proc/self/task"))


def limit_resources(memory_limit: int) -> None:
    """Limit the resources of this process.

    :param memory_limit: address space in MiB, 0 for no limit.
    """
    set_limit("RLIMIT_FSIZE", MAX_FILE_SIZE)
    set_limit("RLIMIT_CORE", 0)
    set_limit("RLIMIT_NOFILE", MAX_OPEN_FILES)
    if memory_limit:
        set_limit("RLIMIT_AS", memory_limit * MIB)


class ProcessorTime:
    """Limits the processor time of this process, in a way that it cannot undo.

    A process can cancel its own timers and ignore ``SIGXCPU``, which the kernel sends
    at the soft limit. At the hard limit the kernel kills it.

    :param seconds: processor time for one image, of all threads together.
    :param images: how many images the process may serve; sets the hard limit.
    """

    def __init__(self, seconds: float, images: int) -> None:
        self._seconds = seconds
        self._hard = self._after(seconds * images)
        set_limit("RLIMIT_CPU", self._hard)

    def begin_image(self) -> None:
        """Move the soft limit, to allow the time for one image from now."""
        soft = min(self._after(self._seconds), self._hard)
        set_limit("RLIMIT_CPU", soft, self._hard)

    def _after(self, seconds: float) -> int:
        return math.ceil(time.process_time() + seconds)


def processors() -> int:
    """Return the number of processors that this process may use."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def set_limit(name: str, soft: int, hard: int | None = None) -> None:
    """Set a limit of this process, where the system has it.

    :param hard: the limit of the soft limit, which can only be lowered; *soft* if not
        given.
    """
    try:
        import resource
    except ImportError:  # Windows has no such limits.
        return
    kind = getattr(resource, name)
    hard = soft if hard is None else hard
    present = resource.getrlimit(kind)[1]
    if present != resource.RLIM_INFINITY:
        soft, hard = min(soft, present), min(hard, present)
    with contextlib.suppress(ValueError, OSError):
        resource.setrlimit(kind, (soft, hard))


def readable_code() -> set[str]:
    """Return the files and folders of Python and of the imported packages.

    ``sys.prefix`` is left out, because a host may keep its instance folder in it, and
    so is most of ``sys.path``, which holds the host's own code.
    """
    folders = {sysconfig.get_path(name) for name in _PYTHON}
    folders.add(os.path.join(sys.base_prefix, "lib"))
    folders.update(site.getsitepackages())
    folders.add(site.getusersitepackages())
    folders.update(os.environ.get("LD_LIBRARY_PATH", "").split(os.pathsep))
    paths = {folder for folder in (*folders, *_imported()) if folder}
    return {path for path in paths if paths.isdisjoint(_above(path))}


def _above(path: str) -> Iterator[str]:
    while (folder := os.path.dirname(path)) != path:
        yield folder
        path = folder


def _imported() -> Iterator[str]:
    for name, module in list(sys.modules.items()):
        if "." in name:
            continue
        paths = getattr(module, "__path__", None)
        file = getattr(module, "__file__", None)
        if paths is not None:
            yield from (path for path in list(paths) if isinstance(path, str))
        elif isinstance(file, str):
            yield file
