"""The API against its own description, with generated requests."""

from __future__ import annotations

from collections import Counter
from typing import Any

import pytest

from flask_autotag.settings.tag_names import tag_name

from ...hosts import ESPRESSO
from .conftest import HEADERS, PREFIX, SHOP, USER, open_service

schemathesis = pytest.importorskip("schemathesis")

EXAMPLES = 20
CONFIG = {
    "seed": 1,
    "generation": {"database": "none", "max-examples": EXAMPLES},
    "headers": {USER: "ada", **HEADERS},
}


def test_it_keeps_what_its_description_promises(sqlite_url: str) -> None:
    with open_service(sqlite_url) as service:
        service.host.autotag.image_loader(lambda asset: ESPRESSO)
        ada = service.program("ada")
        assert ada.post(f"{SHOP}/jobs", type="photo", id="7").status_code == 202
        description: Any = ada.get(f"{PREFIX}/openapi.json").json
        failures, answers = run(service.host.app, of_the_shop(description))
    assert failures == []
    # Requests got through to every kind of response.
    for status in (200, 202, 400, 403, 404, 405, 415):
        assert answers[status] > 0, answers


def of_the_shop(description: Any) -> Any:
    """Name the only instance: requests about others are all answered 404."""
    for described in description["paths"].values():
        for parameter in described["parameters"]:
            if parameter["name"] == "instance":
                parameter["schema"] = {"enum": ["shop"]}
    return description


def run(app: Any, description: Any) -> tuple[list[str], Counter[int]]:
    """Send the requests that schemathesis generates.

    :return: what it found, and how often each status was answered.
    """
    from schemathesis.config import SchemathesisConfig
    from schemathesis.engine import events, from_schema

    config = SchemathesisConfig.from_dict(CONFIG)
    schema = schemathesis.openapi.from_dict(description, config=config)
    schema.app = app
    schema.location = f"{PREFIX}/openapi.json"
    schema.hook("filter_case")(is_all_that_schemas_say)
    failures: list[str] = []
    answers: Counter[int] = Counter()
    for event in from_schema(schema).execute():
        if isinstance(event, events.ScenarioFinished):
            for key, checks in event.recorder.checks.items():
                request = event.recorder.interactions[key].request
                failures += [
                    f"{event.label} {check.name} {request.uri} {request.body!r}:"
                    f" {check.failure_info.failure}"
                    for check in checks
                    if check.failure_info is not None
                ]
            for interaction in event.recorder.interactions.values():
                if interaction.response is not None:
                    answers[interaction.response.status_code] += 1
        elif isinstance(event, events.NonFatalError):
            failures.append(f"{event.label}: {event.value!r}")
        elif isinstance(event, events.FatalError):
            raise event.exception
    return failures, answers


def is_all_that_schemas_say(_context: Any, case: Any) -> bool:
    """Leave out requests whose refusal no schema can express.

    That is a search without a tag, and a text that is no name once it is in normal
    form.
    """
    query = case.query if isinstance(case.query, dict) else {}
    body = case.body if isinstance(case.body, dict) else {}
    if case.operation.path.endswith("/assets") and not (
        query.get("all") or query.get("any")
    ):
        return False
    names = [query.get("q"), body.get("tag")]
    for several in (*map(query.get, ("all", "any", "none")), body.get("tags")):
        names += several if isinstance(several, list) else [several]
    return all(is_name(name) for name in names if isinstance(name, str) and name)


def is_name(text: str) -> bool:
    try:
        tag_name(text)
    except ValueError:
        return len(text) > 100
    return True
