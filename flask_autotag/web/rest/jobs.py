"""Queues assets to be classified again, and reports the state of jobs."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

from flask import url_for
from sqlalchemy import Row
from sqlalchemy.orm import Session

from ...db.job_states import TAG
from ...db.sql import lock_writers
from ...errors import ImageMissing
from ...jobs.queue import enqueue
from ...jobs.reclassify import intent_again
from ...tags.queries import asset_search
from ..access import ENQUEUE, VIEW_TAGS
from ..endpoints import API, endpoint
from .fields import ASSET, LARGEST_KEY
from .operations import Call, Operation, Resource
from .problems import Problem
from .tags import require_known


def _enqueue(call: Call) -> Mapping[str, Any]:
    state, asset, instance = call.state, call.asset, call.instance
    models = state.database.models

    def work(session: Session) -> int:
        lock_writers(session, models.job.__table__)
        require_known(session, models, asset, instance)
        intent = intent_again(session, state, asset, instance)
        return enqueue(session.connection(), models, intent)

    try:
        job_id = state.database.transact(work)
    except ImageMissing as error:
        raise Problem(409, str(error), "id") from None
    state.runner.wake(call.app, state, [job_id])
    return _read(call, job_id)


def _job(call: Call) -> Mapping[str, Any]:
    return _read(call, call.values["job"])


def _read(call: Call, job_id: int) -> Mapping[str, Any]:
    models, row = call.state.database.models, None
    if job_id <= LARGEST_KEY:
        row = call.state.database.transact(
            lambda session: asset_search.read_job(
                session, models, job_id, call.instance
            )
        )
    if row is None:
        raise Problem(404, "This instance has no job with this id.", "job")
    return _as_json(row)


def _as_json(row: Row[Any]) -> dict[str, Any]:
    asset = {"type": row.asset_type, "id": row.asset_id}
    return {
        "id": row.id,
        "url": url_for(endpoint("job", API), instance=row.instance, job=row.id),
        "kind": row.kind,
        "asset": asset if row.kind == TAG else None,
        "state": row.state,
        "failures": row.failures,
        "error": row.error_code,
        "created_at": _moment(row.created_at),
        "finished_at": _moment(row.finished_at),
    }


def _moment(seconds: float | None) -> str | None:
    if seconds is None:
        return None
    return datetime.fromtimestamp(seconds, UTC).isoformat()


JOBS = Resource(
    "jobs",
    "jobs",
    {
        "POST": Operation(
            name="enqueue",
            summary="Classify a known asset again, in the background.",
            action=ENQUEUE,
            answer=_enqueue,
            schema="Job",
            body=ASSET,
            status=202,
            problems={
                404: "No such instance, or it does not know the asset.",
                409: "The image of the asset cannot be found.",
            },
        )
    },
)

JOB = Resource(
    "job",
    "jobs/<int:job>",
    {
        "GET": Operation(
            name="readJob",
            summary="The state of a job.",
            action=VIEW_TAGS,
            answer=_job,
            schema="Job",
            problems={404: "No such instance, or it has no such job."},
        )
    },
)
