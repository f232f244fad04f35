from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from flask_autotag import ConfigurationError
from flask_autotag.providers.registry import sections
from flask_autotag.settings import checks
from flask_autotag.settings.config import KEYS, Config, read_config, refuse_unknown
from flask_autotag.settings.fields import Field, Section


def test_without_keys_the_defaults_hold() -> None:
    assert read_config({}) == Config(
        runner="thread",
        celery_broker_url=None,
        celery_queue=None,
        url_prefix="/autotag",
        blueprint="autotag",
        api=None,
        metrics=None,
        base_template="autotag/base.html",
        secret_keys=None,
        allowed_origins=frozenset(),
        reuse_across_instances=False,
        max_words=10_000,
        model_dir=None,
        max_image_bytes=25 * 2**20,
        timeout=30,
        memory_limit=4096,
        tensorflow_device=None,
    )


def test_keys_are_read_and_texts_from_the_environment_understood(
    tmp_path: Path,
) -> None:
    config = read_config(
        {
            "AUTOTAG_RUNNER": "none",
            "AUTOTAG_CELERY_QUEUE": "pictures",
            "AUTOTAG_URL_PREFIX": "/admin/tags",
            "AUTOTAG_BLUEPRINT": "image_tags",
            "AUTOTAG_API": "/api/tags",
            "AUTOTAG_METRICS": "/metrics/tags",
            "AUTOTAG_BASE_TEMPLATE": "frame.html",
            "AUTOTAG_ALLOWED_ORIGINS": "http://127.0.0.1:8501",
            "AUTOTAG_SECRET_KEYS": "a" * 32 + ", " + "b" * 40,
            "AUTOTAG_MODEL_DIR": str(tmp_path),
            "AUTOTAG_MAX_IMAGE_BYTES": "1000",
            "AUTOTAG_MAX_WORDS": "200",
            "AUTOTAG_TIMEOUT": "5",
            "AUTOTAG_MEMORY_LIMIT": 0,
            "AUTOTAG_TENSORFLOW_DEVICE": "gpu",
            "SECRET_KEY": "of the host",
        }
    )
    assert config == Config(
        runner="none",
        celery_broker_url=None,
        celery_queue="pictures",
        url_prefix="/admin/tags",
        blueprint="image_tags",
        api="/api/tags",
        metrics="/metrics/tags",
        base_template="frame.html",
        secret_keys=("a" * 32, "b" * 40),
        allowed_origins=frozenset({"http://127.0.0.1:8501"}),
        reuse_across_instances=False,
        max_words=200,
        model_dir=str(tmp_path),
        max_image_bytes=1000,
        timeout=5,
        memory_limit=0,
        tensorflow_device="GPU:0",
    )


@pytest.mark.parametrize(
    ("key", "value", "message"),
    [
        (
            "AUTOTAG_RUNNER",
            "huey",
            "AUTOTAG_RUNNER must be one of 'thread', 'inline', 'celery', 'none', not"
            " 'huey'.",
        ),
        (
            "AUTOTAG_MODEL_DIR",
            "/no/such/folder",
            "AUTOTAG_MODEL_DIR must be the path of an existing folder, not"
            " '/no/such/folder'.",
        ),
        (
            "AUTOTAG_MAX_IMAGE_BYTES",
            0,
            "AUTOTAG_MAX_IMAGE_BYTES must be a whole number from 1 to 1073741824,"
            " not 0.",
        ),
        (
            "AUTOTAG_BLUEPRINT",
            "image.tags",
            "AUTOTAG_BLUEPRINT must be a name of letters, digits and underscores, not"
            " 'image.tags'.",
        ),
        (
            "AUTOTAG_URL_PREFIX",
            "autotag/",
            "AUTOTAG_URL_PREFIX must be a path such as /admin/autotag, not 'autotag/'.",
        ),
        (
            "AUTOTAG_SECRET_KEYS",
            ["short"],
            "AUTOTAG_SECRET_KEYS must be texts of at least 32 characters each.",
        ),
        (
            "AUTOTAG_SECRET_KEYS",
            7,
            "AUTOTAG_SECRET_KEYS must be a list of texts, or a text with commas.",
        ),
        (
            "AUTOTAG_TIMEOUT",
            "soon",
            "AUTOTAG_TIMEOUT must be a whole number from 1 to 3600, not 'soon'.",
        ),
        (
            "AUTOTAG_MEMORY_LIMIT",
            -1,
            "AUTOTAG_MEMORY_LIMIT must be a whole number from 0 to 1048576, not -1.",
        ),
    ],
)
def test_a_wrong_value_is_named_with_its_key(
    key: str, value: Any, message: str
) -> None:
    with pytest.raises(ConfigurationError) as caught:
        read_config({key: value})
    assert str(caught.value) == message


@pytest.mark.parametrize("key", KEYS)
def test_a_default_passes_its_own_check(key: str) -> None:
    assert KEYS[key].check(KEYS[key].default) == KEYS[key].default


def test_each_key_has_a_field_and_a_help() -> None:
    fields = {f"AUTOTAG_{name.upper()}" for name in Config.__dataclass_fields__}
    assert fields == set(KEYS)
    assert all(key.help.endswith(".") for key in KEYS.values())


@pytest.mark.parametrize(
    ("key", "nearest"),
    [
        ("AUTOTAG_RUNER", "AUTOTAG_RUNNER"),
        ("AUTOTAG_MAX_TAG", "AUTOTAG_MAX_TAGS"),
        ("AUTOTAG_TENSORFLOW_CONFIDENCE", "AUTOTAG_TENSORFLOW_CONFIDENCE_THRESHOLD"),
        (
            "AUTOTAG_CONFIDENCE_THRESHOLD",
            "AUTOTAG_GOOGLE_CONFIDENCE_THRESHOLD,"
            " AUTOTAG_MICROSOFT_CONFIDENCE_THRESHOLD or"
            " AUTOTAG_TENSORFLOW_CONFIDENCE_THRESHOLD",
        ),
    ],
)
def test_an_unknown_key_is_refused_with_the_nearest_known_one(
    key: str, nearest: str
) -> None:
    with pytest.raises(ConfigurationError) as caught:
        refuse_unknown({key: 1}, sections())
    assert (
        str(caught.value) == f"Flask-AutoTag has no key {key}. Did you mean {nearest}?"
    )


def test_a_key_that_is_like_none_is_refused_too() -> None:
    for key in ("AUTOTAG_", "AUTOTAG_FOO"):
        with pytest.raises(ConfigurationError) as caught:
            refuse_unknown({key: 1}, sections())
        assert str(caught.value) == (
            f"Flask-AutoTag has no key {key}. 'Configuration' in the documentation"
            " lists all keys."
        )


def test_all_known_keys_and_those_of_others_are_let_through() -> None:
    known = [key for section in sections() for key in section.config_keys()]
    refuse_unknown(dict.fromkeys([*KEYS, *known, "AUTOTAGGER", "DEBUG"]), sections())


def test_a_field_with_the_key_of_something_else_is_refused() -> None:
    directory = Field("dir", "", checks.text, "Folder", "Help.")
    mine = Section("model", "My model", (directory,))
    with pytest.raises(ConfigurationError) as caught:
        refuse_unknown({}, [*sections(), mine])
    assert str(caught.value) == (
        "The field 'dir' of the section 'model' would be set by AUTOTAG_MODEL_DIR,"
        " which is already a key of Flask-AutoTag or of another section. Rename the"
        " field."
    )


def test_no_secret_is_shown() -> None:
    assert "a" * 32 not in repr(read_config({"AUTOTAG_SECRET_KEYS": ["a" * 32]}))
