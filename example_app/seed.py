"""The first start: tables, demo accounts, photos."""

from __future__ import annotations

import time
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import cycle
from pathlib import Path

from flask import current_app
from sqlalchemy.exc import IntegrityError, OperationalError, ProgrammingError

from . import uploads
from .library import save_photos
from .models import (
    ADMINISTRATOR,
    EDITOR,
    INSTANCES,
    MANAGER,
    Milestone,
    Photo,
    User,
    db,
)

#: Reached in the transaction that saves accounts and photos, and never again: what
#: the users delete stays deleted.
SEEDED = "seeded"


@dataclass(frozen=True)
class DemoAccount:
    """An account whose password everybody may read on the sign-in page."""

    name: str
    password: str
    role: str
    home: str
    description: str


DEMO_ACCOUNTS = (
    DemoAccount("nora", "nora-demo", EDITOR, "news", "edits News"),
    DemoAccount("sam", "sam-demo", EDITOR, "shop", "edits Shop"),
    DemoAccount("mia", "mia-demo", MANAGER, "shop", "sets Shop up"),
    DemoAccount("ada", "ada-demo", ADMINISTRATOR, "news", "administers both"),
)


def prepare() -> None:
    """Make the tables and, in an empty database, accounts and photos."""
    _create_tables()
    if db.session.get(Milestone, SEEDED) is None:
        _seed()


def _create_tables() -> None:
    """Make the tables that are missing, while another process may do the same."""
    for attempt in range(20):
        try:
            db.create_all()
        except (OperationalError, ProgrammingError):
            # The other process made a table after this one had looked for it.
            if attempt == 19:
                raise
            time.sleep(0.1)
        else:
            return


def _seed() -> None:
    # The slow part, hashing, before anything is locked.
    users = [_user(account) for account in DEMO_ACCOUNTS]
    try:
        db.session.add(Milestone(name=SEEDED))
        # Waits for another process that has come this far, and then fails.
        db.session.flush()
    except IntegrityError:
        db.session.rollback()
        return
    db.session.add_all(users)
    save_photos(list(_photos()))


def _user(account: DemoAccount) -> User:
    user = User(name=account.name, role=account.role, home=account.home)
    user.set_password(account.password)
    return user


def _photos() -> Iterator[Photo]:
    """Copy the example's photos, dealt out to the instances one by one."""
    folder = current_app.config["EXAMPLE_PHOTOS"]
    files = sorted(Path(folder).glob("*.jpg")) if folder else []
    for file, instance in zip(files, cycle(INSTANCES), strict=False):
        title = file.stem.replace("-", " ").replace("_", " ").capitalize()
        yield Photo(instance=instance, title=title, filename=uploads.keep_copy(file))
