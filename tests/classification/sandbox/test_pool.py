from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import IO, Any

import pytest
from PIL import Image

from flask_autotag import TaggingError
from flask_autotag.classification.sandbox import child_process
from flask_autotag.classification.sandbox import pool as pool_module
from flask_autotag.classification.sandbox.pool import Pool
from flask_autotag.classification.sandbox.question import Answer, Question
from flask_autotag.errors import (
    ClassifierCrashed,
    ClassifierError,
    ClassifierTimeout,
    ImageTooLarge,
    ModelError,
    UnreadableImage,
)
from flask_autotag.providers.registry import local_enabled
from flask_autotag.settings.machine import Machine

from ...hosts import ESPRESSO
from .conftest import PATIENCE, SETTINGS, Tracked, classify, default_question, encode

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="uses Unix signals")

MakePool = Callable[..., Pool]
WHITE = encode(Image.new("RGB", (64, 64), "white"))
NOISE = encode(Image.effect_noise((64, 64), 50))


@pytest.fixture(scope="module")
def espresso() -> bytes:
    return ESPRESSO.read_bytes()


class TestClassify:
    def test_the_labels_come_back(self, make_pool: MakePool, espresso: bytes) -> None:
        prediction = classify(make_pool(), espresso)
        assert prediction.provider == "tensorflow"
        assert prediction.model == "efficientnet-lite0 2"
        [best] = [each for each in prediction.labels if each.id == "n07920052"]
        assert best.name == "espresso"
        assert 0.5 < best.confidence <= 1

    def test_a_child_is_started_with_the_first_image_and_kept(
        self, make_pool: MakePool, children: list[Tracked], espresso: bytes
    ) -> None:
        pool = make_pool()
        assert children == []
        first = classify(pool, espresso)
        assert classify(pool, WHITE) != first
        assert classify(pool, espresso) == first
        assert len(children) == 1

    def test_each_call_has_a_child_of_its_own(
        self, make_pool: MakePool, children: list[Tracked]
    ) -> None:
        pool = make_pool()
        pids = []
        for _ in range(3):
            classify(pool, WHITE)
            pids.append(children[0].pid)
        assert len({*pids, children[0].program}) == 4

    @pytest.mark.parametrize(
        ("data", "kind", "message"),
        [
            (b"", UnreadableImage, "The file is empty."),
            (
                b"text" * 50,
                UnreadableImage,
                "The file is not an image that can be read",
            ),
            (
                NOISE[: len(NOISE) // 2],
                UnreadableImage,
                "The PNG image is damaged or incomplete.",
            ),
            (
                encode(Image.new("1", (25_001, 2_000))),
                ImageTooLarge,
                "The image has 25001 by 2000 pixels; the limit for PNG is 50",
            ),
        ],
    )
    def test_what_is_wrong_with_an_image_keeps_its_class_and_message(
        self,
        make_pool: MakePool,
        children: list[Tracked],
        data: bytes,
        kind: type[TaggingError],
        message: str,
    ) -> None:
        pool = make_pool()
        with pytest.raises(TaggingError) as caught:
            classify(pool, data)
        assert type(caught.value) is kind
        assert str(caught.value).startswith(message)
        assert classify(pool, WHITE)
        assert len(children) == 1

    def test_a_model_that_is_not_there_any_more(
        self, make_pool: MakePool, tmp_path: Path
    ) -> None:
        settings = SETTINGS.with_value(("tensorflow", "model"), "gone")
        with pytest.raises(ModelError, match=r"^There is no model 'gone'; there are"):
            make_pool().classify(
                Question(
                    WHITE, local_enabled(settings), settings, Machine(str(tmp_path))
                )
            )

    def test_a_child_is_replaced_after_a_number_of_images(
        self,
        make_pool: MakePool,
        children: list[Tracked],
        monkeypatch: pytest.MonkeyPatch,
    ) -> None:
        monkeypatch.setattr(pool_module, "IMAGES_PER_FORK", 2)
        pids = []
        with make_pool().slot() as slot:
            for outcome in slot.classify([default_question(WHITE)] * 5):
                assert isinstance(outcome, Answer)
                pids.append(children[0].pid)
        assert pids[0] == pids[1] != pids[2] == pids[3] != pids[4]
        assert len(children) == 1

    def test_threads_share_it_and_no_more_children_than_its_size_are_started(
        self, make_pool: MakePool, children: list[Tracked], espresso: bytes
    ) -> None:
        pool = make_pool(size=2)
        images = [espresso, WHITE] * 8
        with ThreadPoolExecutor(5) as executor:
            answers = list(executor.map(lambda data: classify(pool, data), images))
        assert answers == [classify(pool, espresso), classify(pool, WHITE)] * 8
        assert 1 <= len(children) <= 2


class TestTrouble:
    def signal_with_image(
        self,
        monkeypatch: pytest.MonkeyPatch,
        child: Tracked,
        number: int,
        timeout: float = PATIENCE,
    ) -> None:
        """Send the forked child a signal with its first image.

        :param timeout: seconds to wait for the answer; the fork has more time.
        """
        write = child_process.write_frame

        def write_and_kill(stream: IO[bytes], *arguments: Any) -> None:
            if not child.alive:  # The first message, before a child is there.
                return write(stream, *arguments)
            assert child.pid is not None
            os.kill(child.pid, signal.SIGSTOP)
            write(stream, *arguments)
            os.kill(child.pid, number)
            monkeypatch.setattr(child, "_timeout", timeout)
            monkeypatch.setattr(child._watch, "_timeout", timeout)

        monkeypatch.setattr(child_process, "write_frame", write_and_kill)

    def test_a_child_that_is_killed_costs_one_image(
        self, make_pool: MakePool, children: list[Tracked], espresso: bytes
    ) -> None:
        pool = make_pool()
        before = classify(pool, espresso)
        with pytest.MonkeyPatch.context() as patch:
            self.signal_with_image(patch, children[0], signal.SIGKILL)
            with pytest.raises(ClassifierCrashed, match=r"exit status -9"):
                classify(pool, WHITE)
        assert classify(pool, espresso) == before
        # The program that forks is still the same.
        assert len(children) == 1

    def test_a_child_that_hangs_costs_one_image(
        self, make_pool: MakePool, children: list[Tracked], espresso: bytes
    ) -> None:
        pool = make_pool()
        before = classify(pool, espresso)
        with pytest.MonkeyPatch.context() as patch:
            self.signal_with_image(patch, children[0], signal.SIGSTOP, 0.5)
            with pytest.raises(ClassifierTimeout, match=r"longer than 0\.5 seconds"):
                classify(pool, WHITE)
        assert classify(pool, espresso) == before
        assert len(children) == 1

    def test_a_program_that_died_while_idle_costs_nothing(
        self, make_pool: MakePool, children: list[Tracked]
    ) -> None:
        pool = make_pool()
        before = classify(pool, WHITE)
        os.kill(children[0].program, signal.SIGKILL)
        children[0].await_end()
        assert classify(pool, WHITE) == before

    def test_after_an_interruption_no_image_gets_the_answer_of_another(
        self, make_pool: MakePool, espresso: bytes
    ) -> None:
        pool = make_pool()
        before = classify(pool, WHITE)

        def interrupted(*_: Any) -> None:
            raise KeyboardInterrupt

        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(child_process, "read_frame", interrupted)
            with pytest.raises(KeyboardInterrupt):
                classify(pool, espresso)
        assert classify(pool, WHITE) == before

    def test_a_program_that_cannot_be_started_blocks_nobody(
        self, make_pool: MakePool, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        pool = make_pool()
        with monkeypatch.context() as patch:
            patch.setattr(sys, "executable", "/no/such/python")
            for _ in range(2):
                with pytest.raises(ClassifierError, match="cannot be started"):
                    classify(pool, WHITE)
        assert classify(pool, WHITE)

    @pytest.mark.parametrize("memory_limit", [1, 50, 100, 150])
    def test_too_little_memory_for_the_model_is_an_error_and_no_hang(
        self, make_pool: MakePool, memory_limit: int
    ) -> None:
        with pytest.raises(TaggingError) as caught:
            classify(make_pool(memory_limit=memory_limit), WHITE)
        assert str(caught.value)

    def test_an_image_that_needs_too_much_memory_is_told_as_such(
        self, make_pool: MakePool, children: list[Tracked]
    ) -> None:
        pool = make_pool(memory_limit=700)
        large = encode(Image.new("F", (6_900, 7_200)), "TIFF")
        with pytest.raises(ImageTooLarge) as caught:
            classify(pool, large)
        assert str(caught.value) == (
            "The image needs more memory to decode than AUTOTAG_MEMORY_LIMIT allows."
        )
        assert classify(pool, WHITE)
        assert len(children) == 1


class TestClose:
    def test_closing_ends_the_children_and_leaves_no_zombie(
        self, make_pool: MakePool, children: list[Tracked]
    ) -> None:
        pool = make_pool()
        classify(pool, WHITE)
        pool.close()
        assert not children[0].alive
        for pid in (children[0].program, children[0].pid):
            assert pid is not None
            assert not is_running(pid)
        with pytest.raises(ChildProcessError):
            os.waitpid(children[0].program, os.WNOHANG)

    def test_a_pool_that_was_never_used_can_be_closed_twice(
        self, make_pool: MakePool, children: list[Tracked]
    ) -> None:
        pool = make_pool()
        pool.close()
        pool.close()
        assert children == []

    def test_a_closed_pool_can_be_used_again(
        self, make_pool: MakePool, children: list[Tracked]
    ) -> None:
        pool = make_pool(size=2)
        before = classify(pool, WHITE)
        pool.close()
        assert classify(pool, WHITE) == before
        assert len(children) == 2


def run_script(tmp_path: Path, program: str) -> list[str]:
    """Run a program of its own, with every warning an error.

    :return: the words that it printed.
    """
    image = tmp_path / "image.png"
    image.write_bytes(WHITE)
    script = tmp_path / "script.py"
    script.write_text(
        "import gc, os, pathlib, signal, sys, threading\n"
        "from flask_autotag.providers.base import Machine\n"
        "from flask_autotag.providers.registry import local_enabled, sections\n"
        "from flask_autotag.classification.sandbox.pool import Pool\n"
        "from flask_autotag.classification.sandbox.question import Question\n"
        "from flask_autotag.settings.resolution import read_settings\n"
        "def classify(pool):\n"
        f"    data = pathlib.Path({str(image)!r}).read_bytes()\n"
        "    settings = read_settings(sections(), {})\n"
        "    here = local_enabled(settings)\n"
        "    question = Question(data, here, settings, Machine())\n"
        "    with pool.slot() as slot:\n"
        "        outcomes = slot.classify([question, question])\n"
        "        next(outcomes)\n"
        "        at_work.append(outcomes)\n"
        "        return slot._child._process.pid, slot._child.pid\n"
        "at_work = []\n"
        f"pool = Pool(1, {PATIENCE}, 2048)\n" + program,
    )
    done = subprocess.run(
        [sys.executable, "-W", "error", str(script)],
        capture_output=True,
        text=True,
        timeout=PATIENCE,
        env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)},
    )
    assert done.stderr == ""
    return done.stdout.split()


