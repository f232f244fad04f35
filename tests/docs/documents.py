"""The documents with code that tests run, and their parsers."""

from __future__ import annotations

import contextlib
import re
from doctest import ELLIPSIS
from pathlib import Path
from typing import Any
from unittest import SkipTest

from sybil import Document
from sybil.parsers.rest import DocTestParser, PythonCodeBlockParser, SkipParser

ROOT = Path(__file__).parents[2]
DOCS = ROOT / "docs"
EXAMPLES = DOCS / "examples"

#: Documents by their name in links, without ``.rst``.
DOCUMENTS = {
    "README": ROOT / "README.rst",
    **{
        path.relative_to(DOCS).with_suffix("").as_posix(): path
        for path in sorted(DOCS.rglob("*.rst"))
        if "_build" not in path.parts
    },
}
TEXTS = {name: path.read_text("utf-8") for name, path in DOCUMENTS.items()}

_PARSERS = (DocTestParser(ELLIPSIS), PythonCodeBlockParser(), SkipParser())


def read_document(name: str) -> Document:
    """Find the code in a document: Python blocks, and sessions that begin with >>>."""
    return Document.parse(str(DOCUMENTS[name]), *_PARSERS)


def console_lines(name: str) -> list[str]:
    """Return the commands in a document's ``console`` blocks."""
    return re.findall(r"^ +\$ (.+)$", TEXTS[name], re.M)


def run_document(name: str, names: dict[str, Any]) -> None:
    """Run all code of a document, from top to bottom.

    Code after ``.. skip: next "the reason"`` is not run.

    :param names: the variables before the run; the code changes them.
    :raises SybilFailure: if a session prints another output. Errors of a block are
        raised unchanged.
    """
    document = read_document(name)
    document.namespace = names
    for example in document.examples():
        with contextlib.suppress(SkipTest):
            example.evaluate()
