from __future__ import annotations

import dataclasses
import json
import math
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import IO, Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from PIL import Image

from flask_autotag import (
    ClassifierCrashed,
    ClassifierError,
    ClassifierTimeout,
    ImageTooLarge,
    ModelError,
    TaggingError,
    UnreadableImage,
)
from flask_autotag.providers.base import (
    MOST_BROADER,
    MOST_LABELS,
    Label,
    Machine,
    Prediction,
    SentImage,
)
from flask_autotag.providers.registry import enabled_here
from flask_autotag.sandbox import pool as pool_module
from flask_autotag.sandbox import process
from flask_autotag.sandbox.pool import Pool, Question, _read_answer
from flask_autotag.settings.resolution import Settings

from ..hosts import ESPRESSO
from .conftest import PATIENCE, SETTINGS, Tracked, asked, classify, encode

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="uses Unix signals")

MakePool = Callable[..., Pool]
WHITE = encode(Image.new("RGB", (64, 64), "white"))
NOISE = encode(Image.effect_noise((64, 64), 50))
NO_USABLE_ANSWER = "The child process gave no usable answer."


@pytest.fixture(scope="module")
def espresso() -> bytes:
    return ESPRESSO.read_bytes()


class TestClassify:
    def test_the_labels_come_back(self, make_pool: MakePool, espresso: bytes) -> None:
        prediction = classify(make_pool(), espresso)
        assert prediction.provider == "tensorflow"
        assert prediction.model == "efficientnet-lite0 1"
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
        settings = Settings(
            {**SETTINGS.values, "tensorflow": {"model": "gone", "enabled": True}}
        )
        with pytest.raises(ModelError, match=r"^There is no model 'gone'; there are"):
            make_pool().classify(
                Question(
                    WHITE, enabled_here(settings), settings, Machine(str(tmp_path))
                )
            )

    def test_a_child_is_replaced_after_a_number_of_images(
        self,
        make_pool: MakePool,
        children: list[Tracked],
        monkeypatch: pytest.MonkeyPatch,
    ) -> None:
        monkeypatch.setattr(pool_module, "IMAGES_PER_CHILD", 2)
        pool = make_pool()
        alive = []
        for _ in range(5):
            classify(pool, WHITE)
            alive.append(sum(child.alive for child in children))
        assert len(children) == 3
        assert alive == [1] * 5

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
    def signal_when_asked(
        self, monkeypatch: pytest.MonkeyPatch, child: Tracked, number: int
    ) -> None:
        write = process.write_frame

        def write_and_kill(stream: IO[bytes], *arguments: Any) -> None:
            os.kill(child.pid, signal.SIGSTOP)
            write(stream, *arguments)
            os.kill(child.pid, number)

        monkeypatch.setattr(process, "write_frame", write_and_kill)

    def test_a_child_that_is_killed_costs_one_image(
        self, make_pool: MakePool, children: list[Tracked], espresso: bytes
    ) -> None:
        pool = make_pool()
        before = classify(pool, espresso)
        with pytest.MonkeyPatch.context() as patch:
            self.signal_when_asked(patch, children[0], signal.SIGKILL)
            with pytest.raises(ClassifierCrashed):
                classify(pool, WHITE)
        assert classify(pool, espresso) == before
        assert len(children) == 2

    def test_a_child_that_hangs_costs_one_image(
        self, make_pool: MakePool, children: list[Tracked], espresso: bytes
    ) -> None:
        pool = make_pool()
        before = classify(pool, espresso)
        with pytest.MonkeyPatch.context() as patch:
            self.signal_when_asked(patch, children[0], signal.SIGSTOP)
            patch.setattr(children[0], "_timeout", 0.25)
            patch.setattr(children[0]._watch, "_timeout", 0.25)
            with pytest.raises(ClassifierTimeout, match=r"longer than 0\.25 seconds"):
                classify(pool, WHITE)
        assert classify(pool, espresso) == before
        assert len(children) == 2

    def test_a_child_that_died_while_idle_costs_nothing(
        self, make_pool: MakePool, children: list[Tracked]
    ) -> None:
        pool = make_pool()
        before = classify(pool, WHITE)
        os.kill(children[0].pid, signal.SIGKILL)
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
            patch.setattr(process, "read_frame", interrupted)
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
        with pytest.raises(ChildProcessError):
            os.waitpid(children[0].pid, os.WNOHANG)

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
        "from flask_autotag.providers.registry import enabled_here, sections\n"
        "from flask_autotag.sandbox.pool import Pool, Question\n"
        "from flask_autotag.settings.resolution import read_settings\n"
        "def classify(pool):\n"
        f"    data = pathlib.Path({str(image)!r}).read_bytes()\n"
        "    settings = read_settings(sections(), {})\n"
        "    here = enabled_here(settings)\n"
        "    pool.classify(Question(data, here, settings, Machine()))\n"
        "    return pool._free.queue[0]._child._process.pid\n"
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
    """Tell whether a process, that need not be a child of ours, still runs."""
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
    @pytest.mark.skipif(not Path("/proc/self/stat").exists(), reason="no /proc here")
    @pytest.mark.parametrize(
        "end",
        ["os._exit(0)", "os.kill(os.getpid(), signal.SIGKILL)", "pool.close()"],
    )
    def test_children_end_with_their_parent(self, tmp_path: Path, end: str) -> None:
        (pid,) = run_script(tmp_path, f"print(classify(pool), flush=True)\n{end}\n")
        assert await_end(int(pid))

    def test_a_fork_has_children_of_its_own(self, tmp_path: Path) -> None:
        forked, first, again = run_script(
            tmp_path,
            "first = classify(pool)\n"
            "while threading.active_count() > 1: pass\n"
            "pid = os.fork()\n"
            "if pid == 0:\n"
            "    pool.close()\n"
            "    forked = classify(pool)\n"
            "    pool.close()\n"
            "    gc.collect()\n"
            "    print(forked, flush=True)\n"
            "    os._exit(0)\n"
            "assert os.waitpid(pid, 0)[1] == 0\n"
            "again = classify(pool)\n"
            "print(first, again)\n"
            "pool.close()\n",
        )
        assert first == again != forked

    def test_nothing_is_left_to_warn_of(self, tmp_path: Path) -> None:
        printed = run_script(
            tmp_path,
            "child = pool\n"
            "pid = classify(pool)\n"
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


def answer_of(*labels: Any, provider: Any = "tensorflow", model: Any = "m 1") -> Any:
    item = {"provider": provider, "model": model, "labels": list(labels)}
    return {"predictions": [item]}


ASKED = asked(b"")


def read_one(answer: dict[str, Any]) -> Prediction:
    (prediction,) = _read_answer(answer, b"", ASKED).predictions
    return prediction


JSON = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats()
    | st.text(st.characters())
    | st.sampled_from(["tensorflow", "TaggingError", "AutoTagError"]),
    lambda values: (
        st.lists(values, max_size=4)
        | st.dictionaries(
            st.sampled_from(
                ["predictions", "error", "message", "provider", "model", "labels", "x"]
            ),
            values,
            max_size=4,
        )
    ),
    max_leaves=20,
)
ITEMS = st.fixed_dictionaries(
    {"provider": st.just("tensorflow"), "model": JSON | st.text()},
    optional={"labels": JSON | st.lists(st.tuples(st.text(), st.text(), JSON))},
)


