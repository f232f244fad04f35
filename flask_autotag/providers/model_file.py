"""A model as a folder: ``model.toml``, the network, and its labels.

The bundled models and those of ``AUTOTAG_MODEL_DIR`` are described alike.
"""

from __future__ import annotations

import csv
import hashlib
import os
import tomllib
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ..errors import ModelError

BUNDLED = Path(__file__).parent.parent / "data" / "models"
DESCRIPTION = "model.toml"


@dataclass(frozen=True)
class ModelFile:
    """A model that was found and whose labels were read.

    :param name: the folder's name, as settings choose it.
    :param version: of the network; stored with every tag.
    :param network: the network's file.
    :param sha256: what the network's file must hash to.
    :param labels: ``(id, name)`` of each output, in order.
    :param size: pixels of the square input.
    :param crop: share of an image's shorter side that is looked at.
    :param mean: taken off each value of 0 to 255 …
    :param scale: … which is then divided by this.
    """

    name: str
    version: str
    network: Path
    sha256: str
    labels: tuple[tuple[str, str], ...]
    size: int
    crop: float
    mean: float
    scale: float

    def check(self) -> None:
        """Compare the network with its checksum.

        :raises ModelError: if they differ, or the network is not there.
        """
        try:
            network = self.network.read_bytes()
        except OSError as error:
            raise _unreadable(self.name, error) from error
        if hashlib.sha256(network).hexdigest() != self.sha256:
            raise ModelError(
                f"The file {self.network.name} of the model {self.name} is damaged:"
                " its SHA-256 is not the one in model.toml. Install it again."
            )


def available(model_dir: str | None) -> list[str]:
    """List the models that can be chosen, by name."""
    roots = [BUNDLED, *([Path(model_dir)] if model_dir else [])]
    return sorted(
        {path.parent.name for root in roots for path in root.glob(f"*/{DESCRIPTION}")}
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
    try:
        return _read(folder)
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError, csv.Error) as error:
        raise _unreadable(name, error) from error
    except KeyError as error:
        raise ModelError(
            f"The {DESCRIPTION} of the model {name} has no {error}."
        ) from error
    except (TypeError, ValueError) as error:
        raise ModelError(
            f"The {DESCRIPTION} of the model {name} is wrong: {error}."
        ) from error


def _unreadable(name: str, error: Exception) -> ModelError:
    return ModelError(f"The model {name} cannot be read: {error}.")


def _read(folder: Path) -> ModelFile:
    with (folder / DESCRIPTION).open("rb") as file:
        description = tomllib.load(file)
    pixels: dict[str, Any] = description["input"]
    if not (pixels["size"] >= 1 and 0 < pixels["crop"] <= 1 and pixels["scale"] > 0):
        raise ValueError("size, crop or scale of the input is out of range")
    return ModelFile(
        name=folder.name,
        version=str(description["version"]),
        network=folder / description["file"],
        sha256=str(description["sha256"]),
        labels=_read_labels(folder / description["labels"]),
        size=int(pixels["size"]),
        crop=float(pixels["crop"]),
        mean=float(pixels["mean"]),
        scale=float(pixels["scale"]),
    )


def _read_labels(path: Path) -> tuple[tuple[str, str], ...]:
    with path.open(encoding="utf-8", newline="") as file:
        return tuple(_read_label(row, path) for row in csv.DictReader(file))


def _read_label(row: dict[str, str], path: Path) -> tuple[str, str]:
    label_id, name = row.get("wordnet_id"), row.get("name")
    if not label_id or not name:
        raise csv.Error(f"a row of {path.name} has no wordnet_id or no name")
    return label_id, name
