"""Downloads one large file, whose SHA-256 is known before."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING

from ..errors import ModelError
from .model_file import sha256_of

if TYPE_CHECKING:
    from requests import Response

#: Seconds to connect, and between two packets.
_TIMEOUT = (10.0, 60.0)
_CHUNK = 2**18
#: Bytes of the largest file.
LARGEST = 2 * 2**30

#: Is told how many bytes are there, and of how many if that is known.
Progress = Callable[[int, int | None], None]


def download(url: str, target: Path, sha256: str, progress: Progress) -> None:
    """Download *url* to *target*, going on where an earlier try was cut off.

    What is there of it is kept beside *target*, as ``….part``, until it is whole.

    :param sha256: of the whole file.
    :raises ModelError: if it cannot be had, or is another file than expected.
    """
    import requests

    part = target.with_name(f"{target.name}.part")
    try:
        _fetch(url, part, progress)
    except (requests.RequestException, OSError) as error:
        raise ModelError(
            f"{url} cannot be downloaded ({type(error).__name__}). Run the command"
            " again to go on, or get the file elsewhere and give it with --from."
        ) from error
    if sha256_of(part) != sha256:
        part.unlink()
        raise ModelError(
            f"What {url} gave is not the file that was expected: its SHA-256 differs."
            " It was deleted."
        )
    part.replace(target)


def _fetch(url: str, part: Path, progress: Progress) -> None:
    import requests

    there = part.stat().st_size if part.exists() else 0
    headers = {"Range": f"bytes={there}-"} if there else {}
    with requests.get(url, headers=headers, stream=True, timeout=_TIMEOUT) as response:
        if response.status_code == requests.codes.requested_range_not_satisfiable:
            # Nothing is missing any more; or it was another file.
            return
        response.raise_for_status()
        if response.status_code != requests.codes.partial_content:
            there = 0
        with part.open("ab" if there else "wb") as file:
            for done in _write(response, file.write, there):
                progress(done, _whole(response, there))


def _write(
    response: Response, write: Callable[[bytes], object], done: int
) -> Iterator[int]:
    for chunk in response.iter_content(_CHUNK):
        write(chunk)
        done += len(chunk)
        if done > LARGEST:
            raise OSError("the file is too large")
        yield done


def _whole(response: Response, there: int) -> int | None:
    length = response.headers.get("Content-Length", "")
    return there + int(length) if length.isdigit() else None
