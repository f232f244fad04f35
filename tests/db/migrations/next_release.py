"""A next release with two more revisions: those that the documentation shows."""

from __future__ import annotations

import re
import shutil
import textwrap
from pathlib import Path

import pytest

from flask_autotag.db import revisions
from flask_autotag.db.migrations.upgrade import Upgrade
from flask_autotag.db.revisions import VERSIONS, newest_revision

from .tables import Content, common, read_tables, stored_revision

PREVIOUS = newest_revision()
COLUMN, NEXT = "9002", "9003"
#: The lines that ``upgrade-db`` prints for them.
REVISIONS = {
    COLUMN: "Add the instance to assignments.",
    NEXT: "Fill the instance of assignments.",
}

#: A revision that copies tables on SQLite.
COPYING = f'''"""Longer types."""

from sqlalchemy import String
from flask_autotag.db.migrations.steps import alter_table

revision, down_revision = "9004", "{NEXT}"

def upgrade():
    with alter_table("asset") as asset:
        asset.alter_column("asset_type", type_=String(120), existing_nullable=False)
    with alter_table("assignment") as assignment:
        assignment.alter_column("provider", type_=String(80))
'''


def install_next_release(folder: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Copy the revisions to *folder*, add the next ones, and make Alembic use them."""
    versions = folder / VERSIONS.name
    shutil.copytree(VERSIONS, versions)
    shutil.copy(VERSIONS.parent / "env.py", folder)
    for revision, code in zip(REVISIONS, _documented_revisions(), strict=True):
        (versions / f"{revision}_next.py").write_text(code)
    monkeypatch.setattr("flask_autotag.db.migrations.running.VERSIONS", versions)
    return versions


def _documented_revisions() -> list[str]:
    """Return the code blocks of the documentation, with numbers far ahead of today."""
    blocks = re.findall(r"::\n\n((?: {4}.*\n|\n)+)", revisions.__doc__ or "")
    return [
        textwrap.dedent(block)
        .replace('"000', '"900')
        .replace('"9001"', f'"{PREVIOUS}"')
        for block in blocks
    ]


def check_upgraded(upgrade: Upgrade, before: Content) -> None:
    """Check that all rows are kept, and that assignments have their instance."""
    after = read_tables(upgrade)
    assert common(after, before) == common(before, after)
    instances = {asset["id"]: asset["instance"] for asset in after["asset"]}
    assert [row["instance"] for row in after["assignment"]] == [
        instances[row["asset_id"]] for row in after["assignment"]
    ]
    assert stored_revision(upgrade) == NEXT
