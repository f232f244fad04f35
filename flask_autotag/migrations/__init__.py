'''The tables, from release to release: Alembic revisions that come in the package.

===============  ====================================================================
``versions/``    the revisions, one file each
``steps.py``     what a revision is made of
``env.py``       where Alembic begins; it takes its connection from us
``running.py``   Alembic, run on a connection of ours
``shapes.py``    which tables, columns and keys each revision leaves behind
``lock.py``      one process at a time
``upgrade.py``   what the commands call
===============  ====================================================================

How a revision is made
----------------------

Change ``models.py``; the tests of the migrations fail now, and say what is missing.
Then write ``versions/0002_what_it_does.py``, with the next number::

    """The first line is what ``upgrade-db`` says while it runs."""

    from sqlalchemy import Column, String, select, update
    from flask_autotag.migrations.steps import (
        add_column, create_index, drop_column, drop_index, fill, lightweight
    )

    revision, down_revision = "0002", "0001"
    branch_labels = depends_on = None


    def upgrade() -> None:
        """Add the column, and fill it in."""
        add_column("assignment", Column("instance", String(64)))
        assignment = lightweight("assignment", "asset_id", "instance")
        asset = lightweight("asset", "id", "instance")
        of_asset = select(asset.c.instance).where(asset.c.id == assignment.c.asset_id)
        fill(
            update(assignment)
            .where(assignment.c.instance.is_(None))
            .values(instance=of_asset.scalar_subquery()),
            by=assignment.c.asset_id,
        )
        create_index("ix_autotag_assignment_instance", "assignment", ["instance"])


    def downgrade() -> None:
        """Take it away."""
        drop_index("ix_autotag_assignment_instance", "assignment")
        drop_column("assignment", "instance")

Its rules:

* Tables go by their names in :class:`~flask_autotag.models.Models`. A host may have
  given them others, or a schema; the steps know.
* It writes out its columns and types. What ``models.py`` says next year is not what
  this revision made.
* Each step can be run again. PostgreSQL, MariaDB and MySQL commit as they go, and who
  was killed begins the revision anew. So use the steps, which look first whether there
  is anything to do, and fill in only rows that lack the value.
* Processes of the release before run on while it does: a new column can be ``NULL`` or
  has a ``server_default``, and what they use goes away in a later release. Until they
  are restarted they write rows without the new column, also after the others were
  filled in: the code that reads it takes ``NULL`` for a value that is not known.
* Foreign keys, unique constraints and types of a table that is there are changed by
  ``altering``, which copies the table on SQLite.
* A column with data gets a line in ``CHANGES.rst``: hosts with migrations of their own
  run ``upgrade-db`` for it.
'''

from __future__ import annotations

from pathlib import Path

#: Where the revisions are.
VERSIONS = Path(__file__).parent / "versions"


def newest_revision() -> str:
    """Give the last revision that this version of the package knows.

    It looks at file names only, so that whoever makes tables needs no Alembic.
    """
    return max(path.stem.split("_")[0] for path in VERSIONS.glob("[0-9]*_*.py"))
