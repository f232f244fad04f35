"""A model as a folder: ``model.toml``, the network, and its labels.

The bundled models and those of ``AUTOTAG_MODEL_DIR`` are described alike. Reading one
neither opens its network nor imports TensorFlow.
"""

from __future__ import annotations

import csv
import hashlib
import os
import tomllib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ..errors import ModelError

BUNDLED = Path(__file__).parent.parent / "data" / "models"
DESCRIPTION = "model.toml"

LITERT, GRAPH, SAVED_MODEL, KERAS = "tflite", "graph", "saved_model", "keras"
#: What a network's file is by its suffix; a folder is a SavedModel.
FORMATS = {".tflite": LITERT, ".pb": GRAPH, ".keras": KERAS, ".h5": KERAS}
#: Of Pillow's filters.
RESIZES = ("nearest", "box", "bilinear", "hamming", "bicubic", "lanczos")
#: What turns an output into confidences: of classes that exclude each other, of those
#: that do not, and nothing, where the network has done it itself.
SOFTMAX, SIGMOID, NONE = ACTIVATIONS = ("softmax", "sigmoid", "none")
CHANNELS = ("rgb", "bgr")

_SETTINGS_OF_INPUT = {"name", "size", "resize", "crop", "mean", "scale", "channels"}
_SETTINGS_OF_OUTPUT = {"name", "activation", "width", "ignore"}


@dataclass(frozen=True)
class InputSpec:
    """How an image becomes what the network takes.

    :param name: of the graph's tensor or the signature's argument, where it needs one.
    :param size: pixels of the square input.
    :param resize: one of :data:`RESIZES`.
    :param crop: share of an image's shorter side that the square in its middle has;
        ``None`` squeezes the whole image into the square.
    :param mean: taken off each value of 0 to 255, of each channel …
    :param scale: … which is then divided by this.
    :param channels: their order, one of :data:`CHANNELS`.
    """

    name: str | None
    size: int
    resize: str
    crop: float | None
    mean: tuple[float, float, float]
    scale: tuple[float, float, float]
    channels: str


@dataclass(frozen=True)
class OutputSpec:
    """What the network gives.

    :param name: of the graph's tensor or the signature's result, where it needs one.
    :param activation: one of :data:`ACTIVATIONS`, taken of it.
    :param width: its numbers for an image; those after the labels have no name.
    :param ignore: labels that are no tags, such as the ``background`` of some networks.
    """

    name: str | None
    activation: str
    width: int
    ignore: frozenset[str]


