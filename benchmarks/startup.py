"""Measures the time that the extension adds to the start of a host.

A host with Flask and Flask-SQLAlchemy is started with and without the extension in
turn, each time in a new process.

::

    python benchmarks/startup.py [pairs]
"""

from __future__ import annotations

import os
import platform
import statistics
import subprocess
import sys

PAIRS = 25

HOST = """
import sys, time
start = time.perf_counter()
from flask import Flask
from flask_sqlalchemy import SQLAlchemy
app = Flask("host")
app.config["SQLALCHEMY_DATABASE_URI"] = "sqlite:///host.sqlite"
db = SQLAlchemy(app)
{extension}
print(time.perf_counter() - start)
heavy = {{"tensorflow", "ai_edge_litert", "numpy", "PIL", "requests", "cryptography"}}
heavy |= {{"alembic", "regex", "sqlalchemy.dialects.mysql"}}
print(*sorted(heavy & set(sys.modules)))
"""
BARE = HOST.format(extension="")
INSTALLED = HOST.format(extension="from flask_autotag import AutoTag; AutoTag(app)")


def start(program: str) -> tuple[float, str]:
    """Run *program*.

    :return: seconds until the host has started, and the heavy modules it imported.
    """
    # Bytecode is stored, as for an installed package.
    environment = {**os.environ, "PYTHONDONTWRITEBYTECODE": ""}
    done = subprocess.run(
        [sys.executable, "-c", program],
        env=environment,
        capture_output=True,
        text=True,
        check=True,
    )
    seconds, heavy = done.stdout.splitlines()
    return float(seconds), heavy


def main(pairs: int) -> None:
    """Print the medians and minima, and the share that the extension adds."""
    bare, installed, heavy = [], [], ""
    start(BARE), start(INSTALLED)
    for _ in range(pairs):
        bare.append(start(BARE)[0])
        seconds, heavy = start(INSTALLED)
        installed.append(seconds)
    shares = [after / before - 1 for before, after in zip(bare, installed, strict=True)]
    print(f"{os.cpu_count()} cores, Python {platform.python_version()}, {pairs} pairs")
    print("                        median    minimum")
    for title, times in (("host alone", bare), ("host with AutoTag", installed)):
        median, least = statistics.median(times) * 1e3, min(times) * 1e3
        print(f"{title:20} {median:6.0f} ms  {least:6.0f} ms")
    share = min(installed) / min(bare) - 1
    print(f"added                {statistics.median(shares):8.0%}   {share:8.0%}")
    print(f"heavy modules        {heavy or 'none'}")


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else PAIRS)
