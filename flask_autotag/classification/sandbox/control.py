"""Commands from the worker to the program that forks its children."""

from __future__ import annotations

import socket
import struct

#: Start a child. The command carries a socket for its requests and answers.
START = b"S"
#: End the child.
END = b"E"
#: Wait for the end of the child, and send its exit status.
STATUS = b"W"
#: Seconds for a child that closed its streams to exit by itself.
SECONDS_TO_END = 2.0
#: Images after which a child that was not forked is replaced, in case a decoder leaks.
IMAGES_PER_CHILD = 500
#: Images after which a forked child is replaced: the size of a worker's batch.
IMAGES_PER_FORK = 32

_STATUS = struct.Struct(">i")


def send_status(control: socket.socket, status: int) -> None:
    """Send the answer to the command :data:`STATUS`."""
    control.sendall(_STATUS.pack(status))


def ask_status(control: socket.socket) -> int:
    """Return the exit status of the child.

    :return: negative if a signal ended the child.
    :raises OSError: if the program is gone.
    """
    control.sendall(STATUS)
    answer = control.recv(_STATUS.size, socket.MSG_WAITALL)
    if len(answer) < _STATUS.size:
        raise ConnectionResetError
    status: int = _STATUS.unpack(answer)[0]
    return status
