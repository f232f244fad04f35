"""Sends mutated image files to child processes, and counts the outcomes.

The mutations are truncated files, flipped bits, swapped headers, repeated and inserted
pieces, and bombs: small files with very many pixels. Then the benchmark measures the
cost of confinement: the images per second of confined and unconfined children, in turn,
and the time of a new process for another tenant.

::

    python benchmarks/hostile.py [--files 10000]
"""

from __future__ import annotations

import argparse
import io
import os
import random
import statistics
import sys
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from hosts import machine
from PIL import Image

from flask_autotag import TaggingError
from flask_autotag.classification.sandbox.pool import Pool
from flask_autotag.classification.sandbox.question import Question
from flask_autotag.errors import ClassifierCrashed
from flask_autotag.providers.registry import local_enabled, sections
from flask_autotag.settings.config import KEYS
from flask_autotag.settings.machine import Machine
from flask_autotag.settings.resolution import read_settings

FORMATS = ("JPEG", "PNG", "GIF", "WEBP", "BMP", "TIFF", "AVIF")
MEMORY = int(KEYS["AUTOTAG_MEMORY_LIMIT"].default)
SETTINGS = read_settings(sections(), {})
#: Images in a worker's batch.
BATCH = 32
UNCONFINED = str(Path(__file__).parent / "unconfined")
PNG_HEADER = b"\x89PNG\r\n\x1a\n"


def originals() -> list[bytes]:
    """Encode a small example photo in every format."""
    Image.init()
    photo = Path(__file__).parent.parent / "example_app" / "photos" / "espresso.jpg"
    found = []
    with Image.open(photo) as image:
        image.thumbnail((200, 200))
        for form in FORMATS:
            if form in Image.SAVE:
                file = io.BytesIO()
                image.convert("RGB").save(file, form)
                found.append(file.getvalue())
    return found


def bombs() -> list[bytes]:
    """Create small files with very many pixels."""
    Image.MAX_IMAGE_PIXELS = None
    found = []
    for form, mode, side in (
        ("WEBP", "RGB", 12_000),
        ("PNG", "1", 30_000),
        ("PNG", "L", 13_300),
        ("GIF", "P", 20_000),
        ("TIFF", "1", 20_000),
    ):
        file = io.BytesIO()
        options = {"compression": "group4"} if form == "TIFF" else {}
        Image.new(mode, (side, side)).save(file, form, **options)
        found.append(file.getvalue())
    file = io.BytesIO()
    Image.new("RGB", (16, 16)).save(file, "JPEG", progressive=True)
    jpeg = bytearray(file.getvalue())
    place = jpeg.index(b"\xff\xc2") + 5
    jpeg[place : place + 4] = b"\xff\xff\xff\xff"
    return [*found, bytes(jpeg)]


