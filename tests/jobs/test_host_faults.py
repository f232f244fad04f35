"""A failing statement of ours does not cost the host its writes without an error.

Each hook is tested with each fault that the database can have, at the first statement
on our tables.
"""

from __future__ import annotations

import hashlib
import threading
import time
import uuid
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import Connection, Engine, String, create_engine, event, select, text
from sqlalchemy.exc import DBAPIError
from sqlalchemy.orm import Mapped, Session, mapped_column

from flask_autotag import AssetRef, image_uploaded
from flask_autotag.host.image_source import Captured
from flask_autotag.jobs import queue
from flask_autotag.jobs.reclassify import UNREAD
from flask_autotag.runtime import late_writes

from ..hosts import Host, jpeg, make_host
from ..services import DATABASES, temporary_database

IMAGE = jpeg()
KNOWN = AssetRef("photo", "1")
#: The key of the existing watched object: a sequence does not reach it.
SEEN = 1_000_000
#: The host's lock timeout, in milliseconds.
SHORT = 100
#: Longest duration of a call, in seconds: inside the host's transaction and outside.
BOUND, BOUND_ALONE = 5.0, late_writes.WAIT + 1.0
pytestmark = pytest.mark.usefixtures("product_wait")


@dataclass
class Site:
    """A host with a watched model and a table of its own, and a second engine.

    :ivar errors: the database errors of the host's engine.
    """

    host: Host
    Seen: type[Any]
    Note: type[Any]
    other: Engine
    errors: list[BaseException] = field(default_factory=list)

    @property
    def kind(self) -> str:
        return "mariadb" if self.other.dialect.name == "mysql" else self.other.name

    @property
    def session(self) -> Any:
        return self.host.db.session

    def write_own(self, session: Any) -> str:
        """Write a row of the host; return its key."""
        own = uuid.uuid4().hex
        if self.kind == "sqlite":
            # Not flushed, so that our statement may be the first one.
            session.add(self.Note(text=own))
        else:
            table = self.Note.__table__
            session.execute(table.update().where(table.c.id == 1).values(text=own))
        return own

    def has(self, own: str) -> bool:
        table = self.Note.__table__
        with self.other.connect() as connection:
            found = select(table.c.id).where(table.c.text == own)
            return connection.scalar(found) is not None

    def prepare(self) -> None:
        """Create the known assets, each with a job."""
        models = self.host.models
        with self.other.begin() as connection:
            for table in reversed(models.metadata.sorted_tables):
                if table in models.tables:
                    connection.execute(table.delete())
            for asset in (KNOWN, AssetRef("seen", str(SEEN))):
                connection.execute(
                    models.asset.__table__.insert().values(
                        instance="default", asset_type=asset.type, asset_id=asset.id
                    )
                )
                image = Captured(data=IMAGE, content="first")
                intent = queue.Intent(asset, "default", image)
                queue.enqueue(connection, models, intent)
            seen = self.Seen.__table__
            connection.execute(seen.delete())
            connection.execute(seen.insert().values(id=SEEN, path="a"))


@contextmanager
def open_site(url: str) -> Iterator[Site]:
    with make_host(url, **engine_options(url)) as host:
        db = host.db

        class Note(db.Model):  # type: ignore[name-defined,misc]
            id: Mapped[int] = mapped_column(primary_key=True)
            text: Mapped[str] = mapped_column(String(40))

        class Seen(db.Model):  # type: ignore[name-defined,misc]
            id: Mapped[int] = mapped_column(primary_key=True)
            path: Mapped[str] = mapped_column(String(40))

        host.autotag.watch(Seen, lambda _: IMAGE, columns=["path"])
        host.autotag.image_loader(lambda _: IMAGE)
        with host.app.app_context():
            db.create_all()
            with Session(db.engine) as session, session.begin():
                session.add(Note(text="none"))
            other = create_engine(db.engine.url)
            site = Site(host, Seen, Note, other)
            event.listen(
                db.engine,
                "handle_error",
                lambda context: site.errors.append(context.original_exception),
            )
        yield site
        other.dispose()


