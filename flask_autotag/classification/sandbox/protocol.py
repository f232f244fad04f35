"""The protocol between parent and child: frames of a JSON object and bytes."""

from __future__ import annotations

import json
import struct
from typing import IO, Any

_HEAD = struct.Struct(">II")


def write_frame(stream: IO[bytes], message: dict[str, Any], data: bytes = b"") -> None:
    """Write one frame: the lengths of both parts, the JSON object, and the bytes."""
    text = json.dumps(message).encode()
    stream.write(_HEAD.pack(len(text), len(data)))
    stream.write(text)
    stream.write(data)
    stream.flush()


def read_frame(stream: IO[bytes], most: int) -> tuple[dict[str, Any], bytes]:
    """Read one frame.

    :param most: bytes that the frame may have. A larger frame is refused before its
        parts are read.
    :raises EOFError: if the stream ends before the frame.
    :raises ValueError: if the frame is larger than *most*, or malformed.
    """
    text_length, data_length = _HEAD.unpack(_read(stream, _HEAD.size))
    if text_length + data_length > most:
        raise ValueError("the frame is too large")
    try:
        message = json.loads(_read(stream, text_length))
    except RecursionError:
        raise ValueError("the frame is nested too deeply") from None
    if not isinstance(message, dict):
        raise ValueError("the frame holds no JSON object")
    return message, _read(stream, data_length)


def _read(stream: IO[bytes], length: int) -> bytes:
    data = stream.read(length)
    if len(data) < length:
        raise EOFError
    return data