def is_running(pid: int) -> bool:
    """Return whether a process runs, which need not be our child."""
    try:
        state = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except FileNotFoundError:
        return False
    return state != "Z"


def await_end(pid: int) -> bool:
    deadline = time.monotonic() + PATIENCE
    while is_running(pid) and time.monotonic() < deadline:
        time.sleep(0.02)
    return not is_running(pid)


class TestProcesses:
    def test_streams_that_the_parent_reads_without_blocking(
        self, make_pool: MakePool, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """As gevent makes all sockets."""
        socketpair = socket.socketpair

        def without_blocking() -> tuple[socket.socket, socket.socket]:
            ours, theirs = socketpair()
            os.set_blocking(theirs.fileno(), False)
            return ours, theirs

        monkeypatch.setattr(child_process.socket, "socketpair", without_blocking)
        pool = make_pool()
        assert [classify(pool, WHITE) for _ in range(2)]

    @pytest.mark.skipif(not Path("/proc/self/stat").exists(), reason="no /proc here")
    @pytest.mark.parametrize(
        "end",
        ["os._exit(0)", "os.kill(os.getpid(), signal.SIGKILL)", "pool.close()"],
    )
    def test_children_end_with_their_parent(self, tmp_path: Path, end: str) -> None:
        pids = run_script(tmp_path, f"print(*classify(pool), flush=True)\n{end}\n")
        assert [await_end(int(pid)) for pid in pids] == [True, True]

    def test_a_fork_has_children_of_its_own(self, tmp_path: Path) -> None:
        forked, first, again = run_script(
            tmp_path,
            "first, _ = classify(pool)\n"
            "del at_work[:]\n"
            "while threading.active_count() > 1: pass\n"
            "pid = os.fork()\n"
            "if pid == 0:\n"
            "    pool.close()\n"
            "    forked, _ = classify(pool)\n"
            "    pool.close()\n"
            "    gc.collect()\n"
            "    print(forked, flush=True)\n"
            "    os._exit(0)\n"
            "assert os.waitpid(pid, 0)[1] == 0\n"
            "again, _ = classify(pool)\n"
            "del at_work[:]\n"
            "print(first, again)\n"
            "pool.close()\n",
        )
        assert first == again != forked

    def test_nothing_is_left_to_warn_of(self, tmp_path: Path) -> None:
        printed = run_script(
            tmp_path,
            "child = pool\n"
            "pid = classify(pool)\n"
            "del at_work[:]\n"
            "pool.close()\n"
            "del pool, child\n"
            "gc.collect()\n"
            "while threading.active_count() > 1: pass\n"
            "print(threading.active_count())\n"
            "try:\n"
            "    os.waitpid(-1, os.WNOHANG)\n"
            "except ChildProcessError:\n"
            "    print('childless')\n",
        )
        assert printed == ["1", "childless"]
