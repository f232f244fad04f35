"""Installs models in ``AUTOTAG_MODEL_DIR``, and removes them.

A model is first installed in a folder whose name begins with a dot. The folder is
renamed when it is complete, so that an incomplete model can never be chosen.
"""

from __future__ import annotations

import re
import shutil
import tomllib
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

from ...errors import ModelError
from ...host.regular_files import open_regular
from .download import MAX_FILE_SIZE, ReportProgress, download
from .kinds import NO_DETECTOR
from .model_file import (
    BUNDLED,
    DESCRIPTION,
    ModelFile,
    available,
    describe,
    read,
    sha256_of,
    sha256_of_file,
)
from .model_folder import inside

#: The folder with the descriptions of downloadable models, a folder for each.
DOWNLOADS = BUNDLED.parent / "downloads"
_NAME = re.compile(r"[a-z0-9][a-z0-9._-]{0,63}")
#: The licence, which is installed too if there is one.
_LICENCE = "LICENSE"


def downloadable() -> list[str]:
    """Return the names of the models that can be downloaded, sorted."""
    return sorted(path.parent.name for path in DOWNLOADS.glob(f"*/{DESCRIPTION}"))


def add_download(
    name: str, model_dir: str, archive: Path | None, progress: ReportProgress
) -> ModelFile:
    """Install a downloadable model.

    :param archive: the archive, if it was downloaded in another way.
    :param progress: called during the download.
    :raises ModelError: if the download fails, the archive is not the expected file, or
        a model with this name exists.
    """
    description = DOWNLOADS / name / DESCRIPTION
    source = tomllib.loads(description.read_text(encoding="utf-8"))

    def fill(folder: Path) -> None:
        path = archive or _downloaded(source, Path(model_dir), progress)
        _check_archive(path, source["download"]["sha256"])
        _unpack(path, folder, [source["file"], source["labels"]])
        shutil.copy(description, folder)
        if sha256_of(folder / source["labels"]) != source["labels_sha256"]:
            raise ModelError(f"The labels of the model {name} are damaged.")

    model = _install(name, model_dir, fill)
    if archive is None:
        _archive_path(source, Path(model_dir)).unlink(missing_ok=True)
    return model


def add_folder(source: Path, name: str, model_dir: str) -> ModelFile:
    """Install the model that *source* describes: a folder with a ``model.toml``.

    If ``model.toml`` has no SHA-256, the network's is added to the copy.

    :raises ModelError: if the folder is incomplete, or a model with this name exists.
    """

    def fill(folder: Path) -> None:
        description = describe(source, name)
        text = description.text
        try:
            licences = [
                inside(source, path.name) for path in source.glob(f"{_LICENCE}*")
            ]
            files = (description.network, description.labels, *description.heads)
            for path in (*files, *licences):
                _copy(path, folder)
            if "sha256" not in description.values:
                text = f'sha256 = "{sha256_of(description.network)}"\n{text}'
        except (OSError, ValueError) as error:
            raise ModelError(f"The folder {source} cannot be read: {error}.") from error
        (folder / DESCRIPTION).write_text(text, encoding="utf-8")

    return _install(name, model_dir, fill)


def remove(name: str, model_dir: str) -> None:
    """Delete a model.

    :raises ModelError: if the model is bundled, or does not exist.
    """
    if (BUNDLED / name / DESCRIPTION).is_file():
        raise ModelError(
            f"The model {name} is part of the package and cannot be removed."
        )
    if name not in available(model_dir):
        raise ModelError(f"There is no model {name!r:.80} in {model_dir}.")
    shutil.rmtree(Path(model_dir) / name)


def _install(name: str, model_dir: str, fill: Callable[[Path], None]) -> ModelFile:
    if not _NAME.fullmatch(name):
        raise ModelError(
            f"{name!r:.80} cannot be a model's name: lower-case letters, digits, dots,"
            " hyphens and underscores, 64 at most. Pass another name with --name."
        )
    if name == NO_DETECTOR:
        raise ModelError(
            f"{name!r} stands for no detector. Pass another name with --name."
        )
    if name in available(model_dir):
        raise ModelError(
            f"There already is a model {name}. Remove it first, or pass another name"
            " with --name."
        )
    folder = Path(model_dir) / f".{name}"
    shutil.rmtree(folder, ignore_errors=True)
    try:
        folder.mkdir()
        fill(folder)
        read(folder, name).check()
        folder.rename(Path(model_dir) / name)
    except OSError as error:
        raise ModelError(
            f"The model {name} cannot be written to {model_dir}: {error.strerror}."
        ) from error
    finally:
        shutil.rmtree(folder, ignore_errors=True)
    return read(Path(model_dir) / name)


def _archive_path(source: dict[str, Any], model_dir: Path) -> Path:
    return model_dir / f".{source['download']['url'].rpartition('/')[2]}"


def _downloaded(
    source: dict[str, Any], model_dir: Path, progress: ReportProgress
) -> Path:
    path = _archive_path(source, model_dir)
    if not path.exists():
        origin = source["download"]
        download(origin["url"], path, origin["sha256"], progress)
    return path


def _check_archive(path: Path, sha256: str) -> None:
    try:
        actual = sha256_of_file(path)
    except OSError as error:
        raise ModelError(f"{path} cannot be read: {error.strerror}.") from error
    if actual != sha256:
        raise ModelError(
            f"{path} is not the expected file: its SHA-256 is {actual}, not {sha256}."
        )


def _unpack(archive: Path, folder: Path, names: list[str]) -> None:
    """Extract the named files of a zip archive that was checked before.

    A symbolic link becomes a file that holds the name of its target.
    """
    with zipfile.ZipFile(archive) as file:
        members = set(file.namelist())
        for name in names + [_LICENCE] * (_LICENCE in members):
            if name not in members or file.getinfo(name).file_size > MAX_FILE_SIZE:
                raise ModelError(f"The archive {archive} holds no usable {name}.")
            with file.open(name) as source, (folder / name).open("wb") as target:
                shutil.copyfileobj(source, target)


def _copy(path: Path, folder: Path) -> None:
    if path.is_dir():
        shutil.copytree(path, folder / path.name, copy_function=_copy_file)
    else:
        _copy_file(path, folder / path.name)


def _copy_file(source: str | Path, target: str | Path) -> None:
    """Copy a regular file. Other files, such as devices, could be endless."""
    with open_regular(source) as original, open(target, "wb") as copy:
        shutil.copyfileobj(original, copy)
