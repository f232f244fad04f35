from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import IO, Any

import pytest
from PIL import Image

from flask_autotag.classification.sandbox import child_process
from flask_autotag.classification.sandbox.child_process import (
    ENVIRONMENT,
    MAX_ANSWER_SIZE,
    SEND_BUFFER,
    ChildProcess,
)
from flask_autotag.errors import ClassifierCrashed, ClassifierError, ClassifierTimeout

from ...hosts import ESPRESSO
from .conftest import PATIENCE, ask, choices, encode

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="uses Unix signals")
needs_proc = pytest.mark.skipif(
    not Path("/proc/self/environ").exists(), reason="there is no /proc here"
)
NO_USABLE_ANSWER = "The child process gave no usable answer."

Start = Callable[..., ChildProcess]
#: Takes the streams, as a real child does, and says that it is ready without a fork.
READY = """
import json, os, socket, struct, sys
control = socket.socket(fileno=0)
_, [descriptor], *_ = socket.recv_fds(control, 1, 1)
r, w = os.fdopen(descriptor, "rb"), os.fdopen(os.dup(descriptor), "wb")
length, _ = struct.unpack(">II", r.read(8))
r.read(length)
ready = {"forked": False, "pid": os.getpid(), "landlock": 0, "seccomp": False}
text = json.dumps(ready).encode()
w.write(struct.pack(">II", len(text), 0) + text)
w.flush()
"""


@pytest.fixture
def start() -> Iterator[Start]:
    """Start a child that is ended after the test."""
    started: list[ChildProcess] = []

    def make(memory_limit: int = 0, timeout: float = PATIENCE) -> ChildProcess:
        started.append(ChildProcess(memory_limit, timeout))
        return started[-1]

    yield make
    for child in started:
        child.close()


@pytest.fixture
def start_stranger(monkeypatch: pytest.MonkeyPatch, start: Start) -> Start:
    """Start a program of the test instead of the real child."""

    def make(program: str) -> ChildProcess:
        popen = subprocess.Popen

        def other(_arguments: list[str], **options: Any) -> subprocess.Popen[bytes]:
            return popen([sys.executable, "-c", READY + program], **options)

        with monkeypatch.context() as patch:
            patch.setattr(child_process.subprocess, "Popen", other)
            return start()

    return make


def pid_of(child: ChildProcess) -> int:
    assert child.pid is not None
    return child.pid


def begun(child: ChildProcess) -> ChildProcess:
    """Prepare a child for its first image."""
    child.begin("", choices())
    return child


def labels(answer: dict[str, Any]) -> list[Any]:
    (prediction,) = answer["predictions"]
    return list(prediction["labels"])


def shorten(child: ChildProcess, timeout: float = 0.25) -> None:
    """Change the timeout, after the provider was loaded."""
    child._timeout = child._watch._timeout = timeout


def after_writing(
    monkeypatch: pytest.MonkeyPatch, child: ChildProcess, signal_number: int
) -> None:
    """Send the child a signal after its next request."""
    write = child_process.write_frame

    def write_and_kill(stream: IO[bytes], *arguments: Any) -> None:
        # A stopped child cannot answer before the signal.
        os.kill(pid_of(child), signal.SIGSTOP)
        write(stream, *arguments)
        os.kill(pid_of(child), signal_number)

    monkeypatch.setattr(child_process, "write_frame", write_and_kill)


def test_a_child_answers_one_request_after_the_other(start: Start) -> None:
    child = start()
    first = ask(child, choices(), ESPRESSO.read_bytes())
    assert ["n07920052", "espresso"] in [label[:2] for label in labels(first)]
    assert first["predictions"][0]["provider"] == "tensorflow"
    assert first["predictions"][0]["model"] == "efficientnet-lite0 2"
    second = ask(child, choices(), encode(Image.new("RGB", (64, 64), "white")))
    assert labels(second) != labels(first)
    third = ask(child, choices(), ESPRESSO.read_bytes())
    assert first.pop("seconds") > 0
    assert third.pop("seconds") > 0
    assert third == first
    assert child.alive


def test_a_bad_image_is_answered_and_the_child_lives_on(start: Start) -> None:
    child = start()
    assert ask(child, choices(), b"") == {
        "error": "UnreadableImage",
        "message": "The file is empty.",
    }
    assert labels(ask(child, choices(), ESPRESSO.read_bytes()))


def test_an_image_larger_than_a_pipe_holds_is_sent_whole(start: Start) -> None:
    image = Image.frombytes("RGB", (900, 900), os.urandom(900 * 900 * 3))
    assert "predictions" in ask(start(), choices(), encode(image))


