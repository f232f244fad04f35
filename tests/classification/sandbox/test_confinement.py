"""Hostile code in a child: what it cannot do.

Each attempt runs in a real child, as the code of a provider. Harmless attempts also run
in a process that is not confined, where they succeed.
"""

from __future__ import annotations

import dataclasses
import os
import shutil
import signal
import subprocess
import sys
import textwrap
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from flask_autotag.classification.sandbox import child_process, landlock
from flask_autotag.classification.sandbox.child_process import ChildProcess
from flask_autotag.classification.sandbox.confinement import Confinement
from flask_autotag.classification.sandbox.pool import Pool
from flask_autotag.classification.sandbox.question import Answer, Question
from flask_autotag.errors import (
    ClassifierCrashed,
    ClassifierTimeout,
    ImageTooComplex,
)
from flask_autotag.providers.registry import providers

from .conftest import PATIENCE, ask, default_question, encode

pytestmark = pytest.mark.skipif(
    landlock.version() < 6 or os.uname().machine not in ("x86_64", "aarch64"),
    reason="the kernel or the architecture lacks a means of confinement",
)

WHITE = encode(Image.new("RGB", (16, 16), "white"))
DENIED, REFUSED = "PermissionError 13", "PermissionError 1"

RunCode = Callable[..., str]


