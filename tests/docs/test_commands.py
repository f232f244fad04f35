"""The commands and options in the documentation exist."""

from __future__ import annotations

import re
import shlex
import shutil
from collections.abc import Iterator
from pathlib import Path

import click
import pytest

from flask_autotag import AssetRef
from flask_autotag.cli.group import autotag_cli

from ..hosts import ESPRESSO
from .documents import TEXTS
from .stages import tagging_stage

#: A line of a block, or text between two pairs of backquotes.
COMMAND = re.compile(r"(?:^ +(?:\$ )?|``)flask ([^`\n]*\bautotag [^`\n]+)", re.M)
OPTION = re.compile(r"``(--[a-z][a-z-]*)[^`]*``")
#: Options of other programs, by the program.
OTHERS = {"gunicorn": {"--preload"}}


def read_commands() -> Iterator[tuple[str, str]]:
    for name, text in TEXTS.items():
        for match in COMMAND.finditer(text):
            yield name, match[1]


def commands_of(command: click.Command) -> Iterator[click.Command]:
    """Yield *command* and all commands below it."""
    yield command
    if isinstance(command, click.Group):
        # The commands are imported when they are listed.
        context = click.Context(command)
        for name in command.list_commands(context):
            below = command.get_command(context, name)
            assert below is not None
            yield from commands_of(below)


def arguments_of(line: str) -> list[str]:
    """Return the words after ``flask autotag``, without redirection and comments."""
    words = shlex.split(line.partition(" > ")[0], comments=True)
    return words[words.index("autotag") + 1 :]


def parse(arguments: list[str]) -> None:
    """Find the command, and check its options and its number of arguments."""
    command: click.Command = autotag_cli
    context = click.Context(command)
    while isinstance(command, click.Group):
        assert arguments, f"{command.name} takes a command"
        found = command.get_command(context, arguments[0])
        assert found is not None, f"no command {arguments[0]!r}"
        command, arguments = found, arguments[1:]
        context = click.Context(command, parent=context)
    values, left, _ = command.make_parser(context).parse_args(arguments)
    assert left == []
    given = {name for name, value in values.items() if value is not None}
    if len(arguments) > 0:
        required = {p.name for p in command.params if p.required}
        assert required <= given


@pytest.mark.parametrize(("name", "line"), sorted(set(read_commands())))
def test_a_command_exists(name: str, line: str) -> None:
    parse(arguments_of(line))


@pytest.mark.parametrize(
    ("name", "option"),
    sorted(
        {
            (name, match)
            for name, text in TEXTS.items()
            for match in OPTION.findall(text)
        }
    ),
)
def test_an_option_exists(name: str, option: str) -> None:
    known = {
        opt
        for command in commands_of(autotag_cli)
        for parameter in command.params
        for opt in (*parameter.opts, *parameter.secondary_opts)
    }
    assert option in known.union(*OTHERS.values())


def test_there_are_commands() -> None:
    assert len(list(read_commands())) > 30
    with pytest.raises(AssertionError):
        parse(["tag-everything"])
    with pytest.raises(click.UsageError):
        parse(["purge", "--weeks", "3"])


#: Commands that are not run, with the reason.
NOT_RUN = {
    "models add": "needs a download, or a model of the user",
    "models remove": "needs a model that was added",
    "worker": "runs until it is stopped",
    "downgrade-db base": "asks first",
    "downgrade-db REVISION": "asks first",
    "downgrade-db 0001": "asks first",
    "untag": "asks first",
    "commit": "asks first",
    "forget-orphans": "asks first",
    "explain": "names no image",
}


def is_run(command: str) -> bool:
    """Return whether the command is not in NOT_RUN, ignoring options."""
    words = command.partition(" --")[0]
    return words not in NOT_RUN and " ".join(words.split()[:2]) not in NOT_RUN


@pytest.mark.parametrize("name", sorted({name for name, _ in read_commands()}))
def test_the_commands_of(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """They run, one after the other, in a CMS with a watched photo."""
    monkeypatch.chdir(tmp_path)
    for file in ("a.jpg", "b.jpg", "photo.jpg"):
        shutil.copy(ESPRESSO, file)
    Path("images.txt").write_text("photo 42\nphoto 43\n")
    with tagging_stage(tmp_path) as names:
        app, autotag = names["app"], names["autotag"]
        autotag.watch(names["Photo"], image=lambda photo: photo.path)
        for number in ("42", "43"):
            autotag.add_tag(AssetRef("photo", number), "Rex")
        for document, line in read_commands():
            arguments = arguments_of(line)
            if document == name and is_run(" ".join(arguments)):
                done = app.test_cli_runner().invoke(
                    args=["autotag", *arguments], input="a-key\n"
                )
                assert done.exit_code == 0, f"{line}: {done.output}"
