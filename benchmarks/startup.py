"""What importing and initialising the extension adds to a host's start.

A host with Flask and Flask-SQLAlchemy is started with and without the extension in
turn, each in a process of its own.

::

    python benchmarks/startup.py
"""

from __future__ import annotations

import os
import platform
import statistics
import subprocess
import sys

ROUNDS = 15

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
print(*sorted(heavy & set(sys.modules)))
"""
BARE = HOST.format(extension="")
INSTALLED = HOST.format(extension="from flask_autotag import AutoTag; AutoTag(app)")


def start(program: str) -> tuple[float, str]:
    """Run *program*.

    :return: seconds until the host was there, and the heavy modules it imported.
    """
    # Bytecode is kept, as where a package is installed.
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


def main() -> None:
    """Print the medians and what lies between them."""
    bare, installed, heavy = [], [], ""
    start(BARE), start(INSTALLED)
    for _ in range(ROUNDS):
        bare.append(start(BARE)[0])
        seconds, heavy = start(INSTALLED)
        installed.append(seconds)
    added = [after - before for before, after in zip(bare, installed, strict=True)]
    print(f"{os.cpu_count()} cores, Python {platform.python_version()}")
    print(f"host alone            {statistics.median(bare) * 1e3:6.0f} ms")
    print(f"host with AutoTag     {statistics.median(installed) * 1e3:6.0f} ms")
    print(f"added (of each pair)  {statistics.median(added) * 1e3:6.0f} ms")
    print(f"heavy modules         {heavy or 'none'}")


if __name__ == "__main__":
    main()
