"""Downloads one large file with a known SHA-256."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING

from ...errors import ModelError
from .model_file import sha256_of

if TYPE_CHECKING:
    from requests import Response

#: Seconds to connect, and between two packets.
_TIMEOUT = (10.0, 60.0)
_CHUNK = 2**18
#: Bytes of the largest file.
MAX_FILE_SIZE = 2 * 2**30

#: Called with the bytes received so far, and the total if it is known.
ReportProgress = Callable[[int, int | None], None]


def download(url: str, target: Path, sha256: str, progress: ReportProgress) -> None:
    """Download *url* to *target*, and resume an interrupted download.

    An incomplete file is kept beside *target*, with the suffix ``.part``.

    :param sha256: the expected SHA-256 of the complete file.
    :param progress: called after each chunk.
    :raises ModelError: if the download fails, or the file is not the expected one; then
        it is deleted.
    """
    import requests

    part = target.with_name(f"{target.name}.part")
    try:
        _fetch(url, part, progress)
    except (requests.RequestException, OSError) as error:
        raise ModelError(
            f"{url} cannot be downloaded ({type(error).__name__}). Run the command"
            " again to resume, or get the file in another way and pass it with --from."
        ) from error
    if sha256_of(part) != sha256:
        part.unlink()
        raise ModelError(
            f"{url} returned another file than expected: its SHA-256 differs. The file"
            " was deleted."
        )
    part.replace(target)


def _fetch(url: str, part: Path, progress: ReportProgress) -> None:
    import requests

    received = part.stat().st_size if part.exists() else 0
    headers = {"Range": f"bytes={received}-"} if received else {}
    with requests.get(url, headers=headers, stream=True, timeout=_TIMEOUT) as response:
        if response.status_code == requests.codes.requested_range_not_satisfiable:
            # The file is complete, or not the expected one; the SHA-256 decides.
            return
        response.raise_for_status()
        if response.status_code != requests.codes.partial_content:
            received = 0
        total = _total(response, received)
        with part.open("ab" if received else "wb") as file:
            for done in _write(response, file.write, received):
                progress(done, total)


def _write(
    response: Response, write: Callable[[bytes], object], done: int
) -> Iterator[int]:
    for chunk in response.iter_content(_CHUNK):
        write(chunk)
        done += len(chunk)
        if done > MAX_FILE_SIZE:
            raise OSError("the file is too large")
        yield done


def _total(response: Response, received: int) -> int | None:
    length = response.headers.get("Content-Length", "")
    return received + int(length) if length.isdigit() else None
