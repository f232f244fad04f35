"""Reads model folders: ``model.toml``, the network's file, and the labels.

Bundled models and models in ``AUTOTAG_MODEL_DIR`` have the same form. Reading a model
neither opens its network nor imports TensorFlow.
"""

from __future__ import annotations

import csv
import hashlib
import os
import re
import tomllib
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ...errors import ModelError
from ...host.regular_files import open_regular
from . import description_values as checked
from .detector_file import DetectorSpec, read_detector
from .heads_file import HeadsSpec, heads_files, read_heads
from .model_folder import Unreadable, inside, read_labels, read_text
from .tensors_file import InputSpec, OutputSpec, read_input, read_output

BUNDLED = Path(__file__).parents[2] / "data" / "models"
DESCRIPTION = "model.toml"

LITERT, GRAPH, SAVED_MODEL, KERAS = "tflite", "graph", "saved_model", "keras"
#: The format of a network by the suffix of its file; a folder is a SavedModel.
FORMATS = {".tflite": LITERT, ".pb": GRAPH, ".keras": KERAS, ".h5": KERAS}

#: Bytes of a description. The bundled one has 1,000.
_MAX_DESCRIPTION = 2**16
#: Characters of a version. A model's name and its version are stored together in 128
#: characters.
_MAX_VERSION = 60
#: The line of an error in the messages of :mod:`tomllib`.
_PLACE = re.compile(r"at line (\d+)")


@dataclass(frozen=True)
class ModelFile:
    """The description and the labels of a model.

    :param name: the name of the folder, by which settings choose the model.
    :param title: the name that people see.
    :param version: the network's version; stored with every tag.
    :param network: the network's file, or the folder of a SavedModel.
    :param format: one of :data:`LITERT`, :data:`GRAPH`, :data:`SAVED_MODEL` and
        :data:`KERAS`.
    :param sha256: the checksum of the network, as :func:`sha256_of` computes it.
    :param labels: ``(id, name)`` of each output, in order.
    :param input: how an image becomes the network's input.
    :param output: how the network's output becomes confidences.
    :param heads: the classifiers of general labels; ``None`` if there are none.
    :param detector: the labels that a detector gives; ``None`` if it is no detector.
    """

    name: str
    title: str
    version: str
    network: Path
    format: str
    sha256: str
    labels: tuple[tuple[str, str], ...]
    input: InputSpec
    output: OutputSpec
    heads: HeadsSpec | None
    detector: DetectorSpec | None

    @property
    def full_name(self) -> str:
        """The name and the version, as stored with every tag."""
        return f"{self.name} {self.version}"

    def check(self) -> None:
        """Compare the network and the weights of the heads with their checksums.

        :raises ModelError: if they differ, or a file cannot be read.
        """
        files = {self.network: self.sha256}
        if self.heads is not None:
            files[self.heads.weights] = self.heads.sha256
        for path, expected in files.items():
            try:
                actual = sha256_of(path)
            except OSError as error:
                raise _unreadable(self.name, error) from error
            if actual != expected:
                raise ModelError(
                    f"The file {path.name} of the model {self.name} is damaged: its"
                    " SHA-256 is not the one in model.toml. Install it again."
                )


def sha256_of(network: Path) -> str:
    """Return the SHA-256 of a file, or of the sorted hashes and names of a folder.

    :return: 64 hexadecimal digits.
    :raises OSError: if a file cannot be read.
    """
    if not network.is_dir():
        return sha256_of_file(network)
    parts = hashlib.sha256()
    for path in sorted(path for path in network.rglob("*") if path.is_file()):
        name = path.relative_to(network).as_posix()
        parts.update(f"{sha256_of(path)}  {name}\n".encode())
    return parts.hexdigest()


def sha256_of_file(path: Path) -> str:
    """Return the SHA-256 of a regular file, in hexadecimal digits.

    :raises OSError: if it cannot be read, or is not a regular file.
    """
    with open_regular(path) as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def available(model_dir: str | None) -> list[str]:
    """Return the names of the models that can be chosen, sorted.

    :param model_dir: ``AUTOTAG_MODEL_DIR``; ``None`` for bundled models only.
    """
    roots = [BUNDLED, *([Path(model_dir)] if model_dir else [])]
    return sorted(
        {
            path.parent.name
            for root in roots
            for path in root.glob(f"*/{DESCRIPTION}")
            # The folder of a model that is being installed begins with a dot.
            if not path.parent.name.startswith(".")
        }
    )