def engine_options(url: str) -> dict[str, Any]:
    """Set the host's timeouts that are set when it connects."""
    arguments: dict[str, Any] = {}
    if url.startswith("sqlite"):
        arguments = {"timeout": SHORT / 1000}
    elif url.startswith("postgresql"):
        arguments = {"options": "-c deadlock_timeout=50ms"}
    return {"SQLALCHEMY_ENGINE_OPTIONS": {"connect_args": arguments}}


@pytest.fixture(scope="module", params=DATABASES)
def kind(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture(scope="module")
def lasting_site(kind: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    folder: Path = tmp_path_factory.mktemp(kind)
    with temporary_database(kind, folder) as url, open_site(url) as made:
        yield made


@pytest.fixture(scope="module")
def lasting_bare_site(
    kind: str, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Site]:
    """A host whose database does not have our tables."""
    folder: Path = tmp_path_factory.mktemp(f"{kind}_bare")
    with temporary_database(kind, folder) as url, open_site(url) as made:
        with made.host.app.app_context():
            models = made.host.models
        models.metadata.drop_all(made.other, tables=models.tables)
        yield made


# Each test has its own application context: of two that last for the whole module, the
# later one would be the current one in the tests of both sites.


@pytest.fixture
def site(lasting_site: Site) -> Iterator[Site]:
    with lasting_site.host.app.app_context():
        yield lasting_site


@pytest.fixture
def bare_site(lasting_bare_site: Site) -> Iterator[Site]:
    with lasting_bare_site.host.app.app_context():
        yield lasting_bare_site


# The hooks: what a host does in one transaction. Each commits.


def signal_before_flush(site: Site) -> None:
    photo = site.host.Photo(path="a")
    site.session.add(photo)
    send(site, photo)


def signal_after_flush(site: Site) -> None:
    photo = site.host.Photo(path="a")
    site.session.add(photo)
    site.session.flush()
    send(site, photo)


def signal_for_a_known_asset(site: Site) -> None:
    send(site, KNOWN)


def signal_in_a_mapper_event(site: Site) -> None:
    def inserted(_mapper: Any, _connection: Any, photo: Any) -> None:
        send(site, photo)

    event.listen(site.host.Photo, "after_insert", inserted)
    try:
        site.session.add(site.host.Photo(path="a"))
        site.session.flush()
    finally:
        event.remove(site.host.Photo, "after_insert", inserted)


def signal_after_commit(site: Site) -> None:
    site.session.commit()
    start = time.monotonic()
    send(site, KNOWN)
    assert time.monotonic() - start < BOUND_ALONE


def watched_insert(site: Site) -> None:
    site.session.add(site.Seen(path="b"))


def watched_update(site: Site) -> None:
    with site.session.no_autoflush:
        site.session.get(site.Seen, SEEN).path = "b"


def watched_delete(site: Site) -> None:
    with site.session.no_autoflush:
        site.session.delete(site.session.get(site.Seen, SEEN))


def adding(site: Site) -> None:
    site.host.autotag.add_tag(KNOWN, "dog")


def accepting(site: Site) -> None:
    site.host.autotag.accept_tag(KNOWN, "dog")


def rejecting(site: Site) -> None:
    site.host.autotag.reject_tag(KNOWN, "dog")


def removing(site: Site) -> None:
    site.host.autotag.remove_tag(KNOWN, "dog")


def forgetting(site: Site) -> None:
    site.host.autotag.forget(KNOWN)


def moving(site: Site) -> None:
    site.host.autotag.move(KNOWN, AssetRef("photo", "2"))


def untagging(site: Site) -> None:
    site.host.autotag.untag(KNOWN)


def retagging(site: Site) -> None:
    site.host.autotag.retag(KNOWN)


def send(site: Site, asset: object) -> None:
    image_uploaded.send(site.host.app, asset=asset, image=IMAGE)


HOOKS: tuple[Callable[[Site], None], ...] = (
    signal_before_flush,
    signal_after_flush,
    signal_for_a_known_asset,
    signal_in_a_mapper_event,
    signal_after_commit,
    watched_insert,
    watched_update,
    watched_delete,
    adding,
    accepting,
    rejecting,
    removing,
    forgetting,
    moving,
    untagging,
    retagging,
)

# The faults: each occurs at the host's first statement on our tables.


class Fault:
    """No fault.

    :ivar struck: whether it occurred at a statement of ours.
    :ivar met: whether the database then reported an error.
    """

    def __init__(self, site: Site, stack: ExitStack) -> None:
        self.site, self.stack = site, stack
        self.struck = self.met = False

    def before(self) -> None:
        """Occur before the host begins."""

    def strike(self, connection: Connection, cursor: Any) -> None:
        """Occur before the first statement on our tables.

        :param connection: the connection that executes it.
        """

    def other_connection(self) -> Connection:
        """Open another connection until the end of the test."""
        connection: Connection = self.stack.enter_context(self.site.other.connect())
        return connection


def lock_tables(site: Site, connection: Connection) -> None:
    """Lock the rows and gaps of our tables that the hooks write first."""
    if site.kind == "sqlite":
        connection.exec_driver_sql("BEGIN IMMEDIATE")
    elif site.kind == "postgresql":
        connection.execute(
            text("LOCK TABLE autotag_job, autotag_asset IN SHARE ROW EXCLUSIVE MODE")
        )
    else:
        for table in ("autotag_job", "autotag_asset"):
            connection.execute(text(f"SELECT * FROM {table} FOR UPDATE")).all()


class LockTimeout(Fault):
    """Another transaction holds a lock for longer than the host waits."""

    def before(self) -> None:
        if self.site.kind == "sqlite":
            lock_tables(self.site, self.other_connection())

    def strike(self, connection: Connection, cursor: Any) -> None:
        if self.site.kind == "sqlite":
            return
        lock_tables(self.site, self.other_connection())
        if self.site.kind == "postgresql":
            cursor.execute(f"SET LOCAL lock_timeout = {SHORT}")
        else:
            cursor.execute("SET SESSION innodb_lock_wait_timeout = 0")


class StatementTimeout(Fault):
    """A statement exceeds the host's timeout."""

    def strike(self, connection: Connection, cursor: Any) -> None:
        lock_tables(self.site, self.other_connection())
        if self.site.kind == "postgresql":
            cursor.execute(f"SET LOCAL statement_timeout = {SHORT}")
        else:
            cursor.execute(f"SET SESSION max_statement_time = {SHORT / 1000}")


class Deadlock(Fault):
    """A transaction with a lock that we need waits for a row of the host."""

    def strike(self, connection: Connection, cursor: Any) -> None:
        is_locked = threading.Event()

        def wait_for_the_host() -> None:
            with self.site.other.connect() as other:
                # MariaDB rolls back the transaction that has written less.
                note = self.site.Note.__table__
                other.execute(note.insert(), [{"text": "filler"}] * 200)
                lock_tables(self.site, other)
                is_locked.set()
                try:
                    other.execute(text("UPDATE note SET text = 'x' WHERE id = 1"))
                except DBAPIError:
                    return
                finally:
                    other.rollback()

        thread = threading.Thread(target=wait_for_the_host)
        thread.start()
        self.stack.callback(thread.join, 10)
        assert is_locked.wait(10)
        if self.site.kind == "postgresql":
            # The transaction that waits last detects the deadlock first.
            self.wait_until_somebody_waits()

    def wait_until_somebody_waits(self) -> None:
        waiting = text(
            "SELECT count(*) FROM pg_stat_activity"
            " WHERE wait_event_type = 'Lock' AND datname = current_database()"
        )
        end = time.monotonic() + 10
        with self.site.other.connect() as other:
            while not other.scalar(waiting):
                other.rollback()
                assert time.monotonic() < end
                time.sleep(0.005)


class SerialisationFailure(Fault):
    """Another transaction has changed rows after the host's snapshot."""

    def before(self) -> None:
        self.site.session.connection(
            execution_options={"isolation_level": "REPEATABLE READ"}
        )
        self.site.session.execute(text("SELECT 1 FROM note"))

    def strike(self, connection: Connection, cursor: Any) -> None:
        models = self.site.host.models
        with self.site.other.begin() as other:
            other.execute(text("UPDATE autotag_asset SET sha256 = 'other'"))
            other.execute(text("UPDATE autotag_job SET failures = 7"))
            for content in (hashlib.sha256(IMAGE).hexdigest(), UNREAD):
                image = Captured(content=content)
                queue.enqueue(other, models, queue.Intent(KNOWN, "default", image))


class ConnectionLost(Fault):
    """The database closes the connection."""

    def strike(self, connection: Connection, cursor: Any) -> None:
        driver: Any = connection.connection.driver_connection
        with self.site.other.connect() as other:
            if self.site.kind == "postgresql":
                other.execute(
                    text("SELECT pg_terminate_backend(:pid)"),
                    {"pid": driver.info.backend_pid},
                )
            else:
                other.execute(text(f"KILL CONNECTION {driver.thread_id()}"))


FAULTS: dict[type[Fault], tuple[str, ...]] = {
    LockTimeout: DATABASES,
    StatementTimeout: ("postgresql", "mariadb"),
    Deadlock: ("postgresql", "mariadb"),
    SerialisationFailure: ("postgresql",),
    ConnectionLost: ("postgresql", "mariadb"),
}
#: Hooks whose new rows conflict with no others, so that snapshots do not matter.
ALONE = {
    signal_before_flush,
    signal_after_flush,
    signal_in_a_mapper_event,
    signal_after_commit,
    watched_insert,
    watched_update,
}

hooks = pytest.mark.parametrize("hook", HOOKS, ids=lambda hook: hook.__name__)


@pytest.fixture(autouse=True)
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(late_writes, "PATIENCE", 1.5)
    monkeypatch.setattr(late_writes, "LOCK_WAIT", 1)


def run(site: Site, hook: Callable[[Site], None], fault: Fault) -> None:
    """Write as the host and call a hook; check which writes are left."""
    first = threading.Lock()

    def before(
        connection: Connection, cursor: Any, statement: str, *_others: Any
    ) -> None:
        is_ours = "autotag_" in statement and not statement.startswith("SET")
        if is_ours and first.acquire(blocking=False):
            fault.strike(connection, cursor)
            fault.struck = True

    site.errors.clear()
    raised: Exception | None = None
    engine = site.host.db.engine
    event.listen(engine, "before_cursor_execute", before)
    start = time.monotonic()
    try:
        fault.before()
        own = site.write_own(site.session)
        hook(site)
        site.session.commit()
    except DBAPIError as error:
        raised = error
        site.session.rollback()
    finally:
        took = time.monotonic() - start
        event.remove(engine, "before_cursor_execute", before)
        site.session.remove()
        fault.stack.close()
        state = site.host.autotag.state_of(site.host.app)
        for future in state.late_writes._late.copy():
            future.exception(10)
        engine.dispose()
    assert raised is not None or site.has(own), (
        "the host's write is lost, and it heard nothing"
    )
    assert took < BOUND
    # On SQLite the lock may already block the host's own write.
    fault.met = bool(site.errors) and (fault.struck or site.kind == "sqlite")


@hooks
def test_without_our_tables(bare_site: Site, hook: Callable[[Site], None]) -> None:
    site = bare_site
    with site.other.begin() as connection:
        connection.execute(site.Seen.__table__.delete())
        connection.execute(site.Seen.__table__.insert().values(id=SEEN, path="a"))
    with ExitStack() as stack:
        fault = Fault(site, stack)
        run(site, hook, fault)
    assert fault.struck
    assert fault.met


@hooks
@pytest.mark.parametrize("fault_type", FAULTS, ids=lambda fault: fault.__name__)
def test_with_a_fault(
    site: Site, hook: Callable[[Site], None], fault_type: type[Fault]
) -> None:
    if site.kind not in FAULTS[fault_type]:
        pytest.skip(f"{site.kind} has no such fault")
    if fault_type is SerialisationFailure and hook in ALONE:
        pytest.skip("its rows are new")
    if fault_type is Deadlock and hook is signal_after_commit:
        pytest.skip("the host has no locks any more")
    if site.kind == "sqlite" and hook is signal_after_commit:
        pytest.skip("the host could not have committed")
    site.prepare()
    with ExitStack() as stack:
        fault = fault_type(site, stack)
        run(site, hook, fault)
    assert fault.met
