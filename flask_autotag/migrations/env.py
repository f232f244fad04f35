"""Where Alembic begins. :mod:`.running` gives the connection and the tables' names."""

from __future__ import annotations

from alembic import context

_given = context.config.attributes
_revision = _given["installed"]["revision"]

context.configure(
    connection=_given["connection"],
    version_table=_revision.name,
    version_table_schema=_revision.schema,
    transaction_per_migration=True,
    on_version_apply=_given["on_step"],
    installed=_given["installed"],
)
with context.begin_transaction():
    context.run_migrations()