@dataclass(frozen=True)
class ModelFile:
    """A model that was found and whose labels were read.

    :param name: the folder's name, as settings choose it.
    :param title: what people call it.
    :param version: of the network; stored with every tag.
    :param network: the network's file; a folder, if it is a SavedModel.
    :param format: one of :data:`LITERT`, :data:`GRAPH`, :data:`SAVED_MODEL` and
        :data:`KERAS`.
    :param sha256: what :func:`sha256_of` must give of the network.
    :param labels: ``(id, name)`` of each output, in order.
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

    @property
    def full_name(self) -> str:
        """The name and the version, as they are stored with every tag."""
        return f"{self.name} {self.version}"

    def check(self) -> None:
        """Compare the network with its checksum.

        :raises ModelError: if they differ, or the network is not there.
        """
        try:
            found = sha256_of(self.network)
        except OSError as error:
            raise _unreadable(self.name, error) from error
        if found != self.sha256:
            raise ModelError(
                f"The file {self.network.name} of the model {self.name} is damaged:"
                " its SHA-256 is not the one in model.toml. Install it again."
            )


def sha256_of(network: Path) -> str:
    """Hash a file; or the names and hashes of a folder's files, sorted.

    :return: 64 hexadecimal digits.
    :raises OSError: if it cannot be read.
    """
    if not network.is_dir():
        with network.open("rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest()
    parts = hashlib.sha256()
    for path in sorted(path for path in network.rglob("*") if path.is_file()):
        name = path.relative_to(network).as_posix()
        parts.update(f"{sha256_of(path)}  {name}\n".encode())
    return parts.hexdigest()


def available(model_dir: str | None) -> list[str]:
    """List the models that can be chosen, by name."""
    roots = [BUNDLED, *([Path(model_dir)] if model_dir else [])]
    return sorted(
        {
            path.parent.name
            for root in roots
            for path in root.glob(f"*/{DESCRIPTION}")
            # One that is being installed begins with a dot.
            if not path.parent.name.startswith(".")
        }
    )


def find(name: str, model_dir: str | None) -> ModelFile:
    """Find a model by name, the bundled ones first, and read its description.

    :raises ModelError: if there is none of that name, or its files are incomplete.
    """
    names = available(model_dir)
    if name not in names:
        raise ModelError(
            f"There is no model {name!r:.80}; there are: {', '.join(names)}."
        )
    folder = BUNDLED / name
    if not folder.is_dir():
        folder = Path(os.fspath(model_dir or "")) / name
    return read(folder)


def read(folder: Path, name: str | None = None) -> ModelFile:
    """Read the description and the labels of the model in *folder*.

    :param name: what to call it, if not as the folder.
    :raises ModelError: if they are incomplete; it names the key or the file.
    """
    name = name or folder.name
    try:
        return _read(folder, name)
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError, csv.Error) as error:
        raise _unreadable(name, error) from error
    except KeyError as error:
        raise ModelError(
            f"The {DESCRIPTION} of the model {name} has no {error}."
        ) from error
    except (AttributeError, TypeError, ValueError) as error:
        raise ModelError(
            f"The {DESCRIPTION} of the model {name} is wrong: {error}."
        ) from error


def _unreadable(name: str, error: Exception) -> ModelError:
    return ModelError(f"The model {name} cannot be read: {error}.")


def _read(folder: Path, name: str) -> ModelFile:
    with (folder / DESCRIPTION).open("rb") as file:
        description = tomllib.load(file)
    network = inside(folder, description["file"])
    labels = _read_labels(inside(folder, description["labels"]))
    return ModelFile(
        name=name,
        title=str(description.get("title", name)),
        version=str(description["version"]),
        network=network,
        format=_read_format(network),
        sha256=str(description["sha256"]),
        labels=labels,
        input=_read_input(description["input"]),
        output=_read_output(description.get("output", {}), len(labels)),
    )


def inside(folder: Path, name: str) -> Path:
    """Find a file of the model in *folder*; none is taken from elsewhere.

    :raises ValueError: if the name leads out of it.
    """
    if Path(name).name != name or name in ("", ".."):
        raise ValueError(f"{name!r:.80} is no file in the model's folder")
    return folder / name


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


def _read_input(table: Mapping[str, Any]) -> InputSpec:
    size, crop = table["size"], table.get("crop", 1.0)
    mean, scale = (_per_channel(key, table[key]) for key in ("mean", "scale"))
    _refuse_unknown("input", table, _SETTINGS_OF_INPUT)
    fitting = crop == NONE or 0 < crop <= 1
    if not (size >= 1 and fitting and min(scale) > 0):
        raise ValueError("size, crop or scale of the input is out of range")
    return InputSpec(
        name=_optional_text("input.name", table.get("name")),
        size=int(size),
        resize=_one_of("input.resize", table.get("resize", "bilinear"), RESIZES),
        crop=None if crop == NONE else float(crop),
        mean=mean,
        scale=scale,
        channels=_one_of("input.channels", table.get("channels", "rgb"), CHANNELS),
    )


def _read_output(table: Mapping[str, Any], labels: int) -> OutputSpec:
    _refuse_unknown("output", table, _SETTINGS_OF_OUTPUT)
    width = int(table.get("width", labels))
    if width < labels:
        raise ValueError(f"output.width is {width}, but there are {labels} labels")
    return OutputSpec(
        name=_optional_text("output.name", table.get("name")),
        activation=_one_of(
            "output.activation", table.get("activation", SOFTMAX), ACTIVATIONS
        ),
        width=width,
        ignore=frozenset(str(each) for each in table.get("ignore", ())),
    )


def _refuse_unknown(name: str, table: Mapping[str, Any], known: set[str]) -> None:
    for key in table:
        if key not in known:
            raise ValueError(
                f"{name}.{key} is not known; there are: {', '.join(sorted(known))}"
            )


def _optional_text(key: str, value: Any) -> str | None:
    if value is not None and not isinstance(value, str):
        raise ValueError(f"{key} must be a text")
    return value


def _one_of(key: str, value: Any, choices: tuple[str, ...]) -> str:
    if value not in choices:
        raise ValueError(f"{key} must be one of {', '.join(choices)}, not {value!r}")
    return str(value)


def _per_channel(key: str, value: Any) -> tuple[float, float, float]:
    values = value if isinstance(value, list) else [value] * 3
    if len(values) != 3:
        raise ValueError(f"input.{key} must be one number, or one for each channel")
    red, green, blue = (float(each) for each in values)
    return red, green, blue


def _read_labels(path: Path) -> tuple[tuple[str, str], ...]:
    with path.open(encoding="utf-8", newline="") as file:
        if path.suffix.lower() == ".csv":
            labels = tuple(_read_label(row, path) for row in csv.DictReader(file))
        else:
            labels = tuple(_read_lines(file, path))
    if not labels:
        raise csv.Error(f"{path.name} holds no label")
    return labels


def _read_label(row: dict[str, str], path: Path) -> tuple[str, str]:
    label_id, name = row.get("wordnet_id") or row.get("id"), row.get("name")
    if not label_id or not name:
        raise csv.Error(f"a row of {path.name} has no wordnet_id or no name")
    return label_id, name


def _read_lines(lines: Iterator[str], path: Path) -> Iterator[tuple[str, str]]:
    """Read a name a line, which is the id too."""
    for number, line in enumerate(lines, 1):
        name = line.strip()
        if not name:
            raise csv.Error(f"line {number} of {path.name} is empty")
        yield name, name