class TestAnswers:
    def test_a_good_answer_is_read(self) -> None:
        assert read_one(answer_of(["n1", "dog", 0.75], ["n2", "cat", 0.25])) == (
            Prediction(
                "tensorflow",
                "m 1",
                (Label("n1", "dog", 0.75), Label("n2", "cat", 0.25)),
            )
        )

    @given(
        st.dictionaries(st.sampled_from(["predictions", "error", "message"]), JSON)
        | st.fixed_dictionaries({"predictions": st.lists(ITEMS, max_size=2)})
    )
    @example({"predictions": [{"provider": "tensorflow", "model": "", "labels": {}}]})
    def test_whatever_it_says_is_a_prediction_or_a_tagging_error(
        self, answer: dict[str, Any]
    ) -> None:
        answer = json.loads(json.dumps(answer))
        predictions, message = [], ""
        try:
            predictions = list(_read_answer(answer, b"", ASKED).predictions)
        except TaggingError as error:
            message = str(error)
        assert message.isprintable()
        for prediction in predictions:
            assert prediction.provider == "tensorflow"
            assert prediction.model.isprintable()
            for label in prediction.labels:
                assert 0 <= label.confidence <= 1
                assert label.id.isprintable()
                assert label.name.isprintable()

    @pytest.mark.parametrize(
        "confidence", [float("nan"), float("inf"), None, "sure", [], {}, 10**400]
    )
    def test_a_confidence_that_is_no_number(self, confidence: Any) -> None:
        with pytest.raises(ClassifierCrashed) as caught:
            read_one(answer_of(["n1", "dog", confidence]))
        assert str(caught.value) == NO_USABLE_ANSWER

    @pytest.mark.parametrize(("said", "meant"), [(7, 1.0), (-1, 0.0), (1.0001, 1.0)])
    def test_a_confidence_that_is_out_of_range_is_brought_back(
        self, said: float, meant: float
    ) -> None:
        assert read_one(answer_of(["n1", "dog", said])).labels[0].confidence == meant

    @pytest.mark.parametrize(
        "answer",
        [
            {},
            {"predictions": None},
            {"predictions": 5},
            {"predictions": "text"},
            {"predictions": []},
            {"predictions": [5]},
            {"predictions": [{}]},
            answer_of(["n1", "dog"]),
            answer_of(["n1", "dog", 0.5, 0.5]),
            answer_of("n1", "dog"),
            answer_of([1, "dog", 0.5]),
            answer_of(["n1", None, 0.5]),
            answer_of(["n1", "dog", 0.5], model=None),
            answer_of(["n1", "dog", 0.5], provider="google"),
            answer_of(["n1", "dog", 0.5], provider=["tensorflow"]),
            {"predictions": answer_of()["predictions"] * 2},
            *({**answer_of(), "seconds": each} for each in (-1, 3601, "x", None, [])),
            {**answer_of(), "seconds": math.nan},
            {"error": 5, "message": "text"},
            {"error": "TaggingError"},
            {"error": "TaggingError", "message": None},
        ],
    )
    def test_an_answer_of_another_form(self, answer: dict[str, Any]) -> None:
        with pytest.raises(ClassifierCrashed) as caught:
            _read_answer(answer, b"", ASKED)
        assert str(caught.value) == NO_USABLE_ANSWER

    def test_how_long_it_took(self) -> None:
        answer = {**answer_of(), "seconds": 0.25}
        assert _read_answer(answer, b"", ASKED).seconds == 0.25
        assert _read_answer(answer_of(), b"", ASKED).seconds is None

    def test_only_so_many_labels_are_read(self) -> None:
        labels = [[f"n{number}", "dog", 0.5] for number in range(10 * MOST_LABELS)]
        most = MOST_LABELS + MOST_BROADER
        assert len(read_one(answer_of(*labels)).labels) == most

    def test_a_reduced_image_is_what_was_asked_for(self) -> None:
        reducing = dataclasses.replace(ASKED, reduce_to=100)
        good = {"predictions": [answer_of()["predictions"][0]], "size": [100, 60]}
        sent = _read_answer(good, b"jpeg", reducing).reduced
        assert sent == SentImage(b"jpeg", 100, 60)
        for size in ([101, 60], [0, 60], ["x", 1], [1], None, [1, True, 3]):
            with pytest.raises(ClassifierCrashed):
                _read_answer({**good, "size": size}, b"jpeg", reducing)
        with pytest.raises(ClassifierCrashed):
            _read_answer(good, b"", reducing)

    def test_long_texts_are_cut(self) -> None:
        long = "x" * 100_000
        prediction = read_one(answer_of([long, long, 0.5], model=long))
        (label,) = prediction.labels
        assert (len(label.id), len(prediction.model)) == (100, 128)
        # Too long for a tag still, so that none is made of the half of a name.
        assert len(label.name) == 101

    @pytest.mark.parametrize("character", ["\0", "\n", "\x1b", "\ud800", "\u202e"])
    def test_characters_that_databases_or_pages_do_not_bear_go(
        self, character: str
    ) -> None:
        text = f"a{character}b"
        prediction = read_one(answer_of([text, text, 0.5], model=text))
        assert prediction == Prediction(
            "tensorflow", "a b", (Label("a b", "a b", 0.5),)
        )
        with pytest.raises(TaggingError) as caught:
            _read_answer({"error": "TaggingError", "message": text}, b"", ASKED)
        assert str(caught.value) == "a b"

    def test_an_error_keeps_its_class_and_message(self) -> None:
        with pytest.raises(UnreadableImage) as caught:
            _read_answer(
                {"error": "UnreadableImage", "message": "It is empty."}, b"", ASKED
            )
        assert str(caught.value) == "It is empty."

    @pytest.mark.parametrize(
        "name",
        [
            "Exception",
            "SystemExit",
            "AutoTagError",
            "AssetError",
            "ClassVar",
            "",
            "x.y",
        ],
    )
    def test_an_error_of_an_unknown_class_is_the_classifiers(self, name: str) -> None:
        with pytest.raises(TaggingError) as caught:
            _read_answer({"error": name, "message": "Something."}, b"", ASKED)
        assert type(caught.value) is ClassifierError
        assert str(caught.value) == "Something."

    def test_a_long_message_is_cut(self) -> None:
        with pytest.raises(ClassifierError) as caught:
            _read_answer(
                {"error": "ClassifierError", "message": "x" * 9999}, b"", ASKED
            )
        assert str(caught.value) == "x" * 500
