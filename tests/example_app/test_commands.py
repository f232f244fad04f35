"""``flask autotag …`` in the example."""

from __future__ import annotations

from flask import Flask

from .conftest import EXAMPLE_PHOTOS, MakeApp, photos_of


def test_photos_that_were_there_before_are_tagged(make_app: MakeApp) -> None:
    app = make_app(EXAMPLE_PHOTOS=str(EXAMPLE_PHOTOS), AUTOTAG_RUNNER="none")
    number = len(photos_of(app))
    assert told(app, "tag-untagged", "--dry-run")[0] == f"0 images of {number} to tag."
    state = app.extensions["autotag"].state_of(app)
    with app.app_context(), state.database.begin() as session:
        session.execute(state.database.models.job.__table__.delete())
    lines = told(app, "tag-untagged")
    assert lines[0] == f"{number} images of {number} to tag."
    assert {line.split(":")[0].strip() for line in lines[1:3]} == {"news", "shop"}


def told(app: Flask, *arguments: str) -> list[str]:
    result = app.test_cli_runner().invoke(args=["autotag", *arguments])
    assert result.exit_code == 0, result.output
    return result.stdout.splitlines()
