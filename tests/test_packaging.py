"""The content of the wheel; it tags a photo without the source tree."""

from __future__ import annotations

import shutil
import subprocess
import sys
import venv
import zipfile
from pathlib import Path

import pytest

from .hosts import ESPRESSO, ESPRESSO_TAGS

ROOT = Path(__file__).parent.parent

SCRIPT = """
import sys
from flask import Flask
from flask_autotag import AssetRef, AutoTag
import flask_autotag

assert flask_autotag.__file__.startswith(sys.prefix), flask_autotag.__file__
app = Flask("elsewhere", instance_path=sys.argv[2])
autotag = AutoTag(app)
with app.app_context():
    print([tag.name for tag in autotag.tag_now(AssetRef("file", "1"), sys.argv[1])])
"""


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder, source = tmp_path_factory.mktemp("wheel"), tmp_path_factory.mktemp("source")
    # Builds write files into the tree, so two builds must not run at the same time.
    ignored = shutil.ignore_patterns(".*", "build", "dist", "*.egg-info", "instance")
    shutil.copytree(ROOT, source, ignore=ignored, dirs_exist_ok=True)
    done = subprocess.run(
        [
            sys.executable,
            "-m",
            "build",
            "--wheel",
            "--outdir",
            str(folder),
            str(source),
        ],
        capture_output=True,
        text=True,
    )
    if done.returncode and "Could not find a version" in done.stdout + done.stderr:
        pytest.skip("building a wheel needs setuptools from a package index")
    assert done.returncode == 0, done.stdout + done.stderr
    [path] = folder.glob("*.whl")
    return path


def test_only_the_package_is_in_the_wheel(wheel: Path) -> None:
    with zipfile.ZipFile(wheel) as archive:
        names = archive.namelist()
    tops = {name.split("/")[0] for name in names}
    assert {top for top in tops if not top.endswith(".dist-info")} == {"flask_autotag"}
    for needed in (
        "flask_autotag/py.typed",
        "flask_autotag/db/migrations/env.py",
        "flask_autotag/db/migrations/versions/0001_first_tables.py",
        "flask_autotag/static/autotag/autotag.css",
        "flask_autotag/static/autotag/autotag.js",
        "flask_autotag/static/autotag/field.css",
        "flask_autotag/static/autotag/field.js",
        "flask_autotag/static/autotag/review.js",
        "flask_autotag/static/autotag/trial.js",
        "flask_autotag/templates/autotag/macros.html",
        "flask_autotag/templates/autotag/settings.html",
        "flask_autotag/translations/flask_autotag.pot",
        "flask_autotag/data/models/efficientnet-lite0/model.tflite",
        "flask_autotag/data/models/efficientnet-lite0/model.toml",
        "flask_autotag/data/models/efficientnet-lite0/labels.csv",
        "flask_autotag/data/models/efficientnet-lite0/LICENSE-weights.txt",
        "flask_autotag/data/models/efficientnet-lite0/LICENSE-wordnet.txt",
        "flask_autotag/data/broader/broader.csv",
        "flask_autotag/data/broader/nouns.csv.gz",
        "flask_autotag/data/broader/LICENSE-wordnet.txt",
    ):
        assert needed in names
    assert wheel.stat().st_size < 8_000_000


def test_the_wheel_tags_a_photo_elsewhere(wheel: Path, tmp_path: Path) -> None:
    target = tmp_path / "venv"
    # The dependencies are this environment's; the package itself is the wheel's.
    venv.create(target, with_pip=False)
    version = f"python{sys.version_info.major}.{sys.version_info.minor}"
    packages = target / "lib" / version / "site-packages"
    with zipfile.ZipFile(wheel) as archive:
        archive.extractall(packages)
    others = [path for path in sys.path if path.endswith("site-packages")]
    (packages / "others.pth").write_text("\n".join(others))
    script = tmp_path / "elsewhere.py"
    script.write_text(SCRIPT)

    done = subprocess.run(
        [target / "bin" / "python", script, ESPRESSO, tmp_path / "instance"],
        cwd=tmp_path,
        capture_output=True,
        text=True,
    )

    assert done.returncode == 0, done.stderr
    assert done.stdout.strip() == str(ESPRESSO_TAGS)
