"""Alembic's environment script. :mod:`.running` passes connection and models."""

from __future__ import annotations

from alembic import context

_attributes = context.config.attributes
_revision = _attributes["models"].revision.__table__

context.configure(
    connection=_attributes["connection"],
    version_table=_revision.name,
    version_table_schema=_revision.schema,
    transaction_per_migration=True,
    on_version_apply=_attributes["on_version_apply"],
    models=_attributes["models"],
)
with context.begin_transaction():
    context.run_migrations()
