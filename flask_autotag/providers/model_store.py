"""Puts models into the folder of ``AUTOTAG_MODEL_DIR``, and takes them out again.

A model is made whole in a folder whose name begins with a dot, and renamed then: one
that can be chosen is never half there.
"""

from __future__ import annotations

import re
import shutil
import tomllib
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

from ..errors import ModelError
from .download import LARGEST, Progress, download
from .model_file import (
    BUNDLED,
    DESCRIPTION,
    ModelFile,
    available,
    inside,
    read,
    sha256_of,
)

#: Descriptions of models that can be downloaded, a folder each.
DOWNLOADS = BUNDLED.parent / "downloads"
_NAME = re.compile(r"[a-z0-9][a-z0-9._-]{0,63}")
#: Files of a model that are installed if they are in its archive.
_LICENCE = "LICENSE"


def downloadable() -> list[str]:
    """List the names of models that can be downloaded."""
    return sorted(path.parent.name for path in DOWNLOADS.glob(f"*/{DESCRIPTION}"))


def add_download(
    name: str, model_dir: str, archive: Path | None, progress: Progress
) -> ModelFile:
    """Install a model that can be downloaded.

    :param archive: the file, if it was got in another way.
    :raises ModelError: if it cannot be had, is not the expected file, or there
        already is a model of this name.
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

    If that names no SHA-256, the network's own is written into the copy.

    :raises ModelError: if the folder is incomplete, or there already is a model of
        this name.
    """

    def fill(folder: Path) -> None:
        try:
            text = (source / DESCRIPTION).read_text(encoding="utf-8")
            description = tomllib.loads(text)
            network, labels = (
                inside(source, description[key]) for key in ("file", "labels")
            )
            for path in (network, labels, *source.glob(f"{_LICENCE}*")):
                _copy(path, folder)
            if "sha256" not in description:
                text = f'sha256 = "{sha256_of(network)}"\n{text}'
            (folder / DESCRIPTION).write_text(text, encoding="utf-8")
        except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
            raise ModelError(f"The folder {source} cannot be read: {error}.") from error
        except (KeyError, TypeError) as error:
            raise ModelError(
                f"The {DESCRIPTION} in {source} names no file or no labels."
            ) from error
        except ValueError as error:
            raise ModelError(
                f"The {DESCRIPTION} in {source} is wrong: {error}."
            ) from error

    return _install(name, model_dir, fill)


def remove(name: str, model_dir: str) -> None:
    """Delete a model.

    :raises ModelError: if it is a bundled one, or there is none of this name.
    """
    if (BUNDLED / name / DESCRIPTION).is_file():
        raise ModelError(f"The model {name} is part of the package and stays.")
    if name not in available(model_dir):
        raise ModelError(f"There is no model {name!r:.80} in {model_dir}.")
    shutil.rmtree(Path(model_dir) / name)


def _install(name: str, model_dir: str, fill: Callable[[Path], None]) -> ModelFile:
    if not _NAME.fullmatch(name):
        raise ModelError(
            f"{name!r:.80} cannot be a model's name: lower-case letters, digits, dots,"
            " hyphens and underscores, 64 at most. Give another one with --name."
        )
    if name in available(model_dir):
        raise ModelError(
            f"There already is a model {name}. Remove it first, or give another name"
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


def _downloaded(source: dict[str, Any], model_dir: Path, progress: Progress) -> Path:
    path = _archive_path(source, model_dir)
    if not path.exists():
        origin = source["download"]
        download(origin["url"], path, origin["sha256"], progress)
    return path


def _check_archive(path: Path, sha256: str) -> None:
    try:
        found = sha256_of(path)
    except OSError as error:
        raise ModelError(f"{path} cannot be read: {error.strerror}.") from error
    if found != sha256:
        raise ModelError(
            f"{path} is not the file that was expected: its SHA-256 is {found}, not"
            f" {sha256}."
        )


def _unpack(archive: Path, folder: Path, names: list[str]) -> None:
    """Take the named files out of a zip archive, whose checksum was compared."""
    with zipfile.ZipFile(archive) as file:
        there = set(file.namelist())
        for name in names + [_LICENCE] * (_LICENCE in there):
            if name not in there or file.getinfo(name).file_size > LARGEST:
                raise ModelError(f"The archive {archive} holds no usable {name}.")
            with file.open(name) as source, (folder / name).open("wb") as target:
                shutil.copyfileobj(source, target)


def _copy(path: Path, folder: Path) -> None:
    if path.is_dir():
        shutil.copytree(path, folder / path.name)
    else:
        shutil.copy(path, folder)
