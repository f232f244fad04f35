"""The statements of a page or a form do not grow with the rows that it is about."""

from __future__ import annotations

import io
import shutil
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from datetime import datetime
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import event, insert
from sqlalchemy.orm import Session
from werkzeug.datastructures import FileStorage

from flask_autotag import AssetRef
from flask_autotag.host.assets import SYSTEM
from flask_autotag.settings.stored_words import change_words
from flask_autotag.settings.tag_names import tag_name

from .conftest import SHOP_URL, SYSTEM_URL, Office, Page, Visitor, open_office

#: Rows of each kind. From 5 rejections of a tag on, a page proposes a threshold.
FEW, MANY = 5, 15
REVIEW, ACTIVITY, TAGS, TAG = (
    "/autotag/review/shop",
    "/autotag/activity/shop",
    "/autotag/tags/shop",
    "/autotag/tag/shop?key=dog",
)

#: Stands for a page whose form is filled in by the test alone.
NO_FORM = Page(200, "", None)

PAGES = (
    "/autotag/",
    SYSTEM_URL,
    "/autotag/system/tags",
    "/autotag/system/tag?key=target",
    "/autotag/system/words",
    "/autotag/system/activity",
    "/autotag/system/history",
    SHOP_URL,
    TAGS,
    f"{TAGS}?sort=use",
    f"{TAGS}?show=decided",
    f"{TAGS}?show=unused",
    TAG,
    "/autotag/tag/shop?key=target",
    "/autotag/tag/shop?key=rejected",
    "/autotag/words/shop",
    ACTIVITY,
    "/autotag/history/shop",
    REVIEW,
    f"{REVIEW}?tag=wolf",
    "/autotag/images/shop",
    "/autotag/explain/shop?type=photo&id=1",
    "/autotag/complete/shop?q=s",
)


def store_images(office: Office, number: int) -> None:
    """Store images of the shop, each with a tag, a suggestion and failed jobs."""
    for each in range(1, number + 1):
        office.store(str(each), ("dog", 0.9), ("wolf", 0.4))
        # Reasons are found one by one: there are few, however many jobs failed.
        office.fail(asset_id=str(each), code=f"reason_{each % 3}")
        office.fail(asset_id=str(each), state="quarantined")
    office.store("fox", ("fox", 0.9))


def store_words(office: Office, number: int) -> None:
    """Decide on words, and store an image with many tags of each kind."""
    labels = [(f"sure {each}", 0.9) for each in range(number)]
    labels += [(f"suggested {each}", 0.4) for each in range(number)]
    office.store("1", ("dog", 0.9), ("wolf", 0.4), *labels)
    words = {tag_name(f"old {each}"): {"becomes": "target"} for each in range(number)}
    models = office.desk.state.database.models

    def decide(session: Session) -> None:
        for instance in (SYSTEM, "shop"):
            change_words(session, models, instance, words, "ada")

    reject = office.host.autotag.reject_tag
    with office.host.app.app_context():
        office.desk.state.database.transact(decide)
        for each in range(number):
            office.store(f"rejected {each}", ("rejected", 0.7))
            asset = AssetRef("photo", f"rejected {each}")
            reject(asset, "rejected", instance="shop")
            reject(AssetRef("photo", "1"), f"sure {each}", instance="shop")


def store_sites(office: Office, number: int) -> None:
    """Store instances with settings, paused providers and failed jobs."""
    models = office.desk.state.database.models
    threshold = ("tensorflow", "confidence_threshold")
    for each, site in enumerate(sites(number)):
        office.store("1", ("dog", 0.9), instance=site)
        office.fail(site)
        paused = {"paused": "No key.", "paused_at": datetime(2026, 11, 1)}
        office.desk.execute(
            insert(models.provider_state.__table__).values(
                instance=site, provider="google", failures=0, **paused
            ),
            insert(models.usage.__table__).values(
                instance=site, provider="google", month="2026-11", calls=1
            ),
        )
        for instance in (site, "shop", SYSTEM):
            office.desk.save({threshold: f"0.5{each:02}"}, instance)


def sites(number: int) -> dict[str, str]:
    return {f"site {each}": f"Site {each}" for each in range(number)}


@contextmanager
def open_filled(path: Path, number: int) -> Iterator[Office]:
    """Run a host on a database that has *number* rows of each kind."""
    config = {"AUTOTAG_SUGGESTION_THRESHOLD": 0.2}
    with open_office(f"sqlite:///{path}", **config) as office:
        office.host.autotag.image_url(lambda asset: f"/small/{asset.id}")
        office.host.autotag.instance_lister(
            lambda: {"shop": "The shop", **sites(number)}
        )
        yield office


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> dict[int, Path]:
    """Databases with :data:`FEW` and :data:`MANY` rows of each kind."""
    made = {}
    for number in (FEW, MANY):
        made[number] = tmp_path_factory.mktemp("filled") / "host.sqlite"
        with open_filled(made[number], number) as office:
            store_images(office, number)
            store_words(office, number)
            store_sites(office, number)
    return made