def mutations(good: list[bytes], number: int, seed: int) -> Iterator[bytes]:
    """Yield *number* hostile files."""
    chance = random.Random(seed)
    explosive = bombs()
    for place in range(number):
        data = bytearray(chance.choice(good))
        if place % 100 == 0:
            yield explosive[place // 100 % len(explosive)]
        else:
            yield chance.choice(MUTATIONS)(data, chance, good)


def truncate(data: bytearray, chance: random.Random, _good: list[bytes]) -> bytes:
    """Cut the end off."""
    return bytes(data[: chance.randrange(len(data))])


def flip(data: bytearray, chance: random.Random, _good: list[bytes]) -> bytes:
    """Flip single bits."""
    for _ in range(chance.randrange(1, 30)):
        data[chance.randrange(len(data))] ^= 1 << chance.randrange(8)
    return bytes(data)


def flip_header(data: bytearray, chance: random.Random, _good: list[bytes]) -> bytes:
    """Overwrite bytes near the beginning."""
    for _ in range(chance.randrange(1, 8)):
        data[chance.randrange(min(64, len(data)))] = chance.randrange(256)
    return bytes(data)


def swap_header(data: bytearray, chance: random.Random, good: list[bytes]) -> bytes:
    """Replace the header by that of another format."""
    length = chance.randrange(4, 200)
    return chance.choice(good)[:length] + bytes(data[length:])


def repeat(data: bytearray, chance: random.Random, _good: list[bytes]) -> bytes:
    """Repeat a piece many times."""
    start = chance.randrange(len(data))
    piece = data[start : start + chance.randrange(1, 5000)]
    return bytes(data[:start] + piece * chance.randrange(2, 50) + data[start:])


def insert(data: bytearray, chance: random.Random, _good: list[bytes]) -> bytes:
    """Insert noise."""
    start = chance.randrange(len(data))
    return bytes(data[:start]) + chance.randbytes(500) + bytes(data[start:])


MUTATIONS: tuple[Callable[[bytearray, random.Random, list[bytes]], bytes], ...] = (
    truncate,
    flip,
    flip_header,
    swap_header,
    repeat,
    insert,
)


def classify(pool: Pool, files: Iterator[bytes]) -> Counter[str]:
    """Classify files in one slot, and count the outcomes."""
    outcomes: Counter[str] = Counter()
    questions = (
        Question(data, local_enabled(SETTINGS), SETTINGS, Machine()) for data in files
    )
    with pool.slot() as slot:
        for outcome in slot.classify(questions):
            if isinstance(outcome, ClassifierCrashed):
                print(outcome)
            known = isinstance(outcome, TaggingError)
            outcomes[outcome.code if known else "tagged"] += 1  # type: ignore[union-attr]
    return outcomes


def watch_memory(ended: threading.Event, peaks: list[float]) -> None:
    """Record the peak memory of any child in MB. Our own programs fork them."""
    while not ended.wait(0.2):
        found = dict(_processes())
        programs = {pid for pid, (parent, _) in found.items() if parent == os.getpid()}
        peaks += [
            peak
            for parent, peak in found.values()
            if parent in {*programs, os.getpid()}
        ]


def _processes() -> Iterator[tuple[int, tuple[int, float]]]:
    """Yield all processes, each with its parent and its peak memory in MB."""
    for status in Path("/proc").glob("[0-9]*/status"):
        try:
            lines = dict(line.split(":", 1) for line in status.read_text().splitlines())
        except OSError:
            continue
        if "VmHWM" in lines:
            peak = int(lines["VmHWM"].split()[0]) / 1000
            yield int(lines["Pid"]), (int(lines["PPid"]), peak)


def recovery(good: bytes) -> float:
    """Kill the program, and classify until an image succeeds.

    :return: the median of the seconds, including the start of a new program.
    """
    pool, times = Pool(1, 30, MEMORY), []
    question = Question(good, local_enabled(SETTINGS), SETTINGS, Machine())
    for _ in range(9):
        pool.classify(question)
        pool.kill()
        start = time.perf_counter()
        try:
            pool.classify(question)
        except ClassifierCrashed:
            pool.classify(question)
        times.append(time.perf_counter() - start)
    pool.close()
    return statistics.median(times)


def photos() -> list[bytes]:
    """Read the photos of the example application."""
    folder = Path(__file__).parent.parent / "example_app" / "photos"
    return [path.read_bytes() for path in sorted(folder.glob("*.jpg"))]


def batch_time(pool: Pool, images: list[bytes], tenants: int) -> float:
    """Classify a batch, like a worker.

    :param tenants: the number of tenants; the images of each are adjacent.
    :return: seconds since the fork of the first child.
    """
    questions = [
        Question(
            images[place % len(images)],
            local_enabled(SETTINGS),
            SETTINGS,
            Machine(),
            tenant=str(place * tenants // BATCH),
        )
        for place in range(BATCH)
    ]
    start = time.perf_counter()
    with pool.slot() as slot:
        for outcome in slot.classify(questions):
            if isinstance(outcome, TaggingError):
                raise outcome
    return time.perf_counter() - start


def show_price(pairs: int) -> None:
    """Print the cost of confinement, and of a separate process for each tenant.

    :param pairs: batches of each kind to measure, in turn.
    """
    images = photos()
    confined, free = Pool(1, 30, MEMORY), Pool(1, 30, MEMORY)
    batch_time(confined, images, 1)
    sys.path.insert(0, UNCONFINED)
    batch_time(free, images, 1)
    sys.path.remove(UNCONFINED)
    print(f"confined: {confined.confinement}; not confined: {free.confinement}")
    times: dict[str, list[float]] = {"free": [], "confined": [], "tenants": []}
    for _ in range(pairs):
        times["free"].append(batch_time(free, images, 1))
        times["confined"].append(batch_time(confined, images, 1))
        times["tenants"].append(batch_time(confined, images, BATCH))
    for pool in (confined, free):
        pool.close()
    ratio = statistics.median(
        alone / bound
        for alone, bound in zip(times["free"], times["confined"], strict=True)
    )
    restart = statistics.median(
        (many - one) / (BATCH - 1)
        for many, one in zip(times["tenants"], times["confined"], strict=True)
    )
    rates = {kind: BATCH / statistics.median(each) for kind, each in times.items()}
    best = {kind: BATCH / min(each) for kind, each in times.items()}
    print(
        f"batches of {BATCH}: confined {rates['confined']:.1f} images/s, not confined"
        f" {rates['free']:.1f}, median of the ratios of {pairs} pairs {ratio:.3f}; best"
        f" {best['confined']:.1f} and {best['free']:.1f}, ratio"
        f" {best['confined'] / best['free']:.3f}"
    )
    print(f"a new process for another tenant takes {restart * 1e3:.1f} ms")


def main() -> None:
    """Run two children; fail if an outcome is neither labels nor a clear error."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--files", type=int, default=10_000)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--pairs", type=int, default=30)
    options = parser.parse_args()
    print(machine())
    pool, ended, peaks = Pool(2, 30, MEMORY), threading.Event(), [0.0]
    watcher = threading.Thread(target=watch_memory, args=(ended, peaks))
    watcher.start()
    half, good = options.files // 2, originals()
    with ThreadPoolExecutor(2) as executor:
        parts = [
            executor.submit(
                classify, pool, mutations(good, half, options.seed + number)
            )
            for number in range(2)
        ]
        outcomes = sum((part.result() for part in parts), Counter[str]())
    ended.set()
    watcher.join()
    pool.close()
    died = sum(outcomes[code] for code in ("classifier_crashed", "classifier_timeout"))
    print(f"{sum(outcomes.values()):,} files; children that died: {died}")
    print(", ".join(f"{number:,} {code}" for code, number in outcomes.most_common()))
    print(f"highest memory of a child {max(peaks):.0f} MB, limit {MEMORY} MiB")
    print(f"after a crash the next image is classified in {recovery(good[0]):.2f} s")
    show_price(options.pairs)
    raise SystemExit(sum(outcomes.values()) != 2 * half)


if __name__ == "__main__":
    main()
