"""``flask autotag tag``."""

from __future__ import annotations

from collections.abc import Iterator
from typing import IO

import click
from flask.cli import with_appcontext

from ..errors import AssetError
from ..host.assets import DEFAULT_INSTANCE, UNFIT, AssetRef
from ..jobs.bulk import tagging
from ..jobs.bulk.skipped import Skipped
from ..jobs.bulk.tagging import Tagging
from ..runtime.state import State
from ..settings.tag_names import TagName, tag_name
from ..tags.bulk_actions import BulkAction
from ..tags.queries import image_list
from ..tags.queries.image_list import ImageFilter
from ..tags.rules import APPLIED, REJECTED
from .options import (
    ACTOR,
    check_instance,
    check_text,
    counted,
    current,
    echo_skipped,
    long_running,
)
from .progress import progress


def _read_tag(
    context: click.Context, option: click.Parameter, value: str | None
) -> TagName | None:
    check_text(context, option, value)
    try:
        return None if value is None else tag_name(value)
    except ValueError as error:
        raise click.BadParameter(f"{error}.") from None


@click.command("tag")
@with_appcontext
@click.option("--add", metavar="TAG", callback=_read_tag, help="Add this tag.")
@click.option("--remove", metavar="TAG", callback=_read_tag, help="Remove this tag.")
@click.option(
    "--from",
    "file",
    type=click.File(encoding="utf-8-sig", errors="surrogateescape"),
    help="The images: a type and an id in each line, such as 'photo 42'. - is standard"
    " input.",
)
@click.option(
    "--where-tag",
    metavar="TAG",
    callback=_read_tag,
    help="The images that have this tag.",
)
@click.option(
    "--instance",
    callback=check_text,
    default=DEFAULT_INSTANCE,
    show_default=True,
    help="The instance of the images.",
)
@click.option("--dry-run", is_flag=True, help="Only count the images.")
def tag_images(
    add: TagName | None,
    remove: TagName | None,
    file: IO[str] | None,
    where_tag: TagName | None,
    instance: str,
    dry_run: bool,
) -> None:
    """Add a tag to many images, or remove it from them, as a person does.

    No provider changes these decisions. They are one action in the history of the
    instance, where a person can undo them. To continue after an interruption, run the
    command again.

    Images that the instance does not know, and lines that name none, are left out and
    listed. The exit status is 1 then.
    """
    name, decision = _decision(add, remove)
    skipped = Skipped()
    selected = _selected(file, where_tag, skipped)
    _, state = current()
    check_instance(state, instance)
    with long_running():
        if dry_run:
            number = selected.count(state, instance)
            click.echo(f"{counted(number, 'image')} to decide on.")
        else:
            decided = Tagging(instance, name, decision, selected.source, ACTOR)
            _decide(state, selected.begin(state, decided))
    echo_skipped(skipped, "left out")
    if skipped.count:
        raise click.exceptions.Exit(1)


def _decision(add: TagName | None, remove: TagName | None) -> tuple[TagName, str]:
    """Return the tag and the state that it gets."""
    if add is not None and remove is None:
        return add, APPLIED
    if remove is not None and add is None:
        return remove, REJECTED
    raise click.UsageError("Pass either --add or --remove.")


def _selected(
    file: IO[str] | None, where_tag: TagName | None, skipped: Skipped
) -> _Listed | _Tagged:
    """Return the images that the options select."""
    if file is not None and where_tag is None:
        return _Listed(file, skipped)
    if where_tag is not None and file is None:
        return _Tagged(where_tag)
    raise click.UsageError("Pass either --from or --where-tag.")


class _Listed:
    """The images that the lines of a file name."""

    def __init__(self, file: IO[str], skipped: Skipped) -> None:
        self._file = file
        self._skipped = skipped
        self.source = f"from {getattr(file, 'name', '-')}"

    def count(self, state: State, instance: str) -> int:
        return tagging.count_listed(state, instance, self._assets(), self._skipped)

    def begin(self, state: State, decided: Tagging) -> BulkAction:
        return tagging.begin_listed(state, decided, self._assets(), self._skipped)

    def _assets(self) -> Iterator[AssetRef]:
        """Read the assets, and note the lines that name none."""
        for number, line in enumerate(self._file, 1):
            if not line.strip():
                continue
            try:
                yield _read_line(line)
            except AssetError as error:
                self._skipped.note(f"line {number}: {error}")


class _Tagged:
    """The images that have a tag."""

    def __init__(self, name: TagName) -> None:
        self._wanted = ImageFilter(tag=name)
        self.source = f"where {name.key}"

    def count(self, state: State, instance: str) -> int:
        models = state.database.models
        with state.database.reading() as session:
            return image_list.count(
                session.connection(), models, instance, self._wanted
            )

    def begin(self, state: State, decided: Tagging) -> BulkAction:
        return tagging.begin_matching(state, decided, self._wanted)


def _read_line(line: str) -> AssetRef:
    """Return the asset of a line such as "photo 42"; an id may contain spaces.

    :raises AssetError: if the line names none.
    """
    asset_type, _, asset_id = line.strip().partition(" ")
    if not asset_id or UNFIT.search(line):
        raise AssetError(f"{line.strip()!r:.80} is no type and id, such as 'photo 42'")
    return AssetRef(asset_type, asset_id.strip())


def _decide(state: State, action: BulkAction) -> None:
    """Work through an action, and print what it has changed."""
    waiting = tagging.count_waiting(state, action)
    if waiting < action.images:
        before = action.images - waiting
        click.echo(f"Continuing: {counted(before, 'image')} done before.", err=True)
    label = "Adding the tag" if action.state == APPLIED else "Removing the tag"
    with progress(label, waiting) as advance:
        done = tagging.finish(state, action, advance)
    click.echo(
        f"{counted(done.images, 'image')}: {done.changed:,} changed,"
        f" {done.images - done.changed:,} unchanged."
    )
