from __future__ import annotations

import logging

import pytest
from blinker import NamedSignal

from flask_autotag import image_tagged, image_uploaded, tagging_failed
from flask_autotag.host.signals import send_safely


@pytest.fixture
def signal() -> NamedSignal:
    return NamedSignal("something-happened")


def test_the_signals_have_their_names() -> None:
    names = [each.name for each in (image_uploaded, image_tagged, tagging_failed)]
    assert names == ["image-uploaded", "image-tagged", "tagging-failed"]


def test_every_receiver_gets_the_sender_and_the_arguments(signal: NamedSignal) -> None:
    got = []

    @signal.connect
    def first(sender: object, **arguments: object) -> None:
        got.append(("first", sender, arguments))

    @signal.connect
    def second(sender: object, number: int) -> None:
        got.append(("second", sender, number))

    send_safely(signal, "host", number=3)
    assert sorted(got, key=lambda item: item[0]) == [
        ("first", "host", {"number": 3}),
        ("second", "host", 3),
    ]


def test_a_receiver_of_another_sender_is_not_called(signal: NamedSignal) -> None:
    got = []
    here, there = object(), object()

    def receive(sender: object) -> None:
        got.append(sender)

    signal.connect(receive, sender=there)
    send_safely(signal, here)
    assert got == []


def test_a_receiver_that_raises_is_logged_and_the_others_still_run(
    signal: NamedSignal, caplog: pytest.LogCaptureFixture
) -> None:
    got = []

    def bad(sender: object) -> None:
        raise RuntimeError("receiver's own trouble")

    receivers = [bad, lambda sender: got.append(1), lambda sender: got.append(2)]
    for receiver in receivers:
        signal.connect(receiver)
    with caplog.at_level(logging.ERROR):
        send_safely(signal, None)
    assert sorted(got) == [1, 2]
    assert caplog.messages == [
        "A receiver of something-happened raised; it is ignored."
    ]
    assert "receiver's own trouble" in caplog.text


def test_a_muted_signal_is_not_sent(signal: NamedSignal) -> None:
    got = []

    def receive(sender: object) -> None:
        got.append(sender)

    signal.connect(receive)
    with signal.muted():
        send_safely(signal, "host")
    assert got == []


def test_what_ends_the_program_is_not_caught(signal: NamedSignal) -> None:
    def interrupted(sender: object) -> None:
        raise KeyboardInterrupt

    signal.connect(interrupted)
    with pytest.raises(KeyboardInterrupt):
        send_safely(signal, None)
