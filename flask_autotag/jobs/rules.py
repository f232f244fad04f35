"""Applying new settings to all images of an instance, some hundred at a time."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from sqlalchemy.orm import Session

from .. import reapply
from ..assets import SYSTEM
from ..errors import TaggingOff
from ..state import State
from ..words import name_tags
from . import ends
from .announce import announce
from .queue import DONE, RUNNING, Job, enqueue_rules

if TYPE_CHECKING:
    from flask import Flask


def affected(session: Session, state: State, instance: str) -> list[str]:
    """List the instances for whose images the settings of one hold.

    :param instance: or :data:`.SYSTEM`, whose settings hold for all.
    """
    if instance != SYSTEM:
        return [instance]
    return sorted(reapply.instances_with_images(session, state.database.models))


def enqueue_for(session: Session, state: State, instance: str) -> list[int]:
    """Queue what applies the settings of an instance, or the system, to its images.

    :return: the ids of the jobs.
    """
    return [
        enqueue_rules(session, state.database.models, each)
        for each in affected(session, state, instance)
    ]


def step(app: Flask, state: State, job: Job, lease: float) -> tuple[Job, str | None]:
    """Do the next assets of a claimed job, in one transaction. Nothing is classified.

    :param lease: seconds for which the job is prolonged.
    :return: the job as it is now, and its state: running, done, or ``None`` if it is
        another worker's by now and nothing was written.
    :raises TaggingOff: if tagging was turned off: the tags that there are stay, and
        no word was decided on.
    """
    models = state.database.models

    def work(session: Session) -> tuple[reapply.Chunk, str | None]:
        settings = state.stored_settings().settings(session, job.instance)
        if not reapply.applies(settings) and not settings.vocabulary.words:
            raise TaggingOff("Auto tagging is turned off.")
        if job.done_to is None:
            name_tags(session, models, job.instance, settings.vocabulary)
        chunk = reapply.read_chunk(
            session, models, job.instance, settings, job.done_to, lock=True
        )
        if chunk.last is None:
            ours = ends.finish(session, models, [job])
        else:
            reapply.apply(session, models, chunk)
            ours = ends.proceed(session, models, job, chunk.last, lease)
        if not ours:
            session.rollback()
            return chunk, None
        return chunk, DONE if chunk.last is None else RUNNING

    chunk, now = state.database.transact(work)
    if now is not None:
        changed = [each.asset for each in chunk.differences if each.is_change]
        announce(app, state, [(asset, job.instance) for asset in changed])
    return replace(job, done_to=chunk.last), now
