"""The part of the configuration that providers need."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Machine:
    """The part of the application's configuration that providers need.

    :param model_dir: ``AUTOTAG_MODEL_DIR``, a folder with further models.
    :param tensorflow_device: ``AUTOTAG_TENSORFLOW_DEVICE``, such as ``GPU:0``.
    """

    model_dir: str | None = None
    tensorflow_device: str | None = None
