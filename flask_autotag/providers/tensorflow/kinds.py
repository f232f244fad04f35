"""The two kinds of models: those that classify by themselves, and detectors."""

from __future__ import annotations

from ...errors import ModelError
from ...settings.checks import CheckError
from .description_values import NONE
from .detector_file import is_detector
from .model_file import ModelFile, available, describe, find, folder_of

#: The name that stands for no detector.
NO_DETECTOR = NONE


def classifiers(model_dir: str | None) -> list[str]:
    """Return the names of the available models that are no detectors, sorted.

    They include models whose description cannot be read: choosing one tells why.
    """
    return [name for name in available(model_dir) if not _is_detector(name, model_dir)]


def detectors(model_dir: str | None) -> list[str]:
    """Return :data:`NO_DETECTOR`, and the names of the available detectors, sorted."""
    found = [name for name in available(model_dir) if _is_detector(name, model_dir)]
    return [NO_DETECTOR, *found]


def refuse_as_classifier(name: str, model_dir: str | None) -> CheckError | None:
    """Return why a model cannot be chosen as the model, if it is a detector."""
    is_one = name != NO_DETECTOR and name in detectors(model_dir)
    return _no_classifier(name) if is_one else None


def _no_classifier(name: str) -> CheckError:
    return CheckError(
        "must be a model that classifies by itself, and %(name)s is a detector, which"
        " runs beside another model: set AUTOTAG_TENSORFLOW_DETECTOR, or the detector"
        " on the settings page, to %(name)s",
        name=name,
    )


def refuse_as_detector(name: str, model_dir: str | None) -> CheckError | None:
    """Return why a model cannot be chosen as the detector, if it is none."""
    return _no_detector(name) if name in classifiers(model_dir) else None


def _no_detector(name: str) -> CheckError:
    return CheckError(
        "must be none or a detector, and %(name)s is no detector, because its"
        " model.toml has no table [detector]: set AUTOTAG_TENSORFLOW_MODEL, or the"
        " model on the settings page, to %(name)s",
        name=name,
    )


def _is_detector(name: str, model_dir: str | None) -> bool:
    try:
        return is_detector(describe(folder_of(name, model_dir), name).values)
    except ModelError:
        return False


def find_classifier(name: str, model_dir: str | None) -> ModelFile:
    """Read a model that classifies images by itself.

    :raises ModelError: as :func:`find`, or if it is a detector.
    """
    model = find(name, model_dir)
    if model.detector is not None:
        raise ModelError(f"AUTOTAG_TENSORFLOW_MODEL {_no_classifier(name)}.")
    return model


def find_detector(name: str, model_dir: str | None) -> ModelFile | None:
    """Read a detector.

    :param name: ``none`` for no detector.
    :return: ``None`` for no detector.
    :raises ModelError: as :func:`find`, or if it is no detector.
    """
    if name == NO_DETECTOR:
        return None
    model = find(name, model_dir)
    if model.detector is None:
        raise ModelError(f"AUTOTAG_TENSORFLOW_DETECTOR {_no_detector(name)}.")
    return model
