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

#: Stored in the transaction that saves accounts and photos, so that this happens only
#: once: photos that users delete stay deleted.
SEEDED = "seeded"


@dataclass(frozen=True)
class DemoAccount:
    """An account whose password is on the sign-in page."""

    name: str
    password: str
    role: str
    home: str
    description: str


DEMO_ACCOUNTS = (
    DemoAccount("nora", "nora-demo", EDITOR, "news", "edits News"),
    DemoAccount("sam", "sam-demo", EDITOR, "shop", "edits Shop"),
    DemoAccount("mia", "mia-demo", MANAGER, "shop", "manages Shop"),
    DemoAccount("ada", "ada-demo", ADMINISTRATOR, "news", "administers both"),
)


def prepare() -> None:
    """Create the tables and, in an empty database, accounts and photos."""
    _create_tables()
    if db.session.get(Milestone, SEEDED) is None:
        _seed()


def _create_tables() -> None:
    """Create missing tables, while another process may do the same."""
    for attempt in range(20):
        try:
            db.create_all()
        except (OperationalError, ProgrammingError):
            # Another process created a table after this one had looked for it.
            if attempt == 19:
                raise
            time.sleep(0.1)
        else:
            return


def _seed() -> None:
    # Hashing is slow, so it happens before anything is locked.
    users = [_user(account) for account in DEMO_ACCOUNTS]
    try:
        db.session.add(Milestone(name=SEEDED))
        # If another process has inserted it, this waits for its commit and fails.
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
    """Copy the example's photos, and assign them to the instances in turn."""
    folder = current_app.config["EXAMPLE_PHOTOS"]
    files = sorted(Path(folder).glob("*.jpg")) if folder else []
    for file, instance in zip(files, cycle(INSTANCES), strict=False):
        title = file.stem.replace("-", " ").replace("_", " ").capitalize()
        yield Photo(instance=instance, title=title, filename=uploads.keep_copy(file))
