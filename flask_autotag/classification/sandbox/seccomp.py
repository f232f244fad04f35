"""Refuses the system calls that no decoder needs, with a seccomp filter.

The filter is a classic BPF program that the kernel runs before each system call. Its
constants come from ``include/uapi/linux/seccomp.h``, ``filter.h`` and ``audit.h``; the
kernel's ``Documentation/userspace-api/seccomp_filter.rst`` explains them. A refused
call fails with ``EPERM`` and the process goes on, because libraries try calls that they
can do without.
"""

from __future__ import annotations

import ctypes
import errno
import os
import struct
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from . import kernel

_SET_MODE_FILTER = 1
#: All threads of the process get the filter.
_TSYNC = 1 << 0
_ALLOW = 0x7FFF0000
_ERRNO = 0x00050000

#: Instructions: load a word, jump, return.
_LOAD, _RETURN = 0x20, 0x06
_JUMP_IF_EQUAL, _JUMP_IF_AT_LEAST, _JUMP_IF_ANY_BIT = 0x15, 0x35, 0x45
#: Offsets in ``struct seccomp_data`` of the number, the architecture and the arguments.
#: The lower half of an argument comes first: both architectures are little-endian.
_NUMBER, _ARCHITECTURE, _ARGUMENTS = 0, 4, 16

#: Numbers with this bit belong to the x32 interface of the same kernel.
_X32 = 0x40000000
#: The first system call added after Linux 6.4. Newer calls are reported as missing, so
#: that the C library falls back on older ones.
_FIRST_UNKNOWN = 451

_CLONE_THREAD = 0x00010000
#: The flags of ``clone`` that make new namespaces.
_CLONE_NEW = 0x7E020000
_F_SETOWN, _F_SETOWN_EX = 8, 15
_TIOCSTI, _TIOCLINUX = 0x5412, 0x541C

#: The refused calls: ``name: (number on x86_64, number on aarch64)``.
_REFUSED: dict[str, tuple[int | None, int | None]] = {
    # The network, and sockets of other programs.
    "socket": (41, 198),
    "socketpair": (53, 199),
    "connect": (42, 203),
    "bind": (49, 200),
    "listen": (50, 201),
    "accept": (43, 202),
    "accept4": (288, 242),
    "sendto": (44, 206),
    "sendmsg": (46, 211),
    "sendmmsg": (307, 269),
    # Other programs and processes.
    "execve": (59, 221),
    "execveat": (322, 281),
    "fork": (57, None),
    "vfork": (58, None),
    "ptrace": (101, 117),
    "process_vm_readv": (310, 270),
    "process_vm_writev": (311, 271),
    "process_madvise": (440, 440),
    "process_mrelease": (448, 448),
    "kcmp": (312, 272),
    "move_pages": (279, 239),
    "migrate_pages": (256, 238),
    "pidfd_open": (434, 434),
    "pidfd_getfd": (438, 438),
    "pidfd_send_signal": (424, 424),
    "tkill": (200, 130),
    "rt_sigqueueinfo": (129, 138),
    "rt_tgsigqueueinfo": (297, 240),
    "ioprio_set": (251, 30),
    # Memory and messages shared by name.
    "shmget": (29, 194),
    "shmat": (30, 196),
    "shmctl": (31, 195),
    "msgget": (68, 186),
    "msgsnd": (69, 189),
    "msgrcv": (70, 188),
    "msgctl": (71, 187),
    "semget": (64, 190),
    "semop": (65, 193),
    "semctl": (66, 191),
    "semtimedop": (220, 192),
    "mq_open": (240, 180),
    "mq_unlink": (241, 181),
    # Attributes of files, which Landlock does not restrict.
    "chmod": (90, None),
    "fchmod": (91, 52),
    "fchmodat": (268, 53),
    "chown": (92, None),
    "fchown": (93, 55),
    "lchown": (94, None),
    "fchownat": (260, 54),
    "utime": (132, None),
    "utimes": (235, None),
    "utimensat": (280, 88),
    "futimesat": (261, None),
    "setxattr": (188, 5),
    "lsetxattr": (189, 6),
    "fsetxattr": (190, 7),
    "removexattr": (197, 14),
    "lremovexattr": (198, 15),
    "fremovexattr": (199, 16),
    "name_to_handle_at": (303, 264),
    "open_by_handle_at": (304, 265),
    # Large parts of the kernel that no decoder needs.
    "io_uring_setup": (425, 425),
    "io_uring_enter": (426, 426),
    "io_uring_register": (427, 427),
    "bpf": (321, 280),
    "perf_event_open": (298, 241),
    "userfaultfd": (323, 282),
    "fanotify_init": (300, 262),
    "add_key": (248, 217),
    "request_key": (249, 218),
    "keyctl": (250, 219),
    "memfd_secret": (447, 447),
    "personality": (135, 92),
    "modify_ldt": (154, None),
    "lookup_dcookie": (212, 18),
    # File systems and namespaces.
    "mount": (165, 40),
    "umount2": (166, 39),
    "pivot_root": (155, 41),
    "chroot": (161, 51),
    "open_tree": (428, 428),
    "move_mount": (429, 429),
    "fsopen": (430, 430),
    "fsconfig": (431, 431),
    "fsmount": (432, 432),
    "fspick": (433, 433),
    "mount_setattr": (442, 442),
    "unshare": (272, 97),
    "setns": (308, 268),
    "quotactl": (179, 60),
    "quotactl_fd": (443, 443),
    # The machine, if the worker runs as root.
    "syslog": (103, 116),
    "acct": (163, 89),
    "reboot": (169, 142),
    "swapon": (167, 224),
    "swapoff": (168, 225),
    "init_module": (175, 105),
    "finit_module": (313, 273),
    "delete_module": (176, 106),
    "kexec_load": (246, 104),
    "kexec_file_load": (320, 294),
    "settimeofday": (164, 170),
    "clock_settime": (227, 112),
    "clock_adjtime": (305, 266),
    "adjtimex": (159, 171),
    "sethostname": (170, 161),
    "setdomainname": (171, 162),
    "vhangup": (153, 58),
    "iopl": (172, None),
    "ioperm": (173, None),
}