def count(office: Office, act: Callable[[], None]) -> int:
    """Count the statements that *act* executes."""
    statements: list[str] = []

    def note(*arguments: Any) -> None:
        statements.append(arguments[2])

    with office.host.app.app_context():
        engine = office.host.db.engine
    event.listen(engine, "before_cursor_execute", note)
    try:
        act()
    finally:
        event.remove(engine, "before_cursor_execute", note)
    assert statements
    return len(statements)


@contextmanager
def open_copies(files: dict[int, Path], folder: Path) -> Iterator[dict[int, Office]]:
    """Run a host on a copy of each file."""
    with ExitStack() as stack:
        hosts = {}
        for number, file in files.items():
            copy = shutil.copyfile(file, folder / f"{number}.sqlite")
            hosts[number] = stack.enter_context(open_filled(copy, number))
        yield hosts


@pytest.fixture(scope="module")
def unchanged(
    files: dict[int, Path], tmp_path_factory: pytest.TempPathFactory
) -> Iterator[dict[int, Office]]:
    """The hosts of tests that change nothing."""
    with open_copies(files, tmp_path_factory.mktemp("unchanged")) as hosts:
        yield hosts


@pytest.mark.parametrize("path", PAGES)
def test_opening_a_page(unchanged: dict[int, Office], path: str) -> None:
    def open_page(office: Office) -> None:
        assert office.visitor("ada").get(path).status == 200

    few, many = (count(each, partial(open_page, each)) for each in unchanged.values())
    assert few == many


def decide(visitor: Visitor, command: str) -> Page:
    """Decide about all images of a page of review."""
    page = visitor.get(f"{REVIEW}?tag=wolf")
    names = {str(one["name"]) for one in page.soup.select("[data-card] [name]")}
    assert len(names) in (FEW, MANY)
    choices = dict.fromkeys(names, "accept") if command == "save" else {}
    return visitor.send(REVIEW, page, command=command, **choices)


def decide_and_undo(visitor: Visitor) -> Page:
    page = visitor.get(decide(visitor, "accept_rest").location or "")
    fields = page.soup.select(".at-undo input")
    marks = {str(field["name"]): str(field["value"]) for field in fields}
    return visitor.send(REVIEW, NO_FORM, command="undo", **marks)


def change_jobs(visitor: Visitor, command: str, state: str) -> Page:
    form = {"command": command, "state": state, "seen": "9999999999"}
    return visitor.send(ACTIVITY, NO_FORM, **form)


def import_words(visitor: Visitor, button: str, number: int) -> Page:
    lines = ["word,becomes,blocked,listed,threshold"]
    lines += [f"new {each},,yes,," for each in range(number)]
    body = io.BytesIO("\n".join(lines).encode())
    file: Any = FileStorage(body, "words.csv")
    return visitor.send(TAGS, **{button: "import"}, file=file)


def change_threshold(visitor: Visitor, path: str, **form: str) -> Page:
    form["setting.tensorflow.confidence_threshold"] = "0.3"
    return visitor.send(path, **form)


#: Each with the number of rows and the answer's status.
ACTIONS: Mapping[str, tuple[Callable[[Visitor, int], Page], int]] = {
    "accept": (lambda ada, _: decide(ada, "save"), 303),
    "accept the rest": (lambda ada, _: decide(ada, "accept_rest"), 303),
    "reject the rest": (lambda ada, _: decide(ada, "reject_rest"), 303),
    "undo": (lambda ada, _: decide_and_undo(ada), 303),
    "retry": (lambda ada, _: change_jobs(ada, "retry", "failed"), 303),
    "dismiss": (lambda ada, _: change_jobs(ada, "dismiss", "quarantined"), 303),
    "preview an import": (lambda ada, rows: import_words(ada, "preview", rows), 200),
    "import": (lambda ada, rows: import_words(ada, "save", rows), 303),
    "preview a name": (lambda ada, _: ada.send(TAG, preview="rename", name="cat"), 200),
    "rename": (lambda ada, _: ada.send(TAG, save="rename", name="cat"), 303),
    "preview a merge": (lambda ada, _: ada.send(TAG, preview="merge", into="fox"), 200),
    "merge": (lambda ada, _: ada.send(TAG, save="merge", into="fox"), 303),
    "delete": (lambda ada, _: ada.send(TAG, save="delete", sure="1"), 303),
    "preview a threshold": (
        lambda ada, _: change_threshold(ada, SHOP_URL, command="preview"),
        200,
    ),
    "apply a threshold": (
        lambda ada, _: change_threshold(ada, SHOP_URL, command="save", apply="1"),
        303,
    ),
    "apply a threshold to all": (
        lambda ada, _: change_threshold(ada, SYSTEM_URL, command="save", apply="1"),
        303,
    ),
}


@pytest.mark.parametrize("name", ACTIONS)
def test_sending_a_form(files: dict[int, Path], tmp_path: Path, name: str) -> None:
    act, status = ACTIONS[name]

    def send(office: Office, number: int) -> None:
        page = act(office.visitor("ada"), number)
        assert page.status == status, page.html

    with open_copies(files, tmp_path) as hosts:
        few, many = (
            count(office, partial(send, office, number))
            for number, office in hosts.items()
        )
    assert few == many
