from __future__ import annotations

import io
import json
import struct
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from flask_autotag.classification.sandbox.protocol import read_frame, write_frame

PLENTY = 2**20
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(),
    lambda values: (
        st.lists(values, max_size=3) | st.dictionaries(st.text(), values, max_size=3)
    ),
    max_leaves=5,
)


def frame(text: bytes, data: bytes = b"") -> io.BytesIO:
    return io.BytesIO(struct.pack(">II", len(text), len(data)) + text + data)


@given(
    st.lists(
        st.tuples(st.dictionaries(st.text(), JSON, max_size=3), st.binary()), max_size=3
    ),
)
def test_what_was_written_is_read_back_in_order(
    frames: list[tuple[dict[str, Any], bytes]],
) -> None:
    stream = io.BytesIO()
    for message, data in frames:
        write_frame(stream, message, data)
    stream.seek(0)
    assert [read_frame(stream, PLENTY) for _ in frames] == frames
    with pytest.raises(EOFError):
        read_frame(stream, PLENTY)


def test_bytes_may_be_left_out() -> None:
    stream = io.BytesIO()
    write_frame(stream, {"a": 1})
    stream.seek(0)
    assert read_frame(stream, PLENTY) == ({"a": 1}, b"")


@given(st.binary(max_size=60))
def test_any_bytes_are_a_frame_or_refused(data: bytes) -> None:
    try:
        message, rest = read_frame(io.BytesIO(data), PLENTY)
    except (EOFError, ValueError):
        return
    assert isinstance(message, dict)
    assert isinstance(rest, bytes)


@given(st.data())
def test_a_frame_that_breaks_off_is_the_end_of_the_stream(data: st.DataObject) -> None:
    stream = io.BytesIO()
    write_frame(stream, {"labels": [1, 2, 3]}, b"pixels")
    whole = stream.getvalue()
    length = data.draw(st.integers(0, len(whole) - 1))
    with pytest.raises(EOFError):
        read_frame(io.BytesIO(whole[:length]), PLENTY)


def test_a_frame_that_is_too_large_is_refused_before_it_is_read() -> None:
    for text_length, data_length in ((101, 0), (0, 101), (50, 51), (2**32 - 1, 0)):
        stream = io.BytesIO(struct.pack(">II", text_length, data_length) + b"x" * 200)
        with pytest.raises(ValueError, match="the frame is too large"):
            read_frame(stream, 100)
        assert stream.tell() == 8


def test_a_frame_of_just_the_limit_is_read() -> None:
    assert read_frame(frame(b"{}", b"x" * 98), 100) == ({}, b"x" * 98)


@pytest.mark.parametrize("value", [[], "text", 5, None, True])
def test_json_that_is_no_object_is_refused(value: Any) -> None:
    with pytest.raises(ValueError, match="the frame holds no JSON object"):
        read_frame(frame(json.dumps(value).encode()), PLENTY)


@pytest.mark.parametrize("text", [b"", b"{", b"\xff\xfe\xff", b"{'a': 1}", b"9" * 9000])
def test_what_is_no_json_is_refused(text: bytes) -> None:
    with pytest.raises(ValueError):
        read_frame(frame(text), PLENTY)


@pytest.mark.parametrize("text", [b"[" * 500_000, b'{"a":' * 100_000])
def test_json_that_is_nested_too_deeply_is_refused(text: bytes) -> None:
    with pytest.raises(ValueError, match="the frame is nested too deeply"):
        read_frame(frame(text), PLENTY)