@pytest.fixture(scope="module", autouse=True)
def package(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """Install the probe as a package of its own, for children alone."""
    folder = tmp_path_factory.mktemp("packages")
    metadata = folder / "probe-1.dist-info"
    metadata.mkdir()
    (metadata / "METADATA").write_text("Name: probe\nVersion: 1\n")
    (metadata / "entry_points.txt").write_text(
        "[flask_autotag.providers]\nprobe = probe_package:Probe\n"
    )
    shutil.copy(Path(__file__).with_name("probe.py"), folder / "probe_package.py")
    sys.path.insert(0, str(folder))
    providers.cache_clear()
    yield
    sys.path.remove(str(folder))
    providers.cache_clear()


@pytest.fixture(scope="module")
def child(package: None) -> Iterator[ChildProcess]:
    """Start one program for the tests of this module; each call forks."""
    started = ChildProcess(2048, PATIENCE)
    yield started
    started.close()


@pytest.fixture(params=["forked", "not forked"])
def run_code(request: pytest.FixtureRequest, child: ChildProcess) -> Iterator[RunCode]:
    """Run code in a child, and return its variable *result* or its error."""
    started: list[ChildProcess] = []

    def run(code: str, **options: Any) -> str:
        if request.param == "forked":
            return run_in(child, code, **options)
        started.append(ChildProcess(2048, PATIENCE))
        return run_in(started[-1], code, forkable=False, **options)

    yield run
    for each in started:
        each.close()


def chosen(code: str, **options: Any) -> list[dict[str, Any]]:
    return [{"name": "probe", "options": {"code": code, **options}}]


def run_in(child: ChildProcess, code: str, **options: Any) -> str:
    answer = ask(child, chosen(code, **options), WHITE)
    assert "predictions" in answer, answer
    [prediction] = answer["predictions"]
    assert "labels" in prediction, prediction
    return str(prediction["labels"][0][1])


#: Attempts of hostile code, and the errors that they raise. ``{outside}`` is a file
#: that only the host may read.
ATTEMPTS = {
    "the worker's environment": (
        "import os; result = open(f'/proc/{parent}/environ').read()",
        DENIED,
    ),
    "the worker's memory": (
        "result = open(f'/proc/{parent}/mem', 'rb').name",
        DENIED,
    ),
    "a file outside": ("result = open({outside!r}).read()", DENIED),
    "a link out of a folder it may read": (
        "import os; result = open('/proc/self/root' + {outside!r}).read()",
        DENIED,
    ),
    "the names in a folder": ("import os; result = os.listdir('/')", DENIED),
    "write a file": ("open({outside!r} + '2', 'w').close()", DENIED),
    "overwrite a file": ("open({outside!r}, 'r+').close()", DENIED),
    "truncate a file": ("import os; os.truncate({outside!r}, 0)", DENIED),
    "delete a file": ("import os; os.remove({outside!r})", DENIED),
    "make a folder": ("import os; os.mkdir({outside!r} + '2')", DENIED),
    "change a mode": ("import os; os.chmod({outside!r}, 0o777)", REFUSED),
    "change a time": ("import os; os.utime({outside!r})", REFUSED),
    "write to our own code": (
        "import flask_autotag; open(flask_autotag.__file__, 'a').close()",
        DENIED,
    ),
    "a socket": ("import socket; socket.socket()", REFUSED),
    "a local socket": ("import socket; socket.socket(socket.AF_UNIX)", REFUSED),
    "a pair of sockets": ("import socket; socket.socketpair()", REFUSED),
    "connect out": (
        "import socket; socket.create_connection(('127.0.0.1', 9), 1)",
        REFUSED,
    ),
    "run a program": ("import os; os.execv('/bin/true', ['true'])", REFUSED),
    "start a program": ("import subprocess; subprocess.run(['/bin/true'])", REFUSED),
    "spawn a program": (
        "import os; os.posix_spawn('/bin/true', ['true'], {{}})",
        REFUSED,
    ),
    "fork": ("import os; os.fork()", REFUSED),
    "attach to the worker": ("call(101, 117, 16, parent, 0, 0)", REFUSED),
    "read the worker's memory": ("call(310, 270, parent, 0, 0, 0, 0, 0)", REFUSED),
    "write the worker's memory": ("call(311, 271, parent, 0, 0, 0, 0, 0)", REFUSED),
    "kill the worker": ("import os; os.kill(parent, 0)", REFUSED),
    "kill the program that forks": ("import os; os.kill(os.getppid(), 0)", REFUSED),
    "signal a thread of the worker": ("call(234, 131, parent, parent, 0)", REFUSED),
    "send a signal through a pipe": (
        "import fcntl; fcntl.fcntl(1, fcntl.F_SETOWN, parent)",
        REFUSED,
    ),
    "limit the worker": (
        "import resource; resource.prlimit(parent, resource.RLIMIT_CPU, (1, 1))",
        REFUSED,
    ),
    "lift its own limit of processor time": (
        "call(160, 164, 0, (ctypes.c_ulong * 2)(2**64 - 1, 2**64 - 1))",
        REFUSED,
    ),
    "lift its own limit of memory": (
        "call(160, 164, 9, (ctypes.c_ulong * 2)(2**64 - 1, 2**64 - 1))",
        REFUSED,
    ),
    "slow the worker down": ("import os; os.setpriority(0, parent, 19)", REFUSED),
    "hold the worker to one processor": (
        "import os; os.sched_setaffinity(parent, [0])",
        REFUSED,
    ),
    "shared memory of others": ("call(29, 194, 0, 4096, 0o1600)", REFUSED),
    "outlive the program that forks": ("call(157, 167, 1, 0, 0, 0, 0)", REFUSED),
    "be open to others again": ("call(157, 167, 4, 1, 0, 0, 0)", REFUSED),
    "asynchronous calls": ("call(425, 425, 1, 0)", REFUSED),
    "a program in the kernel": ("call(321, 280, 0, 0, 0)", REFUSED),
    "a key ring": ("call(250, 219, 0, 0, 0)", REFUSED),
    "a namespace": ("call(272, 97, 0x10000000)", REFUSED),
    "a mount": ("call(165, 40, 0, 0, 0, 0, 0)", REFUSED),
    "page faults": ("call(323, 282, 0)", REFUSED),
    "a file by its number": ("call(304, 265, 0, 0, 0)", REFUSED),
    "a call that is newer than the list": ("call(463, 463, 0, 0, 0)", "OSError 38"),
}
PREFIX = """
import ctypes, os
parent = {parent}
libc = ctypes.CDLL(None, use_errno=True)
def call(x86, arm, *arguments):
    number = x86 if os.uname().machine == "x86_64" else arm
    if libc.syscall(number, *arguments) < 0:
        raise OSError(ctypes.get_errno(), "refused")
"""


@pytest.fixture
def outside(tmp_path: Path) -> Path:
    path = tmp_path / "secret"
    path.write_text("the host's own")
    return path


@pytest.mark.parametrize("attempt", ATTEMPTS)
def test_what_hostile_code_fails_to_do(
    run_code: RunCode, attempt: str, outside: Path
) -> None:
    code, error = ATTEMPTS[attempt]
    prefix = PREFIX.format(parent=os.getpid())
    assert (
        run_code(prefix + code.format(outside=str(outside), parent="{parent}")) == error
    )
    assert outside.read_text() == "the host's own"
    assert not (outside.parent / "secret2").exists()


HARMLESS = [
    "the worker's environment",
    "a file outside",
    "the names in a folder",
    "write a file",
    "overwrite a file",
    "change a mode",
    "a socket",
    "a pair of sockets",
    "start a program",
    "fork",
    "kill the worker",
    "shared memory of others",
]


@pytest.mark.parametrize("attempt", HARMLESS)
def test_it_succeeds_where_nothing_is_confined(attempt: str, outside: Path) -> None:
    prefix = PREFIX.format(parent=os.getpid())
    code = ATTEMPTS[attempt][0].format(outside=str(outside), parent="{parent}")
    subprocess.run([sys.executable, "-c", prefix + code], check=True, timeout=PATIENCE)


def test_the_other_entries_of_the_kernel_are_closed(run_code: RunCode) -> None:
    """x32 has other numbers for the same calls."""
    code = "call(0x40000000 | 39, 0x40000000 | 39); result = 'done'"
    assert run_code(PREFIX.format(parent=0) + code) == REFUSED


class TestWhatWorks:
    def test_threads(self, run_code: RunCode) -> None:
        code = (
            "import threading; items = []\n"
            "threads = [threading.Thread(target=items.append, args=[n])"
            " for n in range(3)]\n"
            "[t.start() for t in threads]; [t.join() for t in threads]\n"
            "result = sorted(items)"
        )
        assert run_code(code) == "[0, 1, 2]"

    def test_threads_are_confined_too(self, run_code: RunCode, outside: Path) -> None:
        code = (
            "import threading; items = []\n"
            "def work():\n"
            f"    try: open({str(outside)!r})\n"
            "    except OSError as error: items.append(error.errno)\n"
            "thread = threading.Thread(target=work); thread.start(); thread.join()\n"
            "result = items"
        )
        assert run_code(code) == "[13]"

    def test_packages_that_are_imported_late(self, run_code: RunCode) -> None:
        code = "import sqlalchemy, xml.dom.minidom; result = 'done'"
        assert run_code(code) == "done"

    def test_files_that_the_provider_declares(
        self, run_code: RunCode, outside: Path
    ) -> None:
        code = f"result = open({str(outside)!r}).read()"
        assert run_code(code, files=[str(outside.parent)]) == "the host's own"
        assert run_code(code, files=[str(outside)]) == "the host's own"
        writing = f"open({str(outside)!r}, 'w')"
        assert run_code(writing, files=[str(outside.parent)]) == DENIED

    def test_devices_that_the_provider_declares(self, run_code: RunCode) -> None:
        code = "open('/dev/full', 'r+b', buffering=0); result = 'done'"
        assert run_code(code) == DENIED
        assert run_code(code, devices=["/dev/full"]) == "done"

    def test_a_path_that_is_not_there(self, run_code: RunCode) -> None:
        assert run_code("result = 1", files=["/no/such/file"]) == "1"

    def test_signals_to_itself(self, run_code: RunCode) -> None:
        code = "import os; os.kill(os.getpid(), 0); result = 'done'"
        assert run_code(code) == "done"


def test_the_files_it_has_open(run_code: RunCode) -> None:
    code = (
        "import os\n"
        "result = []\n"
        "for number in range(256):\n"
        "    try: result.append(oct(os.fstat(number).st_mode & 0o170000)[2:-4])\n"
        "    except OSError: pass\n"
        "result = sorted(set(result))"
    )
    # The socket to the worker, and character devices: /dev/null.
    assert run_code(code) == "['14', '2']"


@pytest.mark.parametrize("forkable", [True, False])
def test_it_reports_what_is_in_force(forkable: bool) -> None:
    child = ChildProcess(2048, PATIENCE)
    try:
        child.begin("", chosen("", forkable=forkable))
        assert child.confinement == Confinement(landlock.version(), True)
        assert child.can_begin is forkable
    finally:
        child.close()


def test_a_provider_that_starts_threads_is_not_forked() -> None:
    load = (
        "import threading, time\n"
        "threading.Thread(target=time.sleep, args=[60], daemon=True).start()"
    )
    child = ChildProcess(2048, PATIENCE)
    try:
        assert run_in(child, "import os; os.fork()", load=load) == REFUSED
        assert not child.can_begin
        assert child.confinement.is_complete
    finally:
        child.close()


def test_a_system_that_cannot_send_files(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(child_process, "_CAN_SEND_FILES", False)
    child = ChildProcess(2048, PATIENCE)
    try:
        assert run_in(child, "result = 1") == "1"
        assert run_in(child, "result = 1") == "1"
        assert child.alive
        assert not child.can_begin
    finally:
        child.close()
    assert not child.alive


def test_an_image_that_takes_too_much_processor_time_is_refused_for_good() -> None:
    child = ChildProcess(2048, PATIENCE)
    load = (
        "from flask_autotag.classification.sandbox import serving\n"
        "serving.SHARE_OF_DECODING = 1e-5"
    )
    child.begin("", chosen("result = 1", load=load))
    child.send(encode(Image.effect_noise((3000, 3000), 50)), None)
    with pytest.raises(ImageTooComplex) as caught:
        child.receive()
    assert str(caught.value) == (
        "Decoding the image takes more processor time than AUTOTAG_TIMEOUT allows."
    )
    assert caught.value.permanent
    assert child.can_begin
    child.close()


class TestProcessorTime:
    """Code that has taken over a child cancels its timers, and the kernel ends it."""

    SPIN = (
        "import signal\n"
        "signal.setitimer(signal.ITIMER_REAL, 0)\n"
        "signal.setitimer(signal.ITIMER_PROF, 0)\n"
        "while True: pass"
    )
    #: Allows an image less than a second, and the child three images.
    SHORT = (
        "import __main__\n"
        "__main__.processors = lambda: 0.01\n"
        "__main__.IMAGES_PER_FORK = __main__.IMAGES_PER_CHILD = 3"
    )

    @pytest.fixture(params=[True, False], ids=["forked", "not forked"])
    def child(self, request: pytest.FixtureRequest) -> Iterator[ChildProcess]:
        """Start a child that has served an image; the next one takes it over."""
        child = ChildProcess(2048, PATIENCE)
        self.options = {"forkable": request.param, "make": self.SHORT}
        yield child
        child.close()

    def spin(self, child: ChildProcess, before: str = "pass") -> None:
        code = (
            "if SEEN:\n" + textwrap.indent(f"{before}\n{self.SPIN}", "    ") + "\n"
            "SEEN.append(1); result = 'served'"
        )
        assert run_in(child, code, **self.options) == "served"
        run_in(child, code, **self.options)

    def test_it_is_ended_at_the_limit_of_one_image(
        self, child: ChildProcess, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        # The signal is the kernel's; that of a timer would be a crash here.
        monkeypatch.setattr(child_process, "_OUT_OF_TIME", {-signal.SIGXCPU})
        with pytest.raises(ClassifierTimeout) as caught:
            self.spin(child)
        assert str(caught.value) == (
            "Decoding and classifying took longer than 60 seconds."
        )
        assert not child.alive

    def test_it_is_killed_at_the_limit_of_all_images(self, child: ChildProcess) -> None:
        evade = (
            "import resource, signal\n"
            "signal.signal(signal.SIGXCPU, signal.SIG_IGN)\n"
            "hard = resource.getrlimit(resource.RLIMIT_CPU)[1]\n"
            "resource.setrlimit(resource.RLIMIT_CPU, (hard, hard))"
        )
        with pytest.raises(ClassifierCrashed, match=r"status -9\)"):
            self.spin(child, evade)
        assert not child.alive

    @pytest.mark.parametrize(("forkable", "images"), [(True, 32), (False, 500)])
    def test_the_limits_follow_the_timeout_and_the_images(
        self, forkable: bool, images: int
    ) -> None:
        child = ChildProcess(2048, PATIENCE)
        code = "import resource; result = resource.getrlimit(resource.RLIMIT_CPU)"
        try:
            result = run_in(child, code, forkable=forkable)
        finally:
            child.close()
        soft, hard = (int(part) for part in result.strip("()").split(","))
        # 60 seconds and 5 of grace for an image that keeps all processors busy; the
        # child itself has used a few.
        image = 65 * len(os.sched_getaffinity(0))
        assert image <= soft <= image + PATIENCE
        assert images * image <= hard <= images * image + PATIENCE


class TestTenants:
    COUNT = "SEEN.append('x'); result = len(SEEN)"

    def ask(
        self, pool: Pool, code: str, tenants: Sequence[str], **options: Any
    ) -> list[str]:
        """Run code in a batch, with one image for each of *tenants*."""

        class Chosen(Question):
            def choices(self) -> list[dict[str, Any]]:
                return chosen(code, **options)

        probe = dataclasses.replace(
            default_question(WHITE),
            providers=[each for each in providers() if each.name == "probe"],
        )
        fields = {
            each.name: getattr(probe, each.name) for each in dataclasses.fields(probe)
        }
        batch = [Chosen(**{**fields, "tenant": tenant}) for tenant in tenants]
        with pool.slot() as slot:
            outcomes = list(slot.classify(batch))
        assert all(isinstance(each, Answer) for each in outcomes), outcomes
        return [each.predictions[0].labels[0].name for each in outcomes]  # type: ignore[union-attr]

    @pytest.fixture
    def pool(self) -> Iterator[Pool]:
        made = Pool(1, PATIENCE, 2048)
        yield made
        made.close()

    def test_what_one_leaves_is_gone_for_the_next(self, pool: Pool) -> None:
        result = self.ask(pool, self.COUNT, ["a", "a", "b", "b", "b", "a"])
        assert result == ["1", "2", "1", "2", "3", "1"]

    def test_a_batch_of_the_same_tenant_has_a_new_process(self, pool: Pool) -> None:
        assert self.ask(pool, self.COUNT, ["a", "a"]) == ["1", "2"]
        assert self.ask(pool, self.COUNT, ["a"]) == ["1"]

    def test_each_tenant_has_a_process_of_its_own(self, pool: Pool) -> None:
        pids = self.ask(pool, "import os; result = os.getpid()", ["a", "a", "b", "c"])
        assert pids[0] == pids[1]
        assert len(set(pids)) == 3

    def test_where_it_cannot_be_forked_it_serves_one_after_the_other(
        self, pool: Pool
    ) -> None:
        result = self.ask(pool, self.COUNT, ["a", "b"], forkable=False)
        assert result == ["1", "2"]

    def test_answers_that_are_forged_beforehand_reach_no_other_tenant(
        self, pool: Pool
    ) -> None:
        """Code has taken over the child and answers later questions."""
        forged = (
            "import json, os, stat, struct\n"
            "label = ['p', 'forged', 0.9]\n"
            "item = {'provider': 'probe', 'model': '1', 'labels': [label]}\n"
            "text = json.dumps({'predictions': [item]}).encode()\n"
            "result = 'honest'\n"
            "for number in range(3, 20):\n"
            "    frame = struct.pack('>II', len(text), 0) + text\n"
            "    try: os.write(number, 20 * frame)\n"
            "    except OSError: pass\n"
        )
        assert self.ask(pool, forged, ["a", "a"]) == ["forged", "forged"]
        assert self.ask(pool, "result = 'honest'", ["b", "b"]) == ["honest", "honest"]

    def test_a_child_that_ignores_its_end_is_killed(self, pool: Pool) -> None:
        code = (
            "import os, threading, time\n"
            "def stay():\n"
            "    while True: time.sleep(1)\n"
            "threading.Thread(target=stay).start()\n"
            "result = os.getpid()"
        )
        [pid] = self.ask(pool, code, ["a"])
        deadline = time.monotonic() + PATIENCE
        while Path(f"/proc/{pid}").exists() and time.monotonic() < deadline:
            time.sleep(0.01)
        assert not Path(f"/proc/{pid}").exists()
