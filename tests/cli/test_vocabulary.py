"""``flask autotag vocabulary …``."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from flask_autotag import AssetRef
from flask_autotag.jobs.worker import Worker

from ..hosts import Host, make_host, store_labels
from .terminals import refused, run, told

CSV = """\
word,becomes,blocked,listed,threshold
cellphone,mobile phone,,,
screen,,yes,,
wolf,,,,0.9
"""
#: The same words as exported.
EXPORTED = """\
"word","becomes","blocked","listed","threshold"
"cellphone","mobile phone","","",""
"screen","","yes","",""
"wolf","","","","0.9"
"""


def words(host: Host, *arguments: str) -> str:
    result = run(host, "vocabulary", "export", *arguments)
    assert result.exit_code == 0
    return result.stdout


def write(folder: Path, text: str | bytes) -> str:
    file = folder / "words.csv"
    file.write_bytes(text.encode() if isinstance(text, str) else text)
    return str(file)


def test_import_and_export(any_host: Host, tmp_path: Path) -> None:
    file = write(tmp_path, CSV)
    assert told(any_host, "vocabulary", "import", file, "--instance", "shop") == [
        "3 words imported for the instance shop."
    ]
    assert words(any_host, "--instance", "shop") == EXPORTED
    assert words(any_host) == EXPORTED.splitlines()[0] + "\n"
    copy = tmp_path / "copy.csv"
    assert words(any_host, str(copy), "--instance", "shop") == ""
    assert copy.read_text(encoding="utf-8") == EXPORTED


def test_from_standard_input_for_the_system(host: Host) -> None:
    assert told(host, "vocabulary", "import", input=CSV) == [
        "3 words imported for the system."
    ]
    assert words(host) == EXPORTED


def test_a_file_as_spreadsheets_save_it(host: Host, tmp_path: Path) -> None:
    """It has a byte order mark and carriage returns."""
    file = write(tmp_path, "\ufeffword,becomes\r\nhäuser,Haus\r\n")
    told(host, "vocabulary", "import", file)
    assert '"häuser","Haus","","",""' in words(host).splitlines()


def test_existing_images_follow_at_once(any_host: Host) -> None:
    asset = AssetRef("photo", "1")
    with any_host.app.app_context():
        store_labels(
            any_host,
            asset,
            [("cellphone", 0.9), ("screen", 0.8), ("wolf", 0.7)],
            "shop",
        )
    told(any_host, "vocabulary", "import", input=CSV)
    Worker(any_host.app, any_host.autotag.state_of(any_host.app)).drain()
    with any_host.app.app_context():
        tags = [tag.name for tag in any_host.autotag.tags_for(asset)]
    assert tags == ["mobile phone"]


def test_a_dry_run_saves_nothing(host: Host) -> None:
    with host.app.app_context():
        store_labels(host, AssetRef("photo", "1"), [("screen", 0.9)])
    assert told(host, "vocabulary", "import", "--dry-run", input=CSV) == [
        "3 words could be imported for the system."
    ]
    assert len(words(host).splitlines()) == 1
    assert host.jobs() == []


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (
            CSV + "fox,,,,high\n",
            "Error: Line 5 has an invalid value for 'threshold': must be a number",
        ),
        (CSV + "screen,,,,\n", "Error: Line 5 repeats the word screen."),
        (
            "name\n",
            "Error: Line 1 has the unknown column 'name'; the columns are: word,",
        ),
        (
            "word,becomes\na,b\nb,a\n",
            "Error: These words would become each other: a becomes b becomes a.",
        ),
        (b"word\nh\xe4user\n", "Error: The file is not UTF-8 text."),
    ],
)
def test_a_file_that_is_wrong_saves_nothing(
    host: Host, tmp_path: Path, text: str | bytes, message: str
) -> None:
    for more in ([], ["--dry-run"]):
        told_so = refused(host, "vocabulary", "import", write(tmp_path, text), *more)
        assert told_so.startswith(message)
    assert len(words(host).splitlines()) == 1
    assert host.jobs() == []


def test_an_instance_that_is_not_there(host: Host) -> None:
    host.autotag.instance_lister(lambda: ["shop"])
    for command in ("export", "import"):
        assert refused(host, "vocabulary", command, "--instance", "nowhere") == (
            "Error: There is no instance 'nowhere'. Instances: shop."
        )


def test_a_file_beyond_the_limit_is_refused_whole(
    sqlite_url: str, tmp_path: Path
) -> None:
    with make_host(sqlite_url, AUTOTAG_MAX_WORDS=2) as host:
        assert refused(host, "vocabulary", "import", write(tmp_path, CSV)) == (
            "Error: The vocabulary would have 3 words; AUTOTAG_MAX_WORDS allows 2."
        )
        assert words(host) == '"word","becomes","blocked","listed","threshold"\n'


def test_imports_at_once_do_not_exceed_the_limit(
    database_url: str, tmp_path: Path
) -> None:
    header = "word,blocked\n"
    with make_host(database_url, AUTOTAG_MAX_WORDS=10) as host:

        def take(number: int) -> None:
            lines = [f"word {number} {each},yes" for each in range(4)]
            result = run(host, "vocabulary", "import", input=header + "\n".join(lines))
            assert result.exit_code in (0, 1)

        with ThreadPoolExecutor(6) as executor:
            list(executor.map(take, range(6)))
        assert len(words(host).splitlines()) == 1 + 8
