"""Print the lowest supported versions of the dependencies, as constraints for pip.

::

    python tools/lowest.py > lowest.txt && pip install -c lowest.txt -e ".[test-lowest]"
"""

from __future__ import annotations

import re
import sys
import tomllib
from collections.abc import Iterator
from pathlib import Path

PROJECT = Path(__file__).parent.parent / "pyproject.toml"
#: Extras whose versions are lowered too, because hosts install them.
EXTRAS = ("celery",)


def lowest(project: Path = PROJECT) -> Iterator[str]:
    """Turn each ``name>=version`` into ``name==version``.

    :raises ValueError: if a dependency has no lower bound.
    """
    metadata = tomllib.loads(project.read_text("utf-8"))["project"]
    extras = metadata["optional-dependencies"]
    for dependency in (
        *metadata["dependencies"],
        *(each for extra in EXTRAS for each in extras[extra]),
    ):
        bound = re.match(r"([\w.-]+)(?:\[[^]]*\])?>=([\w.]+)", dependency)
        if bound is None:
            raise ValueError(
                f"{dependency} has no lowest version: write name>=version."
            )
        yield f"{bound[1]}=={bound[2]}"


if __name__ == "__main__":
    sys.stdout.writelines(f"{line}\n" for line in lowest())
