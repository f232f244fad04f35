from __future__ import annotations

import sqlite3
import subprocess
import sys
from contextlib import closing
from pathlib import Path

import pytest

import flask_autotag
from flask_autotag.migrations import newest_revision

HEAVY = [
    "PIL",
    "ai_edge_litert",
    "alembic",
    "cryptography",
    "numpy",
    "prometheus_client",
    "requests",
    "tensorflow",
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
        "ClassifierCrashed",
        "ClassifierError",
        "ClassifierMemory",
        "ClassifierTimeout",
        "ConfigurationError",
        "CounterMixin",
        "Decision",
        "ExplainedLabel",
        "Explanation",
        "ImageError",
        "ImageMissing",
        "ImageTooLarge",
        "InquiryMixin",
        "JobMixin",
        "ListerError",
        "LoaderError",
        "ModelError",
        "Models",
        "PredictionMixin",
        "Progress",
        "ProviderBusy",
        "ProviderError",
        "ProviderLimit",
        "ProviderPaused",
        "ProviderRefused",
        "ProviderRejected",
        "ProviderStateMixin",
        "ProviderUnreachable",
        "RevisionMixin",
        "SettingChangeMixin",
        "SettingMixin",
        "SettingsError",
        "StaleSettings",
        "TagCount",
        "TagMixin",
        "TaggedMixin",
        "TaggingError",
        "TaggingOff",
        "TransactionError",
        "TryLater",
        "UnreadableImage",
        "UpgradeError",
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
    """Though the revision that they are of is noted."""
    assert (
        loaded_after(
            "import flask, flask_autotag\n"
            f"app = flask.Flask('host', instance_path={str(tmp_path)!r})\n"
            "autotag = flask_autotag.AutoTag(app)\n"
            "with app.app_context(): autotag.create_tables()"
        )
        == ""
    )
    with closing(sqlite3.connect(tmp_path / "autotag.sqlite")) as connection:
        rows = connection.execute("SELECT version_num FROM autotag_revision").fetchall()
    assert rows == [(newest_revision(),)]
