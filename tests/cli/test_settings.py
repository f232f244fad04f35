"""``flask autotag settings …`` and ``rotate-keys``."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from click.testing import Result

from flask_autotag import AssetRef
from flask_autotag.jobs.worker import Worker

from ..hosts import Host, store_labels
from ..settings.desk import Desk

THRESHOLD = ("tensorflow", "confidence_threshold")
GOOGLE_KEY = ("google", "api_key")
SECRET = "AIza-secret-0123"


@pytest.fixture
def desk(host: Host) -> Desk:
    return Desk(host)


def run(desk: Desk, *arguments: str, **more: Any) -> Result:
    runner = desk.host.app.test_cli_runner()
    return runner.invoke(args=["autotag", *arguments], **more)


def settings(desk: Desk, *arguments: str, **more: Any) -> str:
    result = run(desk, "settings", *arguments, **more)
    assert result.exit_code == 0, result.output
    return result.output


def refused(desk: Desk, *arguments: str, **more: Any) -> str:
    result = run(desk, "settings", *arguments, **more)
    assert result.exit_code != 0
    assert result.exception is None or isinstance(result.exception, SystemExit)
    return result.output.strip().splitlines()[-1]


def test_show(desk: Desk) -> None:
    desk.save({THRESHOLD: 0.1, GOOGLE_KEY: SECRET})
    desk.save({("", "max_tags"): 5}, "shop")
    lines = [line.split() for line in settings(desk, "show").splitlines()]
    assert ["tensorflow.confidence_threshold", "0.1", "system"] in lines
    assert ["max_tags", "0", "default"] in lines
    assert ["microsoft.endpoint", "-", "default"] in lines
    assert ["google.api_key", "set,", "ending", "in", "0123", "system"] in lines
    found = json.loads(settings(desk, "show", "--instance", "shop", "--json"))
    assert found["max_tags"] == {"value": 5, "origin": "instance"}
    assert found["tensorflow.confidence_threshold"] == {
        "value": 0.1,
        "origin": "system",
    }


def test_a_key_that_cannot_be_used(desk: Desk) -> None:
    desk.save({GOOGLE_KEY: SECRET})
    desk.host.app.config["SECRET_KEY"] = "another"
    assert "set, but not usable" in settings(desk, "show")


def test_set_and_unset(desk: Desk) -> None:
    told = settings(desk, "set", "tensorflow.confidence_threshold", "0.1")
    assert told == "tensorflow.confidence_threshold is set for the system.\n"
    told = settings(desk, "set", "max_tags", "3", "--instance", "shop")
    assert told == "max_tags is set for the instance shop.\n"
    assert desk.settings("shop").value(THRESHOLD) == 0.1
    assert desk.settings("shop").max_tags == 3
    assert desk.changes()[0].changed_by == "command line"
    told = settings(desk, "unset", "max_tags", "--instance", "shop")
    assert told == "max_tags is inherited by the instance shop.\n"
    assert desk.settings("shop").max_tags == 0
    told = settings(desk, "unset", "tensorflow.confidence_threshold")
    assert told == (
        "tensorflow.confidence_threshold is no longer set for the system: the value"
        " from the application's configuration or the default applies.\n"
    )


def test_a_secret_comes_from_standard_input(desk: Desk) -> None:
    told = settings(desk, "set", "google.api_key", input=f"{SECRET}\n")
    assert told == "google.api_key is set for the system.\n"
    assert desk.settings().value(GOOGLE_KEY).reveal() == SECRET
    assert refused(desk, "set", "google.api_key", SECRET) == (
        "Error: google.api_key is a secret, and other users can see the command line:"
        " leave out the value, then type it at the prompt or pipe it in."
    )


def test_applying_to_existing_images(desk: Desk) -> None:
    with desk.host.app.app_context():
        store_labels(desk.host, AssetRef("photo", "1"), [("dog", 0.3)], "shop")
    arguments = ["tensorflow.confidence_threshold", "0.2", "--apply"]
    assert settings(desk, "set", *arguments).splitlines() == [
        "tensorflow.confidence_threshold is set for the system.",
        UPDATED,
    ]
    assert [(job.kind, job.instance) for job in desk.host.jobs()] == [("rules", "shop")]
    arguments = ["tensorflow.confidence_threshold", "--apply"]
    assert settings(desk, "unset", *arguments).splitlines() == [
        "tensorflow.confidence_threshold is no longer set for the system: the value"
        " from the application's configuration or the default applies.",
        UPDATED,
    ]


UPDATED = "The existing images of 1 instance will be updated; none is classified again."
UNCHANGED = (
    "The existing images of 1 instance keep the tags of providers: auto tagging or"
    " every provider is off there."
)


def apply_to_photo(desk: Desk, key: str, value: str) -> tuple[list[str], list[str]]:
    """Apply a setting to a photo of the shop, and return the sentences and the tags."""
    app, photo = desk.host.app, AssetRef("photo", "1")
    told = settings(desk, "set", key, value, "--apply").splitlines()[1:]
    with app.app_context():
        Worker(app, desk.state).drain()
        tags = desk.host.autotag.tags_for(photo, "shop")
    return told, sorted(tag.name for tag in tags)


def test_turning_off_the_only_provider_changes_no_image(desk: Desk) -> None:
    with desk.host.app.app_context():
        store_labels(desk.host, AssetRef("photo", "1"), [("dog", 0.9)], "shop")
    told = apply_to_photo(desk, "tensorflow.enabled", "no")
    assert told == ([UNCHANGED], ["dog"])
    assert desk.host.jobs() == []
    assert apply_to_photo(desk, "tensorflow.enabled", "yes") == ([UPDATED], ["dog"])
    assert apply_to_photo(desk, "enabled", "no") == ([UNCHANGED], ["dog"])


def test_turning_off_one_of_two_providers_removes_its_tags(desk: Desk) -> None:
    desk.save({("google", "enabled"): True, GOOGLE_KEY: SECRET})
    with desk.host.app.app_context():
        photo = AssetRef("photo", "1")
        store_labels(desk.host, photo, [("dog", 0.9)], "shop")
        store_labels(desk.host, photo, [("cat", 0.9)], "shop", "google")
    assert apply_to_photo(desk, "max_tags", "0") == ([UPDATED], ["cat", "dog"])
    told = apply_to_photo(desk, "tensorflow.enabled", "no")
    assert told == ([UPDATED], ["cat"])


def test_applying_tells_of_instances_that_are_off(desk: Desk) -> None:
    with desk.host.app.app_context():
        for instance in ("shop", "news"):
            store_labels(desk.host, AssetRef("photo", "1"), [("dog", 0.9)], instance)
    desk.save({("", "enabled"): False}, "news")
    told = settings(desk, "set", "max_tags", "1", "--apply").splitlines()
    assert told[1:] == [UPDATED, UNCHANGED]
    assert [job.instance for job in desk.host.jobs()] == ["shop"]


def test_applying_where_no_image_is_known(desk: Desk) -> None:
    told = settings(desk, "set", "max_tags", "5", "--apply")
    assert told == "max_tags is set for the system.\nThere are no existing images.\n"


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (
            ["set", "tensorflow.treshold", "1"],
            "Error: There is no setting 'tensorflow.treshold'. Did you mean",
        ),
        (
            ["set", "confidence_threshold", "1"],
            "Error: There is no setting 'confidence_threshold'. Did you mean"
            " google.confidence_threshold, microsoft.confidence_threshold or"
            " tensorflow.confidence_threshold?",
        ),
        (
            ["set", "xyz", "1"],
            "Error: There is no setting 'xyz'. 'flask autotag settings show' lists"
            " all settings.",
        ),
        (
            ["set", "tensorflow.confidence_threshold", "high"],
            "Error: tensorflow.confidence_threshold must be a number from 0 to 1, not"
            " 'high'.",
        ),
        (
            ["set", "max_tags"],
            "Error: max_tags needs a value. To inherit it, use 'unset'.",
        ),
        (
            ["set", "google.enabled", "on"],
            "Error: google.api_key must be set before this provider is enabled.",
        ),
        (
            ["show", "--instance", "x" * 65],
            "Error: The name of an instance has at most 64 characters.",
        ),
        (
            ["set", "max_tags", "3", "--instance", "nowhere"],
            "Error: There is no instance 'nowhere'. Instances: shop, news.",
        ),
    ],
)
def test_what_is_wrong_is_said(desk: Desk, arguments: list[str], message: str) -> None:
    desk.host.autotag.instance_lister(lambda: ["shop", "news"])
    assert refused(desk, *arguments).startswith(message)
    assert desk.changes() == desk.changes("nowhere") == []


def test_export_and_import(desk: Desk, tmp_path: Path) -> None:
    desk.save({THRESHOLD: 0.1, GOOGLE_KEY: SECRET, ("", "max_tags"): 9})
    desk.save({("", "max_tags"): 5, ("", "enabled"): False}, "shöp")
    file = tmp_path / "settings.json"
    assert settings(desk, "export", str(file)) == ""
    content = json.loads(file.read_text(encoding="utf-8"))
    assert content == {
        "flask_autotag": 1,
        "system": {"tensorflow.confidence_threshold": 0.1, "max_tags": 9},
        "instances": {"shöp": {"max_tags": 5, "enabled": False}},
    }
    desk.save({THRESHOLD: None, ("", "max_tags"): None})
    desk.save({("", "max_tags"): None, ("", "enabled"): None}, "shöp")
    told = settings(desk, "import", str(file), "--dry-run")
    assert told == "4 settings can be imported.\n"
    assert desk.settings().value(THRESHOLD) == 0.5
    assert settings(desk, "import", str(file)) == "4 settings imported.\n"
    assert desk.settings().value(THRESHOLD) == 0.1
    assert (desk.settings("shöp").max_tags, desk.settings("shöp").enabled) == (5, False)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("", "settings.json was not written by 'flask autotag settings export'."),
        ("[]", "settings.json was not written by 'flask autotag settings export'."),
        (
            '{"flask_autotag": 2}',
            "settings.json was not written by 'flask autotag settings export'",
        ),
        ('{"flask_autotag": 1, "system": 7}', "settings.json was not written by"),
        (
            '{"flask_autotag": 1, "system": {"max_tag": 7}}',
            "There is no setting 'max_tag'. Did you mean max_tags?",
        ),
        (
            '{"flask_autotag": 1, "system": {"max_tags": 4},'
            ' "instances": {"shop": {"max_tags": 5}}}',
            "the instance shop: max_tags must be from 1 to 4, because the system allows"
            " no more.",
        ),
    ],
)
def test_a_file_that_is_wrong_saves_nothing(
    desk: Desk, tmp_path: Path, content: str, message: str
) -> None:
    file = tmp_path / "settings.json"
    file.write_text(content)
    assert refused(desk, "import", str(file)).startswith(f"Error: {message}")
    assert desk.changes() == desk.changes("shop") == []
    assert desk.settings().max_tags == 0


def test_rotating_keys(desk: Desk) -> None:
    old, new = "old" * 11, "new" * 11
    config = desk.host.app.config
    config["SECRET_KEY"] = old
    desk.save({GOOGLE_KEY: SECRET})
    config.update(SECRET_KEY=new, SECRET_KEY_FALLBACKS=[old])
    assert run(desk, "rotate-keys").output == "1 key encrypted again.\n"
    config.update(SECRET_KEY_FALLBACKS=[])
    assert desk.settings().value(GOOGLE_KEY).reveal() == SECRET
    config.update(SECRET_KEY=old)
    result = run(desk, "rotate-keys")
    assert result.exit_code == 1
    assert "1 key cannot be decrypted with any secret" in result.output
    config.update(SECRET_KEY=None)
    result = run(desk, "rotate-keys")
    assert "Error: Set AUTOTAG_SECRET_KEYS or SECRET_KEY first." in result.output
