"""``flask autotag tag``."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from flask_autotag import AssetRef, image_uploaded
from flask_autotag.jobs.bulk import tagging
from flask_autotag.tags import bulk_actions
from flask_autotag.tags.bulk_actions import BulkAction
from flask_autotag.tags.counters import check_all

from ..hosts import Host, jpeg, store_labels
from .terminals import refused, run, told

SHOP = ("--instance", "shop")


def photo(number: int) -> AssetRef:
    return AssetRef("photo", str(number))


def fill(host: Host, number: int = 3, instance: str = "shop") -> None:
    with host.app.app_context():
        for place in range(1, number + 1):
            store_labels(host, photo(place), [("dog", 0.9)], instance)


def tags(host: Host, number: int, instance: str = "shop") -> list[str]:
    with host.app.app_context():
        found = host.autotag.tags_for(photo(number), instance)
        database = host.autotag.state_of(host.app).database
        assert check_all(database).wrong == []
        return [tag.name for tag in found]


def actions(host: Host, instance: str = "shop") -> list[BulkAction]:
    with host.app.app_context():
        database = host.autotag.state_of(host.app).database
        return database.transact(
            lambda s: bulk_actions.latest(s.connection(), host.models, instance, 10)
        )


def test_images_of_a_file(any_host: Host, tmp_path: Path) -> None:
    fill(any_host)
    fill(any_host, 1, "news")
    file = tmp_path / "list.txt"
    file.write_text("photo 1\n\n  photo   3  \n", "utf-8")
    arguments = ("tag", "--add", "Rex", "--from", str(file), *SHOP)
    assert told(any_host, *arguments, "--dry-run") == ["2 images to decide on."]
    assert actions(any_host) == []
    assert told(any_host, *arguments) == ["2 images: 2 changed, 0 unchanged."]
    found = [tags(any_host, number) for number in (1, 2, 3)]
    assert found == [["Rex", "dog"], ["dog"], ["Rex", "dog"]]
    assert tags(any_host, 1, "news") == ["dog"]
    [action] = actions(any_host)
    assert (action.phase, action.images, action.changed) == ("done", 2, 2)
    assert (action.person, action.state) == ("command line", "applied")
    # To run it again is harmless.
    assert told(any_host, *arguments) == ["2 images: 0 changed, 2 unchanged."]


def test_images_of_standard_input(host: Host) -> None:
    fill(host)
    lines = "photo 1\nphoto 2\nphoto 1\n"
    arguments = ("tag", "--remove", "dog", "--from", "-", *SHOP)
    assert told(host, *arguments, input=lines) == ["2 images: 2 changed, 0 unchanged."]
    assert [tags(host, number) for number in (1, 2, 3)] == [[], [], ["dog"]]


def test_images_with_a_tag(any_host: Host) -> None:
    fill(any_host)
    fill(any_host, 1, "news")
    with any_host.app.app_context():
        any_host.autotag.reject_tag(photo(2), "dog", instance="shop")
    arguments = ("tag", "--add", "animal", "--where-tag", "DOG", *SHOP)
    assert told(any_host, *arguments, "--dry-run") == ["2 images to decide on."]
    assert told(any_host, *arguments) == ["2 images: 2 changed, 0 unchanged."]
    found = [tags(any_host, number) for number in (1, 2, 3)]
    assert found == [["animal", "dog"], [], ["animal", "dog"]]
    assert tags(any_host, 1, "news") == ["dog"]
    remove = ("tag", "--remove", "dog", "--where-tag", "dog", *SHOP)
    assert told(any_host, *remove) == ["2 images: 2 changed, 0 unchanged."]
    assert told(any_host, *remove) == ["0 images: 0 changed, 0 unchanged."]
    assert tags(any_host, 1) == ["animal"]


def test_images_that_wait_to_be_tagged(host: Host) -> None:
    image_uploaded.send(host.app, asset=photo(1), image=jpeg(), instance="shop")
    arguments = ("tag", "--add", "Rex", "--from", "-", *SHOP)
    told(host, *arguments, input="photo 1\n")
    assert tags(host, 1) == ["Rex"]


def test_ids_with_spaces_and_commas(host: Host) -> None:
    asset = AssetRef("photo#cover", "a, b/c d.jpg")
    with host.app.app_context():
        store_labels(host, asset, [("dog", 0.9)], "shop")
    arguments = ("tag", "--add", "Rex", "--from", "-", *SHOP)
    told(host, *arguments, input="photo#cover a, b/c d.jpg\r\n")
    with host.app.app_context():
        assert host.autotag.tags_for(asset)[0].name == "Rex"


@pytest.mark.parametrize("more", [(), ("--dry-run",)])
def test_what_is_left_out_is_told_and_the_rest_done(
    any_host: Host, more: tuple[str, ...]
) -> None:
    fill(any_host, 2)
    fill(any_host, 3, "news")
    lines = b"photo 1\nphoto\nphoto 3\nphoto \xff\nphoto 2\nphoto a\0b\nphoto " + (
        b"x" * 300
    )
    arguments = ("tag", "--add", "Rex", "--from", "-", *SHOP, *more)
    result = run(any_host, *arguments, input=lines)
    assert result.exit_code == 1
    done = "2 images to decide on." if more else "2 images: 2 changed, 0 unchanged."
    assert result.stdout.splitlines() == [done]
    assert result.stderr.splitlines() == [
        "5 images left out:",
        "    line 2: 'photo' is no type and id, such as 'photo 42'",
        "    line 4: 'photo \\udcff' is no type and id, such as 'photo 42'",
        "    line 6: 'photo a\\x00b' is no type and id, such as 'photo 42'",
        "    line 7: The id of an AssetRef is a text of 1 to 255 characters, not '"
        + "x" * 79
        + ".",
        "    photo 3: the instance shop does not know it",
    ]
    assert tags(any_host, 3) == []


def test_many_that_are_left_out_are_counted(host: Host) -> None:
    fill(host, 1)
    lines = "".join(f"photo {number}\n" for number in range(1, 31))
    result = run(host, "tag", "--add", "Rex", "--from", "-", *SHOP, input=lines)
    told_lines = result.stderr.splitlines()
    assert told_lines[0] == "29 images left out:"
    assert told_lines[-1] == "    … and 9 more"
    assert len(told_lines) == 22


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ((), "Error: Pass either --add or --remove."),
        (
            ("--add", "a", "--remove", "b", "--where-tag", "c"),
            "Error: Pass either --add or --remove.",
        ),
        (("--add", "a"), "Error: Pass either --from or --where-tag."),
        (
            ("--add", "a", "--where-tag", "b", "--from", "-"),
            "Error: Pass either --from or --where-tag.",
        ),
        (
            ("--add", "\u200b", "--where-tag", "b"),
            "Error: Invalid value for '--add': a tag needs a name that can be seen, not"
            " '\\u200b'.",
        ),
        (
            ("--add", "a", "--where-tag", ""),
            "Error: Invalid value for '--where-tag': a tag needs a name that can be"
            " seen, not ''.",
        ),
        (
            ("--add", "a", "--from", "/nowhere"),
            "Error: Invalid value for '--from': '/nowhere': No such file or directory",
        ),
    ],
)
def test_wrong_options(host: Host, arguments: tuple[str, ...], message: str) -> None:
    assert refused(host, "tag", *arguments) == message


def test_an_instance_that_is_not_listed(host: Host) -> None:
    host.autotag.instance_lister(lambda: ["shop"])
    assert refused(host, "tag", "--add", "a", "--where-tag", "b") == (
        "Error: There is no instance 'default'. Instances: shop."
    )


class Interrupted(Exception):
    """Ends a command as a kill does, between two transactions."""


def interrupt_after(
    monkeypatch: pytest.MonkeyPatch, portions: int, size: int = 2
) -> None:
    """Let the next command end after so many portions."""
    for module in (bulk_actions, tagging):
        monkeypatch.setattr(module, "BATCH_SIZE", size)
    next_portion, calls = tagging.next_portion, []

    def fail_late(*arguments: Any) -> Any:
        calls.append(1)
        if len(calls) == portions + 1:
            raise Interrupted
        return next_portion(*arguments)

    monkeypatch.setattr(tagging, "next_portion", fail_late)


@pytest.mark.parametrize("way", ["file", "tag"])
def test_an_interrupted_command_continues(
    any_host: Host, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, way: str
) -> None:
    fill(any_host, 5)
    file = tmp_path / "list.txt"
    file.write_text("".join(f"photo {n}\n" for n in range(1, 6)))
    select_ = ("--from", str(file)) if way == "file" else ("--where-tag", "dog")
    arguments = ("tag", "--remove", "dog", *select_, *SHOP)
    interrupt_after(monkeypatch, portions=1)
    assert isinstance(run(any_host, *arguments).exception, Interrupted)
    [half] = actions(any_host)
    assert (half.phase, half.images, half.changed) == ("doing", 5, 2)
    assert [tags(any_host, n) for n in (2, 3)] == [[], ["dog"]]
    # Somebody decides again in between; the command does not decide there twice.
    with any_host.app.app_context():
        any_host.autotag.add_tag(photo(1), "dog", instance="shop")
    result = run(any_host, *arguments)
    assert result.stdout.splitlines() == ["5 images: 5 changed, 0 unchanged."]
    assert result.stderr.splitlines() == ["Continuing: 2 images done before."]
    [whole] = actions(any_host)
    assert (whole.id, whole.phase, whole.changed) == (half.id, "done", 5)
    assert [tags(any_host, n) for n in (1, 2, 5)] == [["dog"], [], []]
    told(any_host, *arguments)
    assert len(actions(any_host)) == 2


def test_another_command_does_not_continue_it(
    host: Host, monkeypatch: pytest.MonkeyPatch
) -> None:
    fill(host, 5)
    interrupt_after(monkeypatch, portions=1)
    run(host, "tag", "--add", "Rex", "--where-tag", "dog", *SHOP)
    told(host, "tag", "--add", "Tom", "--where-tag", "dog", *SHOP)
    done, half = actions(host)
    assert (done.tag.name, done.phase, done.changed) == ("Tom", "done", 5)
    assert (half.tag.name, half.phase, half.changed) == ("Rex", "doing", 2)


def test_images_that_were_forgotten_in_between(
    host: Host, monkeypatch: pytest.MonkeyPatch
) -> None:
    fill(host, 5)
    interrupt_after(monkeypatch, portions=1)
    arguments = ("tag", "--add", "Rex", "--where-tag", "dog", *SHOP)
    run(host, *arguments)
    with host.app.app_context():
        host.autotag.forget(photo(5), instance="shop")
    told(host, *arguments)
    assert tags(host, 4) == ["Rex", "dog"]
    assert actions(host)[0].phase == "done"
