"""A reused database holds nothing of the previous test."""

from __future__ import annotations

from pathlib import Path

import pytest
from sqlalchemy import select, text

from .databases import HostDatabases
from .hosts import make_host
from .services import SERVERS


@pytest.mark.parametrize("kind", SERVERS)
def test_rows_and_changed_tables_do_not_stay(kind: str, tmp_path: Path) -> None:
    databases = HostDatabases()
    try:
        with (
            databases.lend(kind, tmp_path) as first,
            make_host(first) as host,
            host.app.app_context(),
        ):
            assert host.add_photo().id == 1
        with databases.lend(kind, tmp_path) as second, make_host(second) as host:
            assert second == first
            with host.app.app_context():
                assert host.db.session.scalars(select(host.Photo)).all() == []
                assert host.add_photo().id == 1
                host.db.session.execute(text("ALTER TABLE photo ADD COLUMN x INT"))
                host.db.session.commit()
        with databases.lend(kind, tmp_path) as third:
            assert third != first
    finally:
        databases.close()
