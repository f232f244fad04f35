"""``flask autotag retag``: new models and providers for existing images."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import delete, select, update

from flask_autotag import AssetRef, image_uploaded
from flask_autotag.jobs.bulk.outdated import Retagging, RetagOptions, present_models
from flask_autotag.providers.tensorflow.provider import TensorFlowProvider
from flask_autotag.settings.machine import Machine
from flask_autotag.tags.batches import AssetFilter

from ..hosts import ESPRESSO, ESPRESSO_TAGS, EXAMPLES, Host, make_host, store_labels
from ..providers.clouds import drain, images_sent, photo, upload
from ..providers.tensorflow.models import make_detector, make_model
from ..providers.vendors import Answer, Vendor
from ..services import on_sqlite
from ..settings.desk import Desk
from .terminals import refused, run, sit_at_a_terminal, told

GOOGLE = {("google", "api_key"): "AIza-secret-0123", ("google", "enabled"): True}
KITTEN = EXAMPLES / "kitten.jpg"


def asset(number: int) -> AssetRef:
    return AssetRef("photo", str(number))


def tag(host: Host, *images: Path, instance: str = "default") -> None:
    """Classify photos with the bundled model."""
    for number, image in enumerate(images, 1):
        image_uploaded.send(
            host.app, asset=asset(number), image=image, instance=instance
        )
    drain(host)


def tags(host: Host, number: int, instance: str = "default") -> list[str]:
    with host.app.app_context():
        return [tag.name for tag in host.autotag.tags_for(asset(number), instance)]


def bulk_jobs(host: Host) -> list[str]:
    return [job.asset_id for job in host.jobs() if job.priority]


def everything(host: Host) -> list[Any]:
    """All rows of all tables, to check that they do not change."""
    with host.app.app_context(), host.db.engine.connect() as connection:
        return [
            connection.execute(select(table).order_by(*table.primary_key)).all()
            for table in host.models.tables
        ]


def test_what_is_up_to_date_is_left_alone(host: Host) -> None:
    tag(host, ESPRESSO)
    assert told(host, "retag") == ["0 images to classify again.", "0 images queued."]


def test_another_model_makes_predictions_out_of_date(host: Host) -> None:
    """The images are classified again; decisions and other images stay."""
    for number, image in ((1, ESPRESSO), (2, KITTEN)):
        image_uploaded.send(host.app, asset=asset(number), image=image)
    drain(host)
    with host.app.app_context():
        # By "model 1", which is not the present model.
        store_labels(host, asset(1), [("dog", 0.9), ("wolf", 0.8)])
        host.autotag.add_tag(asset(1), "rex", person="ada")
        host.autotag.reject_tag(asset(1), "espresso", person="ada")
    assert tags(host, 1) == ["rex", "dog", "wolf"]

    assert told(host, "retag") == [
        "1 image to classify again.",
        "    default: 1",
        "1 image queued.",
        "Run 'flask autotag worker' to tag them.",
    ]
    assert bulk_jobs(host) == ["1"]
    told(host, "retag")
    assert bulk_jobs(host) == ["1"]

    drain(host)
    assert tags(host, 1) == ["rex", "drink", "food"]
    assert told(host, "retag")[0] == "0 images to classify again."


def test_a_provider_that_is_turned_on_has_seen_nothing(
    host: Host, monkeypatch: pytest.MonkeyPatch
) -> None:
    tag(host, ESPRESSO)
    Desk(host).save(GOOGLE)
    assert refused(host, "retag") == (
        "Error: There is no terminal to ask on. Add --yes to answer yes."
    )
    sit_at_a_terminal(monkeypatch)
    result = run(host, "retag", input="y\n")
    assert "1 image to classify again." in result.stdout
    assert "Google Cloud Vision" in result.stderr
    assert bulk_jobs(host) == ["1"]


def test_what_was_paid_for_is_not_asked_about(host: Host) -> None:
    """Another local model sends nothing to remote providers, and costs nothing."""
    desk = Desk(host)
    desk.save(GOOGLE)
    state = desk.state
    with host.app.app_context():
        model = present_models(desk.settings(), state.config.machine)["google"]
        store_labels(host, asset(1), [("dog", 0.9)])
        store_labels(host, asset(1), [("cat", 0.9)], provider="google")
        with state.database.begin() as session:
            table = host.models.prediction.__table__
            session.execute(
                table.update().where(table.c.provider == "google").values(model=model)
            )
        retag = Retagging(host.app, state, RetagOptions(AssetFilter()))
        counted = retag.count(lambda number: None)
    assert (counted.stale, counted.unpaid) == ({"default": 1}, {})


def test_a_provider_without_a_key_is_not_waited_for(host: Host) -> None:
    tag(host, ESPRESSO)
    Desk(host).save(GOOGLE)
    host.app.config["SECRET_KEY"] = "another, so that no key can be read"
    assert told(host, "retag")[0] == "0 images to classify again."


def test_untagged_images_are_left_to_tag_untagged(host: Host) -> None:
    tag(host, ESPRESSO, KITTEN)
    with host.app.app_context():
        host.autotag.untag(asset(1))
        host.autotag.add_tag(asset(1), "rex")
    assert told(host, "retag")[0] == "0 images to classify again."
    assert told(host, "retag", "--all")[0] == "2 images to classify again."


def test_where_tagging_is_off_nothing_is_classified(host: Host) -> None:
    with host.app.app_context():
        store_labels(host, asset(1), [("dog", 0.9)])
    Desk(host).save({("", "enabled"): False})
    assert told(host, "retag", "--all")[0] == "0 images to classify again."


def test_a_scope(host: Host) -> None:
    host.autotag.image_loader(lambda ref: ESPRESSO)
    with host.app.app_context():
        for number, instance in ((1, "shop"), (2, "news")):
            store_labels(host, asset(number), [("dog", 0.9)], instance)
        store_labels(host, AssetRef("file", "3"), [("dog", 0.9)], "shop")
    told(host, "retag", "--instance", "shop", "--type", "photo")
    assert bulk_jobs(host) == ["1"]


def test_now_works_the_queue_off(host: Host) -> None:
    host.autotag.image_loader(lambda ref: ESPRESSO)
    with host.app.app_context():
        store_labels(host, asset(1), [("dog", 0.9)])
    told(host, "retag", "--now")
    assert tags(host, 1) == ESPRESSO_TAGS


def test_an_image_that_cannot_be_read_is_named(host: Host) -> None:
    with host.app.app_context():
        for number in (1, 2):
            store_labels(host, asset(number), [("dog", 0.9)])
    image_uploaded.send(host.app, asset=asset(2), image=ESPRESSO)
    for arguments in ((), ("--dry-run",)):
        result = run(host, "retag", *arguments)
        assert result.exit_code == 0
        assert result.stderr.splitlines() == [
            "1 image could not be read:",
            "    photo 1 (default): The image of photo 1 cannot be found:"
            " register an image_loader.",
        ]
    assert set(bulk_jobs(host)) <= {"2"}


def test_many_that_cannot_be_read_are_counted(host: Host) -> None:
    with host.app.app_context():
        for number in range(25):
            store_labels(host, asset(number), [("dog", 0.9)])
    lines = run(host, "retag").stderr.splitlines()
    assert lines[0] == "25 images could not be read:"
    assert lines[-1] == "    … and 5 more"
    assert len(lines) == 22


def test_a_dry_run_shows_each_change_and_writes_nothing(host: Host) -> None:
    host.autotag.image_loader(
        lambda ref: {"1": ESPRESSO, "2": KITTEN, "3": ESPRESSO}[ref.id]
    )
    with host.app.app_context():
        store_labels(host, asset(1), [("dog", 0.9), ("espresso", 0.8)], "news")
        store_labels(host, asset(2), [("wolf", 0.9)], "news")
        store_labels(host, asset(3), [(name, 0.9) for name in ESPRESSO_TAGS], "news")
        host.autotag.reject_tag(asset(2), "tabby", instance="news")
    before = everything(host)
    lines = told(host, "retag", "--dry-run")
    assert everything(host) == before
    assert "photo 1 (news): + drink, food  - dog  = 1 kept" in lines
    [kitten] = [line for line in lines if line.startswith("photo 2 (news)")]
    assert "- wolf  = 0 kept" in kitten
    assert "tabby" not in kitten
    assert not any(line.startswith("photo 3") for line in lines)
    totals = told(host, "retag", "--dry-run", "--summary")
    assert totals == [line for line in lines if not line.startswith("photo ")]
    assert totals[0].startswith("3 images: ")
    assert totals[0].endswith(" 2 removed, 4 kept.")
    assert "    - dog (1), wolf (1)" in totals
    told(host, "retag")
    drain(host)
    assert tags(host, 1, "news") == ESPRESSO_TAGS


def test_a_dry_run_uses_what_paid_providers_have_said(host: Host) -> None:
    """Nothing is sent, and no question is asked."""
    host.autotag.image_loader(lambda ref: ESPRESSO)
    desk = Desk(host)
    desk.save({**GOOGLE, ("google", "confidence_threshold"): 0.5})
    with host.app.app_context():
        store_labels(host, asset(1), [("cup", 0.9), ("spoon", 0.1)], provider="google")
        store_labels(host, asset(1), [("dog", 0.9)])
    assert told(host, "retag", "--dry-run") == [
        "photo 1 (default): + cup, drink, espresso, food  - dog  = 0 kept",
        "1 image: 4 tags added, 1 removed, 0 kept.",
        "    + cup (1), drink (1), espresso (1), food (1)",
        "    - dog (1)",
    ]


def test_asking_paid_providers_in_a_dry_run_needs_a_word(host: Host) -> None:
    host.autotag.image_loader(lambda ref: ESPRESSO)
    Desk(host).save(GOOGLE)
    with host.app.app_context():
        store_labels(host, asset(1), [("dog", 0.9)])
    assert refused(host, "retag", "--dry-run", "--paid") == (
        "Error: There is no terminal to ask on. Add --yes to answer yes."
    )


def test_an_image_that_is_damaged_is_named_by_a_dry_run(host: Host) -> None:
    host.autotag.image_loader(lambda ref: ESPRESSO if ref.id == "1" else b"text")
    with host.app.app_context():
        for number in (1, 2):
            store_labels(host, asset(number), [(name, 0.9) for name in ESPRESSO_TAGS])
    result = run(host, "retag", "--dry-run")
    assert result.stdout.startswith("1 image: ")
    assert "photo 2 (default): The file is not an image" in result.stderr


def test_another_model_only_to_look(sqlite_url: str, tmp_path: Path) -> None:
    make_model(tmp_path, "mine", heads=True)
    with make_host(sqlite_url, AUTOTAG_MODEL_DIR=str(tmp_path)) as host:
        tag(host, ESPRESSO)
        assert told(host, "retag", "--dry-run")[0].startswith("0 images: ")
        # The same network under another name.
        lines = told(host, "retag", "--dry-run", "--model", "mine")
        assert lines == ["1 image: 0 tags added, 0 removed, 3 kept."]
        assert refused(host, "retag", "--dry-run", "--model", "yours").startswith(
            "Error: There is no model 'yours'; there are: efficientnet-lite0, mine."
        )


def test_stored_predictions_and_new_settings(any_host: Host) -> None:
    with any_host.app.app_context():
        for number, instance in ((1, "shop"), (2, "shop"), (3, "news")):
            store_labels(
                any_host, asset(number), [("dog", 0.9), ("wolf", 0.4)], instance
            )
    Desk(any_host).save({("tensorflow", "confidence_threshold"): 0.3}, "shop")
    assert told(any_host, "retag", "--stored", "--dry-run") == [
        "photo 1 (shop): + wolf  = 1 kept",
        "photo 2 (shop): + wolf  = 1 kept",
        "3 images: 2 tags added, 0 removed, 3 kept.",
        "    + wolf (2)",
    ]
    shop = ("--instance", "shop")
    assert told(any_host, "retag", "--stored", "--dry-run", "--summary", *shop) == [
        "2 images: 2 tags added, 0 removed, 2 kept.",
        "    + wolf (2)",
    ]
    assert told(any_host, "retag", "--stored") == [
        "The existing images of 2 instances will be updated; none is classified again."
    ]
    drain(any_host)
    assert tags(any_host, 1, "shop") == ["dog", "wolf"]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--summary"], "Error: --summary requires --dry-run."),
        (["--model", "x"], "Error: --model requires --dry-run."),
        (["--paid"], "Error: --paid requires --dry-run."),
        (["--stored", "--all"], "Error: --all cannot be combined with --stored, which"),
        (
            ["--stored", "--type", "photo"],
            "Error: --type cannot be combined with --stored",
        ),
    ],
)
def test_options_that_would_do_nothing(
    host: Host, arguments: list[str], message: str
) -> None:
    assert refused(host, "retag", *arguments).startswith(message)


def test_it_goes_over_all_portions(
    any_host: Host, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("flask_autotag.tags.batches.BATCH_SIZE", 2)
    any_host.autotag.image_loader(lambda ref: ESPRESSO)
    with any_host.app.app_context():
        for number in range(1, 6):
            store_labels(any_host, asset(number), [("dog", 0.9)])
    told(any_host, "retag")
    assert bulk_jobs(any_host) == ["1", "2", "3", "4", "5"]


def test_a_model_is_called_what_its_child_calls_it(host: Host) -> None:
    tag(host, ESPRESSO)
    with host.app.app_context():
        state = host.autotag.state_of(host.app)
        [label, *_] = host.autotag.explain(asset(1)).labels
        settings = state.settings_for("default")
    assert label.model == TensorFlowProvider.current_model(
        settings["tensorflow"], Machine()
    )


def be_out_of_date(host: Host) -> None:
    """Pretend that other models have classified the images."""
    models = host.autotag.state_of(host.app).database.models
    Desk(host).execute(
        update(models.prediction).values(model="another 1"), delete(models.inquiry)
    )


@on_sqlite
def test_paid_providers_can_be_asked_in_a_dry_run(
    cloud_host: Host, google: Vendor
) -> None:
    cloud_host.autotag.image_loader(lambda ref: photo(int(ref.id)))
    upload(cloud_host, 1)
    drain(cloud_host)
    google.answer = Answer(
        body={"responses": [{"labelAnnotations": [_label("Mug", 0.8)]}]}
    )
    be_out_of_date(cloud_host)
    assert told(cloud_host, "retag", "--dry-run")[0].startswith("1 image: 0 tags added")
    assert images_sent(google) == 1
    assert "photo 1 (shop): + mug  - cup  = 3 kept" in told(
        cloud_host, "retag", "--dry-run", "--paid", "--yes"
    )
    assert images_sent(google) == 2
    assert set(tags(cloud_host, 1, "shop")) == {*ESPRESSO_TAGS, "Cup"}


@on_sqlite
def test_what_a_provider_said_counts_on_where_it_fails_now(
    cloud_host: Host, google: Vendor
) -> None:
    cloud_host.autotag.image_loader(lambda ref: photo(int(ref.id)))
    upload(cloud_host, 1)
    drain(cloud_host)
    be_out_of_date(cloud_host)
    google.answer = Answer(status=403)
    told(cloud_host, "retag", "--yes")
    drain(cloud_host)
    assert set(tags(cloud_host, 1, "shop")) == {*ESPRESSO_TAGS, "Cup"}
    # The prediction is for other bytes than those.
    cloud_host.autotag.image_loader(lambda ref: KITTEN)
    told(cloud_host, "retag", "--all", "--yes")
    drain(cloud_host)
    assert "Cup" not in tags(cloud_host, 1, "shop")
    told(cloud_host, "retag", "--stored")
    drain(cloud_host)
    assert "Cup" not in tags(cloud_host, 1, "shop")


def _label(name: str, score: float) -> dict[str, object]:
    return {"description": name, "score": score}


def test_a_detector_makes_predictions_out_of_date(
    sqlite_url: str, tmp_path: Path
) -> None:
    make_detector(tmp_path)
    with make_host(sqlite_url, AUTOTAG_MODEL_DIR=str(tmp_path)) as host:
        tag(host, ESPRESSO)
        desk = Desk(host)
        desk.save({("tensorflow", "detector"): "seer"})
        assert told(host, "retag")[0] == "1 image to classify again."
        drain(host)
        assert models(host) == ["efficientnet-lite0 2 + seer 2"]
        assert told(host, "retag")[0] == "0 images to classify again."
        desk.save({("tensorflow", "detector"): "none"})
        assert told(host, "retag")[0] == "1 image to classify again."


def models(host: Host) -> list[str]:
    with host.app.app_context(), host.db.engine.connect() as connection:
        table = host.models.prediction.__table__
        return list(connection.execute(select(table.c.model)).scalars())


def test_a_dry_run_with_a_detector_as_the_model(
    sqlite_url: str, tmp_path: Path
) -> None:
    make_detector(tmp_path)
    with make_host(sqlite_url, AUTOTAG_MODEL_DIR=str(tmp_path)) as host:
        message = refused(host, "retag", "--dry-run", "--model", "seer")
    assert message.startswith(
        "Error: AUTOTAG_TENSORFLOW_MODEL must be a model that classifies by itself, and"
        " seer is a detector"
    )
