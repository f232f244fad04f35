"""Opens regular files only: pipes and devices could block their reader."""

from __future__ import annotations

import errno
import os
import stat
from io import BufferedReader

#: The other kinds of files, in words.
_KINDS = {
    stat.S_IFDIR: "a folder",
    stat.S_IFIFO: "a named pipe",
    stat.S_IFSOCK: "a socket",
    stat.S_IFCHR: "a device",
    stat.S_IFBLK: "a device",
}
#: A pipe that replaces a file between two checks must not block. Windows has only
#: O_BINARY of these, without which it would translate line ends.
_FLAGS = os.O_RDONLY | sum(
    getattr(os, name, 0) for name in ("O_NONBLOCK", "O_CLOEXEC", "O_NOCTTY", "O_BINARY")
)


class NotRegular(OSError):
    """The path does not lead to a regular file.

    :param kind: in words, such as ``"a named pipe"``.
    """

    def __init__(self, path: str | os.PathLike[str], kind: str) -> None:
        sentence = f"it is {kind}, not a file"
        super().__init__(errno.EINVAL, sentence, os.fspath(path))
        self.kind = kind


def open_regular(path: str | os.PathLike[str]) -> BufferedReader:
    """Open a file to be read, as bytes.

    :raises NotRegular: if it is a folder, a pipe, a socket or a device. It is not
        opened: opening may have an effect.
    :raises OSError: if it cannot be opened.
    """
    refuse_other_kinds(path, os.stat(path))
    descriptor = os.open(path, _FLAGS)
    try:
        refuse_other_kinds(path, os.fstat(descriptor))
        return os.fdopen(descriptor, "rb")
    except BaseException:
        os.close(descriptor)
        raise


def refuse_other_kinds(path: str | os.PathLike[str], status: os.stat_result) -> None:
    """Refuse a path by its ``stat`` result.

    :raises NotRegular: if it is no regular file.
    """
    if not stat.S_ISREG(status.st_mode):
        kind = _KINDS.get(stat.S_IFMT(status.st_mode), "something else")
        raise NotRegular(path, kind)
