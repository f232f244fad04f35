"""Identity of the process that works on a job, and whether it is dead.

A host name and a PID are not unique: containers with the same host name have processes
with the same PIDs. A process is identified by the boot of the kernel, the PID
namespace, the PID and its start time. Without ``/proc`` no process counts as dead:
leases have to expire.
"""

from __future__ import annotations

import contextlib
import os
from dataclasses import dataclass
from pathlib import Path

_PROC = Path("/proc")
#: Positions of the fields 3 and 22 of proc(5) in ``/proc/<pid>/stat``, counted after
#: the name, which may contain blanks.
_STATE, _START = 0, 19
#: States of a process that has ended: zombie and dead.
_ENDED = ("Z", "X")


@dataclass(frozen=True)
class Process:
    """A process, as it is stored with its jobs.

    :param namespace: boot and PID namespace in which *pid* is unique.
    :param pid: process id.
    :param start: start time, in clock ticks since the boot.
    """

    namespace: str
    pid: int
    start: int

    def __str__(self) -> str:
        return f"{self.namespace}:{self.pid}:{self.start}"

    @classmethod
    def parse(cls, text: str) -> Process:
        """Parse the output of ``str()``.

        :raises ValueError: if *text* has another format.
        """
        namespace, pid, start = text.rsplit(":", 2)
        return cls(namespace, int(pid), int(start))


def this_process() -> Process | None:
    """Return this process; ``None`` on systems without ``/proc``."""
    pid = os.getpid()
    try:
        if os.readlink(_PROC / "self") != str(pid):
            # This is the /proc of another namespace.
            return None
        boot = (_PROC / "sys/kernel/random/boot_id").read_text().strip()
        namespace = (_PROC / "self/ns/pid").stat().st_ino
        return Process(f"{boot}:{namespace}", pid, int(_stat(pid)[_START]))
    except (OSError, ValueError, IndexError):
        return None


def is_dead(process: Process, current: Process) -> bool:
    """Whether a process has certainly ended.

    :param current: this process; processes of other namespaces never count as dead.
    """
    if process.namespace != current.namespace:
        return False
    try:
        os.kill(process.pid, 0)
    except ProcessLookupError:
        return True
    except OSError:
        # It exists, and belongs to another user.
        pass
    with contextlib.suppress(OSError, ValueError, IndexError):
        stat = _stat(process.pid)
        if int(stat[_START]) != process.start:
            return True
        return stat[_STATE] in _ENDED and _threads(process.pid) <= 1
    # The system may hide the processes of other users.
    return False


def _stat(pid: int) -> list[str]:
    text = (_PROC / str(pid) / "stat").read_text(errors="replace")
    return text.rpartition(")")[2].split()


def _threads(pid: int) -> int:
    """Return the number of threads: a process lives on after its first thread ended."""
    return len(os.listdir(_PROC / str(pid) / "task"))
