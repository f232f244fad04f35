"""The connection on which questions about tags are asked."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from inspect import iscoroutinefunction
from typing import Any

from sqlalchemy import Connection, inspect
from sqlalchemy.orm import Mapper, Session

from ...db.database import Database, is_same_database
from ...db.models import Models
from ...errors import AssetError
from ...host.assets import metadata_text


@contextmanager
def reading(
    database: Database,
    session: Session | None = None,
    mapper: Mapper[Any] | None = None,
) -> Iterator[Connection]:
    """Lend a connection whose transaction sees the writes of a session.

    :param session: by default the host's current session, if it has one.
    :param mapper: of the host's model that a statement joins with our tables.
    :raises AssetError: if that model is in another database than our tables.
    :raises TypeError: if *session* is asynchronous.
    """
    if session is not None:
        _refuse_asynchronous(session)
        _check_database(session, database.models, mapper)
        yield connection_of(session, database.models)
    else:
        with database.reading() as current:
            _check_database(current, database.models, mapper)
            yield connection_of(current, database.models)


def connection_of(session: Session, models: Models) -> Connection:
    """Return a session's connection to the database that holds our tables.

    Flush first, as an ORM query of the host would.
    """
    if session.autoflush:
        session.flush()
    return session.connection(bind_arguments={"mapper": inspect(models.tag)})


def _check_database(
    session: Session, models: Models, mapper: Mapper[Any] | None
) -> None:
    """Refuse a model in another database before any statement.

    PostgreSQL would abort the host's transaction for a table that it does not have.
    """
    if mapper is None:
        return
    host, own = session.get_bind(mapper), session.get_bind(inspect(models.tag))
    if not is_same_database(host.engine, own.engine):
        raise AssetError(
            f"{mapper.class_.__name__} is in another database than the tables of the"
            " extension, so that no statement can read both. Put these tables beside"
            f" it: AutoTag(models=create_models({metadata_text(mapper)})). tags_for,"
            " preload and progress work without that."
        )


def _refuse_asynchronous(session: Session) -> None:
    # Their classes are not imported: most hosts have no use for them.
    if iscoroutinefunction(session.execute):
        raise TypeError(
            f"session is an {type(session).__name__}: ask through an AsyncSession's"
            " run_sync, such as await session.run_sync(lambda session:"
            " autotag.tags_for(photo, session=session))."
        )
