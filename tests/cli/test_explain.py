"""``flask autotag explain`` and ``try``."""

from __future__ import annotations

import json
import os
import shutil
from pathlib import Path

import pytest

from flask_autotag import AssetRef, image_uploaded
from flask_autotag.providers.base import DETECTED, GENERAL

from ..hosts import ANIMALS, ESPRESSO, Host, store_labels
from ..settings.desk import Desk
from .terminals import refused, run, told

PHOTO = AssetRef("photo", "42")


def test_explain(host: Host) -> None:
    with host.app.app_context():
        store_labels(host, PHOTO, [("cat", 0.8)], "shop", provider="google")
        store_labels(host, PHOTO, [("dog", 0.9), ("timber wolf", 0.31)], "shop")
        host.autotag.reject_tag(PHOTO, "dog", instance="shop", person="ada")
        host.autotag.add_tag(PHOTO, "Rex", instance="shop")
    lines = told(host, "explain", "photo", "42")
    assert lines[0].startswith("photo 42 (shop), classified: 20")
    table = "\n".join(lines[1:]).split("\n\n")
    assert table[0].splitlines() == [
        "",
        "google (model 1)",
        "    Label  Confidence  Tag  Why",
        "    cat    0.80        cat  the provider is off",
    ]
    assert table[1].splitlines() == [
        "tensorflow (model 1)",
        "    Label        Confidence  Tag          Why",
        "    dog          0.90        dog          rejected by a person",
        "    timber wolf  0.31        timber wolf  0.31, below 0.50",
    ]
    decided = [line.split(" on ")[0] for line in table[2].splitlines()]
    assert decided[0] == "Decided by people"
    assert sorted(decided[1:]) == [
        "    Rex: applied by somebody",
        "    dog: rejected by ada",
    ]
    assert any(line.endswith("; tensorflow said 0.90") for line in lines)


def test_it_tells_the_parts_of_the_model(host: Host) -> None:
    labels = [("dog", 0.9), ("sky", 0.8), ("animal", 0.7), ("beagle", 0.6)]
    with host.app.app_context():
        parts = {"dog": DETECTED, "sky": GENERAL}
        store_labels(host, PHOTO, labels, concepts=ANIMALS, parts=parts)
    lines = told(host, "explain", "photo", "42")
    assert [line.split("  ")[2] for line in lines[3:]] == [
        "Label",
        "dog (detected)",
        "sky (general)",
        "animal (broader)",
        "beagle",
    ]
    found = json.loads(run(host, "explain", "photo", "42", "--json").stdout)
    assert [label["detected"] for label in found["labels"]] == [True, *[False] * 3]


def test_explain_for_programs(host: Host) -> None:
    with host.app.app_context():
        store_labels(host, PHOTO, [("dog", 0.9)])
    found = json.loads(run(host, "explain", "photo", "42", "--json").stdout)
    assert (found["asset"], found["instance"]) == (
        {"type": "photo", "id": "42"},
        "default",
    )
    [label] = found["labels"]
    assert (label["label"], label["outcome"]) == ("dog", "applied")


def test_an_image_that_could_not_be_classified(host: Host) -> None:
    with host.app.app_context():
        image_uploaded.send(host.app, asset=PHOTO, image=b"no image", instance="shop")
    assert told(host, "explain", "photo", "42")[1].endswith(
        ": It is waiting to be classified."
    )
    run(host, "worker", "--drain")
    lines = told(host, "explain", "photo", "42")
    assert lines[0] == "photo 42 (shop), classified: never"
    assert lines[1].startswith("Its latest job, 20")
    assert ": It could not be classified. " in lines[1]
    assert lines[1].endswith(" It was tried once.")
    found = json.loads(run(host, "explain", "photo", "42", "--json").stdout)
    assert (found["job"]["state"], found["job"]["tries"]) == ("failed", 1)


