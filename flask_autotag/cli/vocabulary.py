"""``flask autotag vocabulary …``: what was decided about words, as a CSV file."""

from __future__ import annotations

from typing import IO

import click
from flask.cli import AppGroup
from sqlalchemy.orm import Session

from ..database import lock_writers
from ..errors import VocabularyError
from ..jobs.rules import enqueue_for
from ..words import change_words, read_csv, write_csv
from .common import (
    WHO,
    check_instance,
    counted,
    current,
    layer_option,
    scope_name,
    working,
)

vocabulary_cli = AppGroup(
    "vocabulary", help="Export and import what was decided about words."
)


@vocabulary_cli.command("export")
@layer_option
@click.argument("file", type=click.File("w", encoding="utf-8"), default="-")
def export(instance: str, file: IO[str]) -> None:
    """Write the words of the system or a tenant to FILE, as CSV."""
    _, state = current()
    check_instance(state, instance)
    with working(), state.database.begin() as session:
        write_csv(file, session, state.database.models, instance)


@vocabulary_cli.command("import")
@layer_option
@click.argument("file", type=click.File(encoding="utf-8-sig"), default="-")
@click.option("--dry-run", is_flag=True, help="Check the file, and save nothing.")
def import_(instance: str, file: IO[str], dry_run: bool) -> None:
    """Save what FILE, such as export writes it, says of words; all of it, or nothing.

    Words that it does not name stay as they are. Images that were tagged before are
    brought in line at once, by a job that classifies nothing.
    """
    app, state = current()
    check_instance(state, instance)
    models = state.database.models

    def work(session: Session) -> list[int]:
        lock_writers(session, models.word.__table__)
        change_words(session, models, instance, changes, WHO)
        if dry_run:
            session.rollback()
            return []
        return enqueue_for(session, state, instance)

    with working():
        try:
            changes = read_csv(file)
        except UnicodeDecodeError:
            raise VocabularyError("The file is no text in UTF-8.") from None
        jobs = state.database.transact(work)
    state.runner.wake(app, state, jobs)
    done = "could be imported" if dry_run else "imported"
    click.echo(f"{counted(len(changes), 'word')} {done} for {scope_name(instance)}.")
