"""Classifies in one process of its own, so that TensorFlow is imported once."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import Executor, ProcessPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from multiprocessing import get_context
from pathlib import Path

from flask_autotag.classification.decode import decode
from flask_autotag.errors import ModelError
from flask_autotag.providers.base import Label
from flask_autotag.providers.tensorflow.kinds import NO_DETECTOR
from flask_autotag.providers.tensorflow.provider import TensorFlowProvider


@dataclass(frozen=True)
class OneProcess:
    """Classifies with any model, in the same process."""

    executor: Executor

    def classify(
        self,
        root: Path,
        model: str,
        data: bytes,
        device: str | None = None,
        detector: str = NO_DETECTOR,
    ) -> list[Label]:
        """Classify an image with a model of the folder *root*.

        :param detector: another model there, which runs beside it.

        :raises ModelError: with the message of the process's error.
        """
        arguments = (root, model, data, device, detector)
        answer = self.executor.submit(_classify, *arguments).result()
        if isinstance(answer, str):
            raise ModelError(answer)
        return answer


@contextmanager
def one_process() -> Iterator[OneProcess]:
    with ProcessPoolExecutor(1, get_context("spawn")) as executor:
        yield OneProcess(executor)


def _classify(
    root: Path, model: str, data: bytes, device: str | None, detector: str
) -> list[Label] | str:
    try:
        provider = TensorFlowProvider(
            model, str(root), device=device, detector=detector
        )
        [labels] = provider.classify([decode(data, provider.side)])
    except ModelError as error:
        return str(error)
    return labels