@dataclass(frozen=True)
class _Only:
    """Refuses the call unless an argument has one of these values."""

    argument: int
    values: tuple[int, ...]


@dataclass(frozen=True)
class _Never:
    """Refuses the call if an argument has one of these values."""

    argument: int
    values: tuple[int, ...]


@dataclass(frozen=True)
class _Bits:
    """Refuses the call unless an argument has the bit *set* and none of *unset*."""

    argument: int
    set: int
    unset: int


_Rule = _Only | _Never | _Bits


def _conditional(pid: int) -> dict[tuple[int, int], tuple[_Rule, ...]]:
    """Return the rules of calls that are allowed with some arguments only.

    :param pid: this process, the only one to which the calls may refer.
    :return: the rules by the numbers on x86_64 and aarch64.
    """
    itself = _Only(0, (0,))
    return {
        # clone: threads, no processes.
        (56, 220): (_Bits(0, _CLONE_THREAD, _CLONE_NEW),),
        # kill and tgkill: abort() and pthread_kill() send signals to the process.
        (62, 129): (_Only(0, (pid,)),),
        (234, 131): (_Only(0, (pid,)),),
        # prlimit64: the limits of another process could end it.
        (302, 261): (_Only(0, (0, pid)),),
        # sched_setaffinity, sched_setscheduler, sched_setparam, sched_setattr.
        (203, 122): (itself,),
        (144, 119): (itself,),
        (142, 118): (itself,),
        (314, 274): (itself,),
        # setpriority
        (141, 140): (_Only(0, (0,)), _Only(1, (0,))),
        # fcntl: the owner of a pipe gets signals from it.
        (72, 25): (_Never(1, (_F_SETOWN, _F_SETOWN_EX)),),
        # ioctl: simulated input on a terminal.
        (16, 29): (_Never(1, (_TIOCSTI, _TIOCLINUX)),),
        # prctl: the process has to end with its parent and stay closed to others.
        (157, 167): (
            _Never(
                0,
                (
                    kernel.PR_SET_PDEATHSIG,
                    kernel.PR_SET_DUMPABLE,
                    kernel.PR_SET_PTRACER,
                ),
            ),
        ),
    }


