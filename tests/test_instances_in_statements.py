"""No statement finds an image by its name in all instances, or uses another's row.

The test executes every function for the instance ``shop``, while ``news`` has images
of the same names, and analyses all statements.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from bs4 import BeautifulSoup
from sqlalchemy import (
    String,
    select,
    update,
)
from sqlalchemy.orm import Mapped, mapped_column

from flask_autotag import (
    AssetRef,
    TaggedMixin,
    image_uploaded,
)
from flask_autotag.host.assets import SYSTEM
from flask_autotag.jobs.bulk_action_job import enqueue_action
from flask_autotag.jobs.reapply_job import enqueue_for
from flask_autotag.jobs.worker import Worker
from flask_autotag.settings.stored_words import change_words
from flask_autotag.settings.tag_names import tag_name
from flask_autotag.tags import bulk_actions
from flask_autotag.tags.queries.image_list import ImageFilter, matching
from flask_autotag.tags.rules import APPLIED
from flask_autotag.tags.threshold_proposals import LEAST_REJECTED
from flask_autotag.testing import fake_labels
from flask_autotag.web.admin.review.form_rows import form_rows

from .hosts import Host, jpeg, make_host, store_labels
from .providers.clouds import GOOGLE_ON
from .providers.vendors import Vendor
from .statements import (
    Recorded,
    Recorder,
    functions_about_images,
)
from .web.admin.conftest import USER, install_rights

#: Functions whose statements read all instances, and the reasons.
MEANS_ALL = {
    "instances_of": "finds out which instances know an image",
    "instances_with_images": "finds out which instances there are",
    "applying": "jobs of an instance, and the highest key of all images",
    "_Question._few": "the highest key of all images",
    "lock_writers": "changes no row",
}
#: A call of the host without an instance reads all instances, as documented.
ASKED_OF_ALL = "a call of the host for all instances"
#: The prefix of steps that process the images of all instances by their keys.
OF_ALL = "of all: "

SHOP, API = "/autotag/instances/shop", "/api/autotag/instances/shop"
HEADERS = {USER: "ada", "X-Requested-With": "fetch"}
LABELS = {"dog": 0.9, "wolf": 0.3, "cat": 0.8}


def make_page(host: Host) -> type[Any]:
    """Create a model with a text as its key, and with its tags as a relationship."""

    class Page(TaggedMixin, host.db.Model):  # type: ignore[name-defined,misc]
        id: Mapped[str] = mapped_column(String(50), primary_key=True)

    with host.app.app_context():
        host.db.create_all()
    return Page


class Exercise:
    """Every action for ``shop``, in a host whose two tenants use the same names."""

    def __init__(self, host: Host, folder: Path) -> None:
        self.host, self.folder, self.recorder = host, folder, Recorder()
        self.autotag, self.app = host.autotag, host.app
        self.client = host.app.test_client()
        self.page = make_page(host)
        self.owners: dict[int, str] = {}

    @contextmanager
    def step(self, name: str) -> Iterator[None]:
        """Record the statements of the block under the name of a step."""
        with self.app.app_context():
            self.recorder.step = name
            try:
                with self.recorder.listening(self.host.db.engine):
                    yield
            finally:
                self.recorder.step = ""
                self.host.db.session.rollback()
            table = self.host.models.asset.__table__
            with self.host.db.engine.connect() as connection:
                rows = connection.execute(select(table.c.id, table.c.instance))
                self.owners |= {row.id: row.instance for row in rows}

    def ref(self, number: int) -> AssetRef:
        return AssetRef("file", str(number))

    def run(self) -> list[Recorded]:
        with fake_labels(self.app, LABELS):
            self.prepare()
            for part in (
                self.uploads,
                self.questions,
                self.decisions,
                self.pages,
                self.many_images,
                self.json,
                self.commands,
                self.of_all,
                self.changes,
            ):
                part()
        return self.recorder.recorded

    def prepare(self) -> None:
        """Store the same names, with tags and suggestions, for both tenants."""
        with self.step(""):
            session = self.host.db.session
            for instance in ("news", "shop"):
                for number in range(1, 5):
                    path = self.folder / f"{instance}-{number}.jpg"
                    path.write_bytes(jpeg())
                    image_uploaded.send(
                        self.app,
                        asset=self.ref(number),
                        image=str(path),
                        instance=instance,
                    )
                for asset in ("photo", "1"), ("photo", "2"), ("page", "a"):
                    labels = [("dog", 0.9), ("cat", 0.8), ("wolf", 0.3)]
                    store_labels(self.host, AssetRef(*asset), labels, instance)
            session.add_all(self.host.Photo(path="x", tenant="shop") for _ in range(5))
            session.add(self.page(id="a"))
            session.commit()
            self.work()

    def work(self) -> None:
        Worker(self.app, self.autotag.state_of(self.app)).drain()

    def uploads(self) -> None:
        path = self.folder / "new.jpg"
        path.write_bytes(jpeg("blue"))
        for bulk in (False, True):
            with self.step("image_uploaded"):
                image_uploaded.send(
                    self.app,
                    asset=self.ref(4 + bulk),
                    image=path if bulk else jpeg("blue"),
                    instance="shop",
                    bulk=bulk,
                )
            with self.step("worker"):
                self.work()
        with self.step("tag_now"):
            self.autotag.tag_now(self.ref(3), jpeg("green"), instance="shop")
        with self.step("retag"):
            self.autotag.retag(self.ref(1), instance="shop")
            self.work()

    def questions(self) -> None:
        autotag, photo = self.autotag, self.host.Photo
        refs = [self.ref(number) for number in (1, 2)]
        of_shop = {"instance": "shop"}
        with self.step("questions"):
            autotag.tags_for(refs[0], **of_shop)
            autotag.suggestions_for(refs[0], **of_shop)
            autotag.preload(refs, **of_shop)
            autotag.progress(refs, **of_shop)
            autotag.explain(refs[0], **of_shop)
            autotag.tag_counts(**of_shop)
            autotag.tag_counts(within=select(photo), **of_shop)
            autotag.related_tags(["dog"], **of_shop)
            autotag.complete("do", **of_shop)
        for model in (photo, self.page):
            for narrower in (False, True):
                with self.step(f"select {model.__name__}"):
                    found = autotag.select(
                        model,
                        ["dog"],
                        ["dog", "cat"],
                        ["wolf"],
                        "shop",
                        narrower=narrower,
                        min_confidence=0.1,
                    )
                    self.host.db.session.scalars(found).all()
        with self.step("tags of a watched object"):
            watched = self.host.db.session.get(photo, 1)
            assert autotag.explain(watched).instance == "shop"

    def decisions(self) -> None:
        with self.step("decisions"):
            for decide, tag in (
                (self.autotag.add_tag, "Rex"),
                (self.autotag.accept_tag, "wolf"),
                (self.autotag.reject_tag, "cat"),
                (self.autotag.remove_tag, "dog"),
            ):
                decide(self.ref(2), tag, instance="shop")
            watched = self.host.db.session.get(self.host.Photo, 2)
            self.autotag.add_tag(watched, "Rex")
        with self.step("rejections"):
            for number in range(1, 1 + LEAST_REJECTED):
                self.autotag.reject_tag(self.ref(number), "owl", instance="shop")
        with self.step("rules"):
            state = self.autotag.state_of(self.app)
            with state.database.begin() as own:
                enqueue_for(own, state, "shop")
            self.work()

        with self.step("words"):
            with self.autotag.state_of(self.app).database.begin() as own:
                words: Any = {
                    tag_name("Rex"): {"becomes": "Max"},
                    tag_name("cat"): {"blocked": True},
                }
                change_words(own, self.host.models, "shop", words, "ada")
            self.autotag.add_tag(self.ref(1), "Max", instance="shop")
            self.work()
        with self.step("a former name"):
            self.autotag.reject_tag(self.ref(2), "Rex", instance="shop")

    def visit(self, path: str, **form: Any) -> str:
        with self.step(f"{'POST' if form else 'GET'} {path}"):
            method = "POST" if form else "GET"
            answer = self.client.open(path, method=method, data=form, headers=HEADERS)
            assert answer.status_code < 400 or answer.status_code in (409, 422), (
                path,
                answer.status_code,
                answer.text,
            )
            return answer.text

    def pages(self) -> None:
        def soup(path: str) -> BeautifulSoup:
            return BeautifulSoup(self.visit(path), "html.parser")

        def fields(page: BeautifulSoup, **more: Any) -> dict[str, Any]:
            found = page.select("form [name]:not(button)")
            sent = {str(one["name"]): one.get("value") or "" for one in found}
            return {**sent, **more}

        page = soup(SHOP)
        recent = page.select("[name=recent]")[-1]["value"]
        self.visit(SHOP, **fields(page, command="try", recent=recent))
        self.visit(SHOP, **fields(page, command="preview"))
        self.visit(SHOP, **fields(page, command="save", apply="1"))
        page = soup("/autotag/explain/shop?type=file&id=1")
        image = page.select_one("[name=image]")
        assert image is not None
        for pressed in ({"add": "Tom"}, {"remove": "dog"}, {"accept": "wolf"}):
            form = {"image": image["value"], **pressed}
            self.visit("/autotag/edit/shop", **form)
        self.visit("/autotag/complete/shop?q=d")
        for number in (3, 4):
            with self.step(""):
                store_labels(self.host, self.ref(number), [("fox", 0.3)], "shop")
        self.visit("/autotag/review/shop")
        page = soup("/autotag/review/shop?tag=fox")
        chosen = {
            str(one["name"]): "accept" for one in page.select("[type=radio][name]")
        }
        assert chosen
        # A forged form also contains a row of the other tenant.
        foreign = next(row for row, owner in self.owners.items() if owner == "news")
        chosen[f"image.{foreign}"] = "accept"
        with self.step("POST review"):
            answer = self.client.post(
                "/autotag/review/shop",
                data={"tag": "fox", "command": "save", **chosen},
                headers=HEADERS,
            )
            assert answer.status_code == 303
        page = soup(answer.location)
        undo = page.select_one("[name=accepted]")
        assert undo is not None
        form = undo.find_parent("form")
        assert form is not None
        hidden = {
            str(one["name"]): str(one.get("value", "")) for one in form.select("[name]")
        }
        hidden["accepted"] += f".{foreign}"
        self.visit("/autotag/review/shop", **hidden)
        form_of_settings = fields(soup(SHOP), command="try", recent=foreign)
        self.visit(SHOP, **form_of_settings)
        for path in ("tags/shop", "tag/shop?key=dog", "words/shop", "history/shop"):
            self.visit(f"/autotag/{path}")
        self.visit("/autotag/activity/shop")

    def many_images(self) -> None:
        """Decide on many images at once: host code, the page, a job, and the undo."""
        of_shop = select(self.host.Photo).where(self.host.Photo.tenant == "shop")
        with self.step("many images"):
            self.autotag.add_tag([self.ref(1), self.ref(2)], "Eva", instance="shop")
            self.autotag.reject_tag(of_shop, "Eva")
            self.autotag.pin_tags(self.ref(1), ["Ina"], instance="shop")
        url = "/autotag/images/shop"
        for query in ("", "?tag=dog", "?suggestion=wolf", "?untagged=1", "?q=1"):
            self.visit(f"{url}{query}")
        page = BeautifulSoup(self.visit(f"{url}?provider=tensorflow"), "html.parser")
        images = [str(one["value"]) for one in page.select("[name=image]")]
        with self.step("POST images"):
            form = {"command": "add", "word": "Ute", "image": images}
            answer = self.client.post(url, data=form, headers=HEADERS)
            assert answer.status_code == 303, answer.text
        self.visit(answer.location)
        hidden = page.select("[data-autotag-bulk] input[type=hidden]")
        form = {str(one["name"]): str(one["value"]) for one in hidden}
        self.visit(url, **form, command="add", word="Uwe", everything="1")
        self.visit("/autotag/history/shop")
        state = self.autotag.state_of(self.app)
        with self.step("a gallery of the host"):
            refs = [self.ref(number) for number in (1, 2, 30)]
            assert {*form_rows(state.database, "shop", refs)} == {*refs}
        with self.step("a large bulk action"):
            models = self.host.models
            stored = state.stored_settings()
            with state.database.begin() as own:
                connection = own.connection()
                action = bulk_actions.begin(
                    connection, stored, "shop", tag_name("Kai"), APPLIED, None, "ada"
                )
                rows = matching(connection, models, "shop", ImageFilter())
                bulk_actions.add_items(connection, models, action, rows)
                enqueue_action(own, models, action)
            self.work()
            with state.database.begin() as own:
                assert bulk_actions.begin_undo(own.connection(), models, action, "ada")
                enqueue_action(own, models, action)
            self.work()

    def json(self) -> None:
        named = {"type": "file", "id": "1"}
        for path, query in (
            ("tags", named),
            ("assets", {"all": ["dog", "cat"], "any": ["dog"], "none": ["wolf"]}),
            ("assets", {"any": ["dog"], "type": "file"}),
            ("counts", {}),
            ("completions", {"q": "d"}),
        ):
            with self.step(f"GET {path}"):
                answer = self.client.get(
                    f"{API}/{path}", query_string=query, headers=HEADERS
                )
                assert answer.status_code == 200, answer.text
        many = {"assets": [named], "tag": "Ida", "decision": "remove", "key": "k"}
        for method, path, body in (
            ("POST", "decisions", {**named, "tag": "Ida", "decision": "add"}),
            ("POST", "decisions/bulk", many),
            ("POST", "decisions/bulk", many),
            ("PUT", "pins", {**named, "tags": ["Ida"]}),
            ("POST", "jobs", named),
        ):
            with self.step(f"{method} {path}"):
                answer = self.client.open(
                    f"{API}/{path}", method=method, json=body, headers=HEADERS
                )
                assert answer.status_code in (200, 202), answer.text
        with self.step("GET job"):
            self.client.get(answer.json["url"], headers=HEADERS)
        with self.step("worker"):
            self.work()
        lost = self.folder / "lost.jpg"
        lost.write_bytes(jpeg())
        with self.step("an image that only its job knows"):
            image_uploaded.send(
                self.app, asset=self.ref(8), image=str(lost), instance="shop"
            )
            lost.unlink()
            self.work()
            body = {"type": "file", "id": "8"}
            answer = self.client.post(f"{API}/jobs", json=body, headers=HEADERS)
            assert answer.status_code == 409
        self.visit("/autotag/activity/shop")

    def commands(self) -> None:
        runner = self.app.test_cli_runner()
        of_shop = ("--instance", "shop")
        for arguments in (
            ("explain", "file", "1", *of_shop),
            ("retag", "--all", "--dry-run", *of_shop),
            ("retag", "--all", "--yes", *of_shop),
            ("tag-untagged", "--yes", *of_shop),
            ("commit", "--yes", *of_shop),
            ("untag", "--dry-run", *of_shop),
            ("untag", "--yes", *of_shop),
            ("retry", *of_shop),
            ("vocabulary", "export", *of_shop),
            ("settings", "show", *of_shop),
            ("tag", "--add", "Pia", "--where-tag", "dog", *of_shop),
            ("tag", "--remove", "Pia", "--from", str(self.listed()), *of_shop),
            (
                "tag",
                "--add",
                "Pia",
                "--from",
                str(self.listed()),
                "--dry-run",
                *of_shop,
            ),
            ("worker", "--drain"),
        ):
            with self.step(" ".join(arguments)):
                result = runner.invoke(args=["autotag", *arguments])
                assert result.exit_code == 0, (arguments, result.output)

    def listed(self) -> Path:
        """Write a file with the names of some images."""
        file = self.folder / "images.txt"
        file.write_text("file 1\nfile 2\n")
        return file

    def of_all(self) -> None:
        """Calls and commands for all instances."""
        runner = self.app.test_cli_runner()
        autotag, refs = self.autotag, [self.ref(1), self.ref(2)]
        with self.step(ASKED_OF_ALL):
            autotag.tags_for(refs[0])
            autotag.preload(refs)
            autotag.progress(refs)
            autotag.tag_counts(within=select(self.host.Photo))
            page = self.host.db.session.get(self.page, "a")
            assert page is not None
            assert page.tags
            self.host.db.session.scalars(autotag.select(self.host.Photo, ["dog"])).all()
        with self.step(""), self.host.db.engine.begin() as connection:
            counter = self.host.models.counter.__table__
            connection.execute(update(counter).values(assets=counter.c.assets + 1))
        with self.step(f"{OF_ALL}rules"):
            state = self.autotag.state_of(self.app)
            with state.database.begin() as own:
                enqueue_for(own, state, SYSTEM)
            self.work()
        for arguments in (
            ("explain", "file", "1"),
            ("retag", "--dry-run", "--all"),
            ("untag", "--dry-run", "--type", "file"),
            ("doctor",),
            ("doctor", "--repair"),
            ("status",),
            ("purge", "--yes"),
        ):
            with self.step(f"{OF_ALL}{' '.join(arguments)}"):
                runner.invoke(args=["autotag", *arguments])
        for path in ("", "system", "system/tags", "system/activity", "metrics"):
            with self.step(f"{OF_ALL}GET {path}"):
                self.client.get(f"/autotag/{path}", headers=HEADERS)

    def changes(self) -> None:
        autotag, session = self.autotag, self.host.db.session
        with self.step("untag"):
            autotag.untag(self.ref(3), instance="shop")
        with self.step("move"):
            autotag.move(self.ref(3), self.ref(4), instance="shop")
        with self.step("forget"):
            autotag.forget(self.ref(4), instance="shop")
        photo = self.host.Photo
        with self.step("a watched object is inserted"):
            session.add(photo(path="x", tenant="shop"))
            session.commit()
        with self.step("a watched object is changed"):
            session.get(photo, 1).path = "y"
            session.commit()
        with self.step("a watched object is not ready"):
            session.get(photo, 1).path = "draft"
            session.commit()
        with self.step("a watched object is ready"):
            session.get(photo, 1).path = "z"
            session.commit()
        with self.step("a watched object is deleted"):
            session.delete(session.get(photo, 2))
            session.commit()


def found_wrong(exercise: Exercise, recorded: list[Recorded]) -> list[str]:
    """Describe the statements that read or change images of other instances."""
    return sorted(
        {
            f"{each.line} in {each.function} ({each.step}): {fault}"
            for each in recorded
            if each.step != ASKED_OF_ALL
            for fault in faults(exercise, each)
        }
    )


def faults(exercise: Exercise, each: Recorded) -> Iterator[str]:
    of_all = each.step.startswith(OF_ALL)
    if each.function not in MEANS_ALL:
        for scope in each.scopes:
            for table in sorted(scope.searched_everywhere()):
                yield f"finds images by name in {table}, whatever the instance"
            if not of_all:
                for table in sorted(scope.read_everywhere()):
                    yield f"reads {table}, whatever the instance"
    if not of_all:
        if "news" in each.instances():
            yield "is about news"
        if {"news"} & {exercise.owners.get(row) for row in each.rows()}:
            yield "has keys of rows of news"


@pytest.fixture
def exercise(database_url: str, tmp_path: Path, google: Vendor) -> Iterator[Exercise]:
    config = {
        **GOOGLE_ON,
        "AUTOTAG_GOOGLE_ENDPOINT": google.url,
        "AUTOTAG_ALLOWED_ORIGINS": [google.url],
        "AUTOTAG_API": "/api/autotag",
        "AUTOTAG_SUGGESTION_THRESHOLD": 0.2,
        "WTF_CSRF_ENABLED": False,
        "SECRET_KEY": "of the host, and long enough for it",
    }
    with make_host(database_url, **config) as host:
        install_rights(host)
        host.autotag.watch(
            host.Photo,
            image=lambda photo: jpeg(),
            instance=lambda photo: photo.tenant,
            columns=["path"],
            when=lambda photo: photo.path != "draft",
        )
        yield Exercise(host, tmp_path)


def executed_elsewhere(host: Host) -> set[str]:
    """Return the functions whose statements this database does not need."""
    with host.app.app_context():
        # Another function inserts the job or finds it, in one statement.
        return {"enqueue"} if host.db.engine.dialect.name == "mariadb" else set()


def test_every_statement_is_about_one_instance(exercise: Exercise) -> None:
    recorded = exercise.run()
    wrong = found_wrong(exercise, recorded)
    assert not wrong, "\n".join(wrong)
    seen = {each.function for each in recorded} | executed_elsewhere(exercise.host)
    unseen = [
        f"{path}: {name}"
        for name, path in functions_about_images().items()
        if not any(one == name or one.startswith(f"{name}.") for one in seen)
    ]
    assert not unseen, "The exercise has to execute the statements of these."
