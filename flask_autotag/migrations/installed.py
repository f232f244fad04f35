"""What the tables are called where a revision runs: a host may have renamed them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, fields
from typing import Any

from sqlalchemy import Table

from ..models import Models

#: Options that are the host's choice or the server's need; others are a revision's.
_OPTIONS = ("mysql_", "mariadb_", "postgresql_")


@dataclass(frozen=True)
class InstalledTable:
    """A table's name, schema, and the options of ``CREATE TABLE``."""

    name: str
    schema: str | None
    options: Mapping[str, Any]

    @property
    def full_name(self) -> str:
        """The name, after its schema if it has one."""
        return self.name if self.schema is None else f"{self.schema}.{self.name}"


#: By the names of :class:`.Models`.
Installed = Mapping[str, InstalledTable]


def installed(models: Models) -> Installed:
    """Read the names from the models of a host. Their columns are of no interest."""
    return {
        field.name: _read(getattr(models, field.name).__table__)
        for field in fields(models)
    }


def _read(table: Table) -> InstalledTable:
    options = {
        name: value for name, value in table.kwargs.items() if name.startswith(_OPTIONS)
    }
    return InstalledTable(table.name, table.schema, options)