def test_what_a_provider_raises_is_answered_and_the_child_lives_on(
    start: Start,
) -> None:
    child = start()
    answer = ask(child, [{"name": "nobody", "options": {}}], b"")
    assert answer == {
        "error": "ClassifierError",
        "message": "Classifying the image with nobody raised LookupError: There is no"
        " provider 'nobody'.",
    }
    answer = ask(child, choices(model="../x"), b"")
    assert answer["error"] == "ModelError"
    assert answer["message"].startswith("There is no model '../x'; there are: ")
    assert child.alive


def test_a_jpeg_above_pillows_own_limit_is_decoded(start: Start) -> None:
    data = bytearray(encode(Image.new("RGB", (16, 16), "white"), "JPEG"))
    place = data.index(b"\xff\xc0") + 5
    # 16,320 by 12,240 pixels, the size of photos of 200-megapixel phones.
    data[place : place + 4] = (12_240).to_bytes(2, "big") + (16_320).to_bytes(2, "big")
    assert "predictions" in ask(start(), choices(), bytes(data))


def test_a_child_that_is_killed_at_work(
    start: Start, monkeypatch: pytest.MonkeyPatch
) -> None:
    child = begun(start())
    after_writing(monkeypatch, child, signal.SIGKILL)
    with pytest.raises(ClassifierCrashed) as caught:
        ask(child, choices(), ESPRESSO.read_bytes())
    assert str(caught.value) == (
        "The child process ended while it decoded or classified the image (exit status"
        " -9)."
    )
    assert not child.alive


def test_a_child_that_hangs_is_killed_in_time(
    start: Start, monkeypatch: pytest.MonkeyPatch
) -> None:
    child = begun(start())
    shorten(child)
    after_writing(monkeypatch, child, signal.SIGSTOP)
    with pytest.raises(ClassifierTimeout) as caught:
        ask(child, choices(), ESPRESSO.read_bytes())
    assert (
        str(caught.value) == "Decoding and classifying took longer than 0.25 seconds."
    )
    assert not child.alive


def test_a_child_that_does_not_even_read_is_killed_in_time(start: Start) -> None:
    child = begun(start())
    shorten(child)
    os.kill(pid_of(child), signal.SIGSTOP)
    with pytest.raises(ClassifierTimeout):
        ask(child, choices(), bytes(5_000_000))
    assert not child.alive


def test_a_child_that_died_while_idle_crashes_only_when_asked(start: Start) -> None:
    child = begun(start())
    assert child.alive
    os.kill(pid_of(child), signal.SIGKILL)
    with pytest.raises(ClassifierCrashed):
        child.send(bytes(3 * SEND_BUFFER), None)
    assert not child.alive
    assert labels(ask(child, choices(), ESPRESSO.read_bytes()))


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_to_the_whole_group_leaves_the_child_at_work(
    start: Start, number: signal.Signals
) -> None:
    """As Ctrl+C in a terminal and ``systemctl stop`` send it."""
    child = start()
    ask(child, choices(), encode(Image.new("RGB", (64, 48))))
    os.kill(pid_of(child), number)
    assert labels(ask(child, choices(), ESPRESSO.read_bytes()))


def test_an_interrupted_request_ends_the_child(
    start: Start, monkeypatch: pytest.MonkeyPatch
) -> None:
    child = start()

    def interrupted(*_: Any) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(child_process, "read_frame", interrupted)
    with pytest.raises(KeyboardInterrupt):
        ask(child, choices(), ESPRESSO.read_bytes())
    assert not child.alive


def test_an_ended_child_is_no_zombie(start: Start) -> None:
    child = begun(start())
    child.close()
    child.close()
    for pid in (child._process.pid, pid_of(child)):
        with pytest.raises(ProcessLookupError):
            os.kill(pid, 0)


def test_a_program_that_cannot_be_started(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "executable", "/no/such/python")
    with pytest.raises(ClassifierError) as caught:
        ChildProcess(0, PATIENCE)
    assert str(caught.value) == (
        "The child process cannot be started: No such file or directory."
    )


