"""``flask autotag vocabulary …``: the rules for words, as a CSV file."""

from __future__ import annotations

from collections.abc import Sequence
from typing import IO

import click
from flask.cli import AppGroup
from sqlalchemy.orm import Session

from ..errors import VocabularyError
from ..jobs.reapply_job import enqueue_for
from ..settings.stored_words import change_words
from ..settings.words_csv import read_csv, write_csv
from .options import (
    ACTOR,
    check_instance,
    counted,
    current,
    layer_name,
    layer_option,
    long_running,
)

vocabulary_cli = AppGroup("vocabulary", help="Export and import the rules for words.")


@vocabulary_cli.command("export")
@layer_option
@click.argument("file", type=click.File("w", encoding="utf-8"), default="-")
def export(instance: str, file: IO[str]) -> None:
    """Write the words of an instance or the system to FILE, as CSV."""
    _, state = current()
    check_instance(state, instance)
    with long_running(), state.database.begin() as session:
        write_csv(file, session, state.database.models, instance)


@vocabulary_cli.command("import")
@layer_option
@click.argument("file", type=click.File(encoding="utf-8-sig"), default="-")
@click.option("--dry-run", is_flag=True, help="Check the file without saving anything.")
def import_(instance: str, file: IO[str], dry_run: bool) -> None:
    """Save the words in FILE, which has the columns that 'export' writes.

    All words are saved or, after an error, none. Other words stay unchanged. A job
    applies the changes to existing images, without classifying them again.
    """
    app, state = current()
    check_instance(state, instance)
    models = state.database.models

    def work(session: Session) -> Sequence[int]:
        state.stored_settings().lock(session, instance)
        change_words(session, models, instance, changes, ACTOR, state.config.max_words)
        if dry_run:
            session.rollback()
            return []
        return enqueue_for(session, state, instance).jobs

    with long_running():
        try:
            changes = read_csv(file)
        except UnicodeDecodeError:
            raise VocabularyError("The file is not UTF-8 text.") from None
        jobs = state.database.transact(work)
    state.runner.wake(app, state, jobs)
    done = "could be imported" if dry_run else "imported"
    click.echo(f"{counted(len(changes), 'word')} {done} for {layer_name(instance)}.")