@dataclass(frozen=True)
class _Architecture:
    """The index in the lists above, ``AUDIT_ARCH_…``, and seccomp's own number."""

    place: int
    audit: int
    seccomp: int


_ARCHITECTURES = {
    "x86_64": _Architecture(0, 0xC000003E, 317),
    "aarch64": _Architecture(1, 0xC00000B7, 277),
}
#: A filter cannot read the flags of ``clone3``. The C library falls back on ``clone``.
_CLONE3 = 435


class _Program(ctypes.Structure):
    _fields_ = (("length", ctypes.c_ushort), ("filter", ctypes.c_char_p))


def restrict() -> bool:
    """Apply the filter to this process, for ever.

    :return: ``False`` if the kernel or the architecture does not support filters.
    :raises OSError: if the kernel refuses the filter.
    """
    architecture = _architecture()
    if architecture is None:
        return False
    code = b"".join(_assemble(architecture, os.getpid()))
    # ctypes adds a zero byte, which is not an instruction.
    program = _Program(len(code) // 8, code)
    try:
        unsynchronised = kernel.call(
            architecture.seccomp, _SET_MODE_FILTER, _TSYNC, ctypes.byref(program)
        )
    except OSError as error:
        if error.errno in (errno.ENOSYS, errno.EINVAL):
            return False
        raise
    if unsynchronised:
        raise OSError(errno.EBUSY, "a thread has a filter of its own")
    return True


def _architecture() -> _Architecture | None:
    if sys.platform != "linux" or sys.maxsize < 2**32:
        return None
    return _ARCHITECTURES.get(os.uname().machine)


def _assemble(architecture: _Architecture, pid: int) -> Iterator[bytes]:
    """Yield the instructions of the filter."""
    refused = _ERRNO | errno.EPERM
    missing = _ERRNO | errno.ENOSYS
    yield _instruction(_LOAD, _ARCHITECTURE)
    yield from _return_unless(_JUMP_IF_EQUAL, architecture.audit, refused)
    yield _instruction(_LOAD, _NUMBER)
    yield from _return_if(_JUMP_IF_AT_LEAST, _X32, refused)
    yield from _return_if(_JUMP_IF_AT_LEAST, _FIRST_UNKNOWN, missing)
    yield from _return_if(_JUMP_IF_EQUAL, _CLONE3, missing)
    for numbers in _REFUSED.values():
        number = numbers[architecture.place]
        if number is not None:
            yield from _return_if(_JUMP_IF_EQUAL, number, refused)
    for both, rules in _conditional(pid).items():
        part = [code for rule in rules for code in _check(rule, refused)]
        part.append(_instruction(_RETURN, _ALLOW))
        number = both[architecture.place]
        yield _instruction(_JUMP_IF_EQUAL, number, otherwise=len(part))
        yield from part
    yield _instruction(_RETURN, _ALLOW)


def _check(rule: _Rule, refused: int) -> Sequence[bytes]:
    """Return the instructions that check one argument and, if it fits, go on."""
    load = _instruction(_LOAD, _ARGUMENTS + 8 * rule.argument)
    match rule:
        case _Bits():
            bits = [
                *_return_unless(_JUMP_IF_ANY_BIT, rule.set, refused),
                *_return_if(_JUMP_IF_ANY_BIT, rule.unset, refused),
            ]
            return [load, *bits]
        case _Never():
            each = [
                code
                for value in rule.values
                for code in _return_if(_JUMP_IF_EQUAL, value, refused)
            ]
            return [load, *each]
        case _Only():
            left = len(rule.values)
            tests = [
                _instruction(_JUMP_IF_EQUAL, value, then=left - place)
                for place, value in enumerate(rule.values)
            ]
            return [load, *tests, _instruction(_RETURN, refused)]


def _return_if(jump: int, value: int, result: int) -> Iterator[bytes]:
    yield _instruction(jump, value, otherwise=1)
    yield _instruction(_RETURN, result)


def _return_unless(jump: int, value: int, result: int) -> Iterator[bytes]:
    yield _instruction(jump, value, then=1)
    yield _instruction(_RETURN, result)


def _instruction(code: int, value: int, then: int = 0, otherwise: int = 0) -> bytes:
    """Pack a ``struct sock_filter``."""
    return struct.pack("=HBBI", code, then, otherwise, value)