class TestStrangers:
    """Code that has taken over a child gains nothing but this image."""

    def crash(self, child: ChildProcess) -> str:
        with pytest.raises(ClassifierCrashed) as caught:
            ask(child, choices(), b"an image")
        assert not child.alive
        return str(caught.value)

    @pytest.mark.parametrize(
        "answer",
        [
            "b'this is no frame at all, but a text that is long enough'",
            f"struct.pack('>II', {MAX_ANSWER_SIZE}, 1)",
            "struct.pack('>II', 2, 0) + b'[]'",
            "struct.pack('>II', 3, 0) + b'{]}'",
            "struct.pack('>II', 900000, 0) + b'[' * 900000",
        ],
        ids=["text", "too large", "no object", "no JSON", "nested"],
    )
    def test_an_answer_that_is_none(self, start_stranger: Start, answer: str) -> None:
        child = start_stranger(f"w.write({answer}); w.flush(); r.read()")
        assert self.crash(child) == NO_USABLE_ANSWER

    def test_an_answer_that_breaks_off(self, start_stranger: Start) -> None:
        child = start_stranger(
            "w.write(struct.pack('>II', 9, 0) + b'{'); w.flush();"
            " r.read(20); sys.exit(3)"
        )
        assert self.crash(child).endswith("(exit status 3).")

    def test_no_answer(self, start_stranger: Start) -> None:
        assert self.crash(start_stranger("raise SystemExit(5)")).endswith(
            "(exit status 5)."
        )

    def test_a_child_that_closes_its_streams_and_stays(
        self, start_stranger: Start, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(child_process, "SECONDS_TO_END", 0.1)
        child = start_stranger("import signal; r.close(); w.close(); signal.pause()")
        assert self.crash(child).startswith("The child process ended while")


@needs_proc
class TestWhatAChildHas:
    def environment(self, child: ChildProcess) -> dict[str, str]:
        # It has answered, so that it is the new program and not yet our copy. A fork
        # has the same environment, but is closed to others.
        ask(child, choices(), b"")
        text = Path(f"/proc/{child._process.pid}/environ").read_text()
        return dict(line.split("=", 1) for line in text.split("\0") if line)

    def test_its_environment_holds_no_secrets(
        self, start: Start, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        for name in ("SECRET_KEY", "AWS_SECRET_ACCESS_KEY", "DATABASE_URL"):
            monkeypatch.setenv(name, "the-secret-value")
        environment = self.environment(start())
        assert "the-secret-value" not in environment.values()
        assert set(environment) <= {
            *ENVIRONMENT,
            "PYTHONPATH",
            "OPENBLAS_NUM_THREADS",
            "LC_CTYPE",
        }

    def test_it_finds_the_packages_that_the_host_finds(
        self, start: Start, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
    ) -> None:
        monkeypatch.syspath_prepend(tmp_path)
        paths = self.environment(start())["PYTHONPATH"].split(os.pathsep)
        assert paths[0] == str(tmp_path)
        assert "" not in paths

    def test_its_resources_are_limited(self, start: Start) -> None:
        child = start(1500)
        ask(child, choices(), b"")
        text = Path(f"/proc/{pid_of(child)}/limits").read_text()
        limits = {
            line[:26].strip(): line[26:].split()[:2] for line in text.splitlines()
        }
        assert limits["Max address space"] == [str(1500 * 2**20)] * 2
        assert limits["Max file size"] == [str(2**20)] * 2
        assert limits["Max core file size"] == ["0", "0"]
        assert limits["Max open files"] == ["256", "256"]

    def test_its_address_space_may_be_unlimited(self, start: Start) -> None:
        child = start(0)
        ask(child, choices(), b"")
        text = Path(f"/proc/{pid_of(child)}/limits").read_text()
        own = Path("/proc/self/limits").read_text()
        (line,) = (each for each in own.splitlines() if "address space" in each)
        assert line in text

    def test_it_yields_to_the_host(self, start: Start) -> None:
        child = start()
        ask(child, choices(), b"")
        own = os.getpriority(os.PRIO_PROCESS, 0)
        assert os.getpriority(os.PRIO_PROCESS, pid_of(child)) == min(19, own + 10)

    def test_it_has_no_file_of_the_host(self, start: Start, tmp_path: Path) -> None:
        with (tmp_path / "secret").open("wb") as file:
            os.set_inheritable(file.fileno(), True)
            child = start()
            ask(child, choices(), b"")
            links = Path(f"/proc/{child._process.pid}/fd").iterdir()
            assert str(tmp_path / "secret") not in {
                str(link.readlink()) for link in links
            }


def test_what_a_library_prints_is_no_answer() -> None:
    done = subprocess.run(
        [
            sys.executable,
            "-c",
            "import os\n"
            "from flask_autotag.classification.sandbox.__main__ import (\n"
            "    _claim_standard_output\n"
            ")\n"
            "answers = _claim_standard_output()\n"
            "print('noise of Python', flush=True)\n"
            "os.write(1, b'noise of C')\n"
            "answers.write(b'answer')\n",
        ],
        capture_output=True,
        timeout=PATIENCE,
    )
    assert done.stdout == b"answer"
    assert b"noise of Python" in done.stderr
    assert b"noise of C" in done.stderr
