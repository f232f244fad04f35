"""Assignments know their instance."""

import os
import signal

from sqlalchemy import Column, String, event, select, update

from flask_autotag.migrations import newest_revision
from flask_autotag.migrations.steps import (
    add_column,
    create_index,
    drop_column,
    drop_index,
    fill,
    lightweight,
)

revision, down_revision = "9001", newest_revision()
branch_labels = depends_on = None


def upgrade() -> None:
    add_column("assignment", Column("instance", String(64)))
    die_at("column")
    assignment = lightweight("assignment", "asset_id", "instance")
    asset = lightweight("asset", "id", "instance")
    of_asset = select(asset.c.instance).where(asset.c.id == assignment.c.asset_id)
    if os.environ.get("AUTOTAG_TEST_DIE") == "fill":
        die_after_updates(3)
    fill(
        update(assignment)
        .where(assignment.c.instance.is_(None))
        .values(instance=of_asset.scalar_subquery()),
        by=assignment.c.asset_id,
    )
    create_index("ix_autotag_assignment_instance", "assignment", ["instance"])
    die_at("index")


def downgrade() -> None:
    drop_index("ix_autotag_assignment_instance", "assignment")
    drop_column("assignment", "instance")


def die_at(place: str) -> None:
    if os.environ.get("AUTOTAG_TEST_DIE") == place:
        os.kill(os.getpid(), signal.SIGKILL)


def die_after_updates(number: int) -> None:
    from alembic import op

    left = [number]

    def count(_connection, _cursor, statement, *_other) -> None:  # type: ignore[no-untyped-def]
        if statement.startswith("UPDATE"):
            left[0] -= 1
            if not left[0]:
                die_at("fill")

    event.listen(op.get_bind().engine, "after_cursor_execute", count)
