"""Feeds mutated image files to the children, and counts what comes of them.

Truncated files, flipped bits, swapped headers, repeated and inserted pieces, and
bombs: small files of very many pixels.

::

    python benchmarks/hostile.py [--files 10000]
"""

from __future__ import annotations

import argparse
import io
import os
import random
import statistics
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from hosts import machine
from PIL import Image

from flask_autotag import ClassifierCrashed, TaggingError
from flask_autotag.config import KEYS
from flask_autotag.providers.base import Machine
from flask_autotag.providers.registry import enabled_here, sections
from flask_autotag.sandbox.pool import Pool, Question
from flask_autotag.settings.resolution import read_settings

FORMATS = ("JPEG", "PNG", "GIF", "WEBP", "BMP", "TIFF", "AVIF")
MEMORY = int(KEYS["AUTOTAG_MEMORY_LIMIT"].default)
SETTINGS = read_settings(sections(), {})
PNG_HEADER = b"\x89PNG\r\n\x1a\n"


def originals() -> list[bytes]:
    """Encode an example photo in every format, small so that many can be tried."""
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
    """Make small files of very many pixels."""
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
    """Make *number* hostile files."""
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
    """Begin as another format."""
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
    """Count the outcomes of one slot's images."""
    outcomes: Counter[str] = Counter()
    questions = (
        Question(data, enabled_here(SETTINGS), SETTINGS, Machine()) for data in files
    )
    with pool.slot() as slot:
        for outcome in slot.classify(questions):
            if isinstance(outcome, ClassifierCrashed):
                print(outcome)
            known = isinstance(outcome, TaggingError)
            outcomes[outcome.code if known else "tagged"] += 1  # type: ignore[union-attr]
    return outcomes


def watch_memory(ended: threading.Event, peaks: list[float]) -> None:
    """Note the highest memory of any child, in MB."""
    while not ended.wait(0.05):
        for status in Path("/proc").glob("[0-9]*/status"):
            try:
                lines = dict(
                    line.split(":", 1) for line in status.read_text().splitlines()
                )
            except OSError:
                continue
            if int(lines["PPid"]) == os.getpid() and "VmHWM" in lines:
                peaks.append(int(lines["VmHWM"].split()[0]) / 1000)


def recovery(good: bytes) -> float:
    """Kill the child, and classify until an image gets through.

    :return: seconds that it takes, the new child's start among them; the median.
    """
    pool, times = Pool(1, 30, MEMORY), []
    question = Question(good, enabled_here(SETTINGS), SETTINGS, Machine())
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


def main() -> None:
    """Feed two children; fail if an outcome is neither labels nor a clear error."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--files", type=int, default=10_000)
    parser.add_argument("--seed", type=int, default=1)
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
    raise SystemExit(sum(outcomes.values()) != 2 * half)


if __name__ == "__main__":
    main()