def find(name: str, model_dir: str | None) -> ModelFile:
    """Read the model with a name; a bundled model has precedence.

    :raises ModelError: if no model has the name, or its files are incomplete.
    """
    names = available(model_dir)
    if name not in names:
        raise ModelError(
            f"There is no model {name!r:.80}; there are: {', '.join(names)}."
        )
    return read(folder_of(name, model_dir))


def folder_of(name: str, model_dir: str | None) -> Path:
    """Return the folder of the model with a name, which may be missing."""
    folder = BUNDLED / name
    if folder.is_dir():
        return folder
    return Path(os.fspath(model_dir or "")) / name


def read(folder: Path, name: str | None = None) -> ModelFile:
    """Read the description and the labels of the model in *folder*.

    :param name: the model's name, if it is not the folder's.
    :raises ModelError: if they are incomplete; it names the key or the file.
    """
    name = name or folder.name
    description = describe(folder, name)
    with _naming(name):
        labels = read_labels(description.labels)
        values = description.values
        output = read_output(
            checked.table("output", values.get("output", {})), len(labels)
        )
        return ModelFile(
            name=name,
            title=checked.text("title", values.get("title", name), checked.MAX_TITLE),
            version=_version(values["version"]),
            network=description.network,
            format=_read_format(description.network),
            sha256=checked.sha256(values["sha256"]),
            labels=labels,
            input=read_input(checked.table("input", values["input"])),
            output=output,
            heads=read_heads(folder, values),
            detector=read_detector(values, labels, output.activation),
        )


@dataclass(frozen=True)
class Description:
    """A ``model.toml`` and the files that it names.

    :param text: the whole text.
    :param values: the parsed values, not checked yet.
    :param network: the network's file or folder; it may be missing.
    :param labels: the file of labels; it may be missing.
    :param heads: the files of the heads, if there are any; they may be missing.
    """

    text: str
    values: Mapping[str, Any]
    network: Path
    labels: Path
    heads: Sequence[Path]


def describe(folder: Path, name: str) -> Description:
    """Read the description of the model in *folder*, and find its files.

    :param name: the model's name, for messages.
    :raises ModelError: if it cannot be read, or names a file outside the folder.
    """
    with _naming(name):
        text = read_text(inside(folder, DESCRIPTION), _MAX_DESCRIPTION)
        values = _parse(text)
        network, labels = (
            inside(folder, checked.text(key, values[key], checked.MAX_TITLE))
            for key in ("file", "labels")
        )
        if labels.is_dir():
            raise ValueError(f"labels must be a file, and {labels.name} is a folder")
        return Description(text, values, network, labels, heads_files(folder, values))


@contextmanager
def _naming(name: str) -> Iterator[None]:
    """Turn exceptions of reading a model into a :class:`.ModelError` that names it."""
    try:
        yield
    except (OSError, Unreadable, csv.Error) as error:
        raise _unreadable(name, error) from error
    except KeyError as error:
        raise ModelError(
            f"The {DESCRIPTION} of the model {name} has no {error}."
        ) from error
    except ValueError as error:
        raise ModelError(
            f"The {DESCRIPTION} of the model {name} is wrong: {error}."
        ) from error


def _unreadable(name: str, error: Exception) -> ModelError:
    return ModelError(f"The model {name} cannot be read: {error}.")


def _parse(text: str) -> Mapping[str, Any]:
    try:
        return tomllib.loads(text)
    except RecursionError:
        raise Unreadable(f"{DESCRIPTION} is nested too deeply") from None
    except ValueError as error:
        place, lines = _PLACE.search(str(error)), text.rstrip().split("\n")
        # A message without a line refers to the end of the file.
        line = lines[min(int(place[1]), len(lines)) - 1] if place else lines[-1]
        raise Unreadable(
            f"{DESCRIPTION} is not TOML: {error}: {line.strip():.80}"
        ) from error


def _read_format(network: Path) -> str:
    suffix = network.suffix.lower()
    if network.is_dir():
        return SAVED_MODEL
    if suffix not in FORMATS:
        raise ValueError(
            f"the file {network.name} is neither the folder of a SavedModel nor one of"
            f" {', '.join(FORMATS)}"
        )
    return FORMATS[suffix]


def _version(value: Any) -> str:
    if isinstance(value, int | float) and not isinstance(value, bool):
        value = checked.shown(value)
    return checked.text("version", value, _MAX_VERSION)