def test_an_image_that_several_instances_know(host: Host) -> None:
    with host.app.app_context():
        store_labels(host, PHOTO, [("dog", 0.9)], "shop")
        store_labels(host, PHOTO, [("cat", 0.9)], "news")
    assert refused(host, "explain", "photo", "42") == (
        "Error: Several instances have photo 42; choose one with --instance: news,"
        " shop."
    )
    assert "    cat    0.90        cat  0.90, reaches 0.50" in told(
        host, "explain", "photo", "42", "--instance", "news"
    )
    assert refused(host, "explain", "photo", "42", "--instance", "nowhere") == (
        "Error: The image photo 42 is not known. These instances have it: news, shop."
    )


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["photo", "7"], "Error: The image photo 7 is not known."),
        (["", "7"], "Error: The type of an AssetRef is a text of 1 to 350 characters"),
        (["photo"], "Error: Missing argument 'ID'."),
    ],
)
def test_what_explain_refuses(host: Host, arguments: list[str], message: str) -> None:
    assert refused(host, "explain", *arguments).startswith(message)


def test_try_tells_what_would_apply_and_stores_nothing(host: Host) -> None:
    desk = Desk(host)
    desk.save({("tensorflow", "confidence_threshold"): 0.99, ("", "enabled"): False})
    lines = told(host, "try", str(ESPRESSO))
    assert lines[0] == str(ESPRESSO)
    assert lines[2].startswith("tensorflow (efficientnet-lite0 ")
    assert lines[4].split()[:3] == ["drink", "(broader)", "0.95"]
    assert lines[5].split()[:3] == ["espresso", "0.95", "espresso"]
    assert lines[5].endswith("0.95, below 0.99")
    assert host.jobs() == []
    with host.app.app_context():
        assert host.autotag.tag_counts() == []


def test_try_uses_the_settings_of_an_instance(host: Host) -> None:
    Desk(host).save({("tensorflow", "confidence_threshold"): 0.1}, "shop")
    for instance, threshold in (("shop", 0.1), ("news", 0.5)):
        result = run(host, "try", str(ESPRESSO), "--instance", instance, "--json")
        [first, *_] = json.loads(result.stdout)["labels"]
        assert first["threshold"] == threshold


def test_try_without_an_instance_in_a_host_of_tenants(host: Host) -> None:
    desk = Desk(host)
    desk.save({("tensorflow", "confidence_threshold"): 0.1})
    desk.save({("tensorflow", "confidence_threshold"): 0.2}, "default")
    for names, threshold in ((["shop", "news"], 0.1), (["shop", "default"], 0.2)):
        host.autotag.instance_lister(lambda names=names: names)
        result = run(host, "try", str(ESPRESSO), "--json")
        [first, *_] = json.loads(result.stdout)["labels"]
        assert first["threshold"] == threshold


def test_files_that_cannot_be_read_are_named(host: Host, tmp_path: Path) -> None:
    text = tmp_path / "a.jpg"
    text.write_text("text")
    files = [str(text), str(ESPRESSO), "/nowhere/b.jpg"]
    result = run(host, "try", *files)
    assert result.exit_code == 1
    assert f"{text}: The file is not an image that can be read" in result.stdout
    assert "espresso" in result.stdout
    assert "/nowhere/b.jpg: There is no readable file 'b.jpg'" in result.stdout
    result = run(host, "try", "--json", *files)
    assert result.exit_code == 1
    found = [json.loads(line) for line in result.stdout.splitlines()]
    assert [each["file"] for each in found] == files
    assert [each["error"] is None for each in found] == [False, True, False]


def test_try_takes_files_whose_names_are_no_text(host: Host, tmp_path: Path) -> None:
    name = os.fsencode(tmp_path) + b"/tass\xe9.jpg"
    try:
        shutil.copy(os.fsencode(ESPRESSO), name)
    except OSError:
        pytest.skip("the file system takes no such names")
    result = run(host, "try", os.fsdecode(name))
    assert result.exit_code == 0
    assert result.stdout.splitlines()[0] == f"{tmp_path}/tass\\udce9.jpg"


def test_try_asks_before_images_are_sent_elsewhere(host: Host) -> None:
    Desk(host).save(
        {("google", "api_key"): "AIza-secret-0123", ("google", "enabled"): True}
    )
    assert refused(host, "try", str(ESPRESSO)) == (
        "Error: There is no terminal to ask on. Add --yes to answer yes."
    )


def test_where_no_provider_is_on(host: Host) -> None:
    Desk(host).save({("tensorflow", "enabled"): False})
    result = run(host, "try", str(ESPRESSO))
    assert result.exit_code == 1
    assert result.stdout.strip().endswith("Auto tagging is turned off.")
