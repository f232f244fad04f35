"""The job that applies new settings to all images of an instance, step by step."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from sqlalchemy.orm import Session

from ..db.job_states import DONE, RUNNING
from ..errors import TaggingOff
from ..host.assets import SYSTEM
from ..runtime.state import State
from ..settings.resolution import Settings
from ..settings.stored_words import rename_tags
from ..tags import reapply
from . import outcomes
from .notify import notify
from .queue import Job, enqueue_reapply

if TYPE_CHECKING:
    from flask import Flask


def affected(session: Session, state: State, instance: str) -> list[str]:
    """Return the instances whose images depend on the settings of *instance*.

    :param instance: an instance, or :data:`.SYSTEM`, on which all instances depend.
    """
    if instance != SYSTEM:
        return [instance]
    return sorted(reapply.instances_with_images(session, state.database.models))


@dataclass(frozen=True)
class Reapplying:
    """The jobs that apply the settings of an instance or the system.

    :param jobs: their ids.
    :param updated: number of instances whose images are updated.
    :param unchanged: number of instances whose images keep the tags of providers,
        because auto tagging or every provider is off. If a word has a rule there, a job
        still moves people's decisions to the current names of words.
    """

    jobs: Sequence[int] = ()
    updated: int = 0
    unchanged: int = 0


def enqueue_for(session: Session, state: State, instance: str) -> Reapplying:
    """Queue the jobs that apply the settings of an instance or the system.

    No job is queued for an instance in which it would change nothing.
    """
    instances = affected(session, state, instance)
    layers = state.stored_settings().layers_of(session, instances)
    settings = {name: layers[name].resolve() for name in instances}
    updated = [name for name in instances if reapply.applies(settings[name])]
    queued = [name for name in instances if _changes_anything(settings[name])]
    jobs = enqueue_reapply(session, state.database.models, queued)
    return Reapplying(jobs, len(updated), len(instances) - len(updated))


def _changes_anything(settings: Settings) -> bool:
    return reapply.applies(settings) or bool(settings.vocabulary.words)


def step(app: Flask, state: State, job: Job, lease: float) -> tuple[Job, str | None]:
    """Apply the settings to the next assets of a claimed job, in one transaction.

    Stored predictions are used; nothing is classified.

    :param lease: seconds from now until the job's lease expires.
    :return: the updated job and its state: running, done, or ``None`` if the job
        belongs to another worker by now and nothing was written.
    :raises TaggingOff: if tagging is off and no word has a rule: existing tags stay.
    """
    models = state.database.models

    def work(session: Session) -> tuple[reapply.Chunk, str | None]:
        settings = state.stored_settings().settings(session, job.instance)
        if not _changes_anything(settings):
            raise TaggingOff("Auto tagging is turned off.")
        if job.done_to is None:
            rename_tags(session, models, job.instance, settings.vocabulary)
        done_to = job.done_to or 0
        chunk = reapply.read_chunk(
            session, models, job.instance, settings, done_to, lock=True
        )
        if chunk.last is None:
            ours = outcomes.finish(session, models, [job])
        else:
            reapply.apply(session, models, chunk)
            ours = outcomes.save_progress(session, models, job, chunk.last, lease)
        if not ours:
            session.rollback()
            return chunk, None
        return chunk, DONE if chunk.last is None else RUNNING

    chunk, job_state = state.database.transact(work)
    if job_state is not None:
        changed = [each.asset for each in chunk.differences if each.is_change]
        notify(app, state, [(asset, job.instance) for asset in changed])
    return replace(job, done_to=chunk.last), job_state
