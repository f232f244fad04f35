'''The Alembic revisions of the package, and the code that runs them.

=================  ====================================================================
``versions/``      the revisions, one file each
``steps.py``       the functions that revisions are written with
``inspection.py``  which tables, columns, indexes and constraints a database lacks
``running.py``     Alembic's commands, run on a connection of ours
``lock.py``        lets one process at a time change the tables
``upgrade.py``     upgrade and downgrade, called by the commands
``env.py``         Alembic's environment script
=================  ====================================================================

How to write a revision
-----------------------

Change ``tables.py``. The tests of the migrations now fail and name the difference.
Then write ``versions/0002_short_name.py``, with the next number::

    """Add the instance to assignments."""

    from sqlalchemy import Column, String

    from flask_autotag.db.migrations.steps import add_column, drop_column

    revision, down_revision = "0002", "0001"
    branch_labels = depends_on = None


    def upgrade() -> None:
        """Add the column."""
        add_column("assignment", Column("instance", String(64)))


    def downgrade() -> None:
        """Drop the column."""
        drop_column("assignment", "instance")

``upgrade-db`` prints the first line of the file. A second revision fills the column::

    """Fill the instance of assignments."""

    from alembic import op
    from sqlalchemy import select, update

    from flask_autotag.db.migrations.steps import table_clause

    revision, down_revision = "0003", "0002"
    branch_labels = depends_on = None


    def upgrade() -> None:
        """Copy the instance of each asset."""
        assignment = table_clause("assignment", "asset_id", "instance")
        asset = table_clause("asset", "id", "instance")
        instance = select(asset.c.instance).where(asset.c.id == assignment.c.asset_id)
        op.execute(
            update(assignment)
            .where(assignment.c.instance.is_(None))
            .values(instance=instance.scalar_subquery())
        )


    def downgrade() -> None:
        """Do nothing: 0002 drops the column."""

The rules:

* Name a table by its field in :class:`~flask_autotag.db.models.Models`. A host may have
  chosen another table name or a schema; the steps look both up.
* Write columns and types out. Do not import them from ``columns.py``: it changes later.
* Change a table and its rows in separate revisions. Each revision is a transaction,
  and PostgreSQL locks a changed table until its end, so uploads would wait. For the
  same reason build the index of a large table concurrently on PostgreSQL, in Alembic's
  ``autocommit_block``.
* Make it safe to run a revision twice. MariaDB and MySQL commit each statement, so a
  killed process leaves half a revision behind. The steps check first whether their
  change is there. A statement that fills a column skips the rows that have a value.
* Processes of the previous release keep running during the upgrade, and write rows
  without the new column. The column is nullable or has a ``server_default``, and the
  code treats ``NULL`` as unknown. Drop a column one release after its last use.
* Change types and constraints with
  :func:`~flask_autotag.db.migrations.steps.alter_table`, which copies the table on
  SQLite. Use ``alembic.op`` for everything else.
* If a revision fills a column, say so in ``CHANGES.rst``: hosts that have their own
  migrations run ``upgrade-db`` for it.
'''

from __future__ import annotations

from pathlib import Path

#: The folder of the revisions. Alembic finds it by its name, beside ``env.py``.
VERSIONS = Path(__file__).parent / "migrations" / "versions"


def newest_revision() -> str:
    """Return the newest revision of this release.

    It reads only file names, so that creating the tables does not import Alembic.
    """
    return max(path.stem.split("_")[0] for path in VERSIONS.glob("[0-9]*_*.py"))
