from __future__ import annotations

import sqlite3
import subprocess
import sys
from contextlib import closing
from importlib.util import find_spec
from pathlib import Path

import pytest

import flask_autotag
from flask_autotag.db.revisions import newest_revision

HEAVY = [
    "PIL",
    "ai_edge_litert",
    "alembic",
    "cryptography",
    "flask_wtf",
    "numpy",
    "prometheus_client",
    "regex",
    "requests",
    "sqlalchemy.dialects.mysql",
    "sqlalchemy.dialects.postgresql",
    "tensorflow",
    # Only requests, jobs and commands need these.
    "flask_autotag.classification.remote",
    "flask_autotag.classification.sandbox",
    "flask_autotag.cli.queue",
    "flask_autotag.jobs.outbox",
    "flask_autotag.jobs.worker",
    "flask_autotag.monitoring.metrics",
    "flask_autotag.providers.registry",
    "flask_autotag.settings.stored",
    "flask_autotag.tags.queries",
    "flask_autotag.tags.store",
    "flask_autotag.web.admin.form",
    "flask_autotag.web.admin.overview",
]


def test_the_public_names_are_these_and_no_others() -> None:
    assert flask_autotag.__all__ == [
        "AppliedTag",
        "AssetError",
        "AssetMixin",
        "AssetRef",
        "AssetTag",
        "AssignmentMixin",
        "AutoTag",
        "AutoTagError",
        "BulkActionMixin",
        "BulkItemMixin",
        "BulkResult",
        "ConfigurationError",
        "CounterMixin",
        "Decision",
        "ExplainedLabel",
        "Explanation",
        "ImageError",
        "InquiryMixin",
        "JobMixin",
        "Models",
        "PredictionMixin",
        "Progress",
        "ProviderError",
        "ProviderStateMixin",
        "RevisionMixin",
        "SettingChangeMixin",
        "SettingMixin",
        "SettingsError",
        "TagCount",
        "TagMixin",
        "TaggedMixin",
        "TaggingError",
        "TransactionError",
        "Upload",
        "UploadMixin",
        "UsageMixin",
        "VocabularyError",
        "WordMixin",
        "create_models",
        "image_tagged",
        "image_uploaded",
        "tagging_failed",
    ]


@pytest.mark.parametrize("name", flask_autotag.__all__)
def test_each_public_name_is_there(name: str) -> None:
    assert hasattr(flask_autotag, name)


def run_python(program: str) -> str:
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, timeout=60
    )
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


def test_the_modules_that_are_not_to_be_imported_exist() -> None:
    for name in HEAVY:
        if name.startswith("flask_autotag."):
            assert find_spec(name) is not None, name


def loaded_after(statements: str) -> str:
    return run_python(
        f"import sys\n{statements}\n"
        f"print(*(name for name in {HEAVY} if name in sys.modules))"
    )


def test_importing_the_package_imports_nothing_heavy() -> None:
    assert loaded_after("import flask_autotag") == ""


def test_setting_an_application_up_imports_nothing_heavy() -> None:
    assert (
        loaded_after(
            "import flask, flask_autotag\n"
            "flask_autotag.AutoTag(flask.Flask('host', instance_path='/nowhere'))"
        )
        == ""
    )


def test_making_the_tables_imports_nothing_heavy(tmp_path: Path) -> None:
    """The tables store their revision and have options for MySQL."""
    assert (
        loaded_after(
            "import flask, flask_autotag\n"
            f"app = flask.Flask('host', instance_path={str(tmp_path)!r})\n"
            "autotag = flask_autotag.AutoTag(app)\n"
            "with app.app_context(): autotag.create_tables()"
        )
        == "sqlalchemy.dialects.mysql"
    )
    with closing(sqlite3.connect(tmp_path / "autotag.sqlite")) as connection:
        rows = connection.execute("SELECT version_num FROM autotag_revision").fetchall()
    assert rows == [(newest_revision(),)]
