"""Assets by tags, page by page; counts and completions."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sqlalchemy import event

from flask_autotag import AssetRef
from flask_autotag.settings.stored_words import change_words
from flask_autotag.settings.tag_names import tag_name

from .conftest import SHOP, Program, Service, refusal

TAGS = {
    "1": ["dog"],
    "2": ["dog", "cat"],
    "3": ["cat"],
    "4": ["dog", "cat", "owl"],
    "5": ["owl"],
}


def add_animals(service: Service) -> None:
    """Store five animals of the shop, and one of the news."""
    for key, tags in TAGS.items():
        service.store([(tag, 0.9) for tag in tags], AssetRef("animal", key))
    service.store([("dog", 0.9)], AssetRef("animal", "9"), "news")


@pytest.fixture
def zoo(any_service: Service) -> Service:
    add_animals(any_service)
    return any_service


@pytest.fixture(scope="module")
def read_zoo(read_service: Service) -> Service:
    """The same, for tests that only read."""
    add_animals(read_service)
    return read_service


def find(program: Program, **query: Any) -> list[str]:
    found: Any = program.get(f"{SHOP}/assets", **query).json
    assert found["next"] is None
    return [f"{asset['type']} {asset['id']}" for asset in found["assets"]]


@pytest.mark.parametrize(
    ("query", "expected"),
    [
        ({"all": ["dog"], "type": "animal"}, "421"),
        ({"all": ["DOG", "cat"]}, "42"),
        ({"all": ["dog", "dog"], "type": "animal"}, "421"),
        ({"any": ["cat", "owl"]}, "5432"),
        ({"all": ["cat"], "any": ["dog", "owl"]}, "42"),
        ({"all": ["cat"], "none": ["owl"]}, "32"),
        ({"any": ["dog", "owl"], "none": ["cat"], "type": "animal"}, "51"),
        ({"all": ["dog"], "none": ["unheard of"], "type": "animal"}, "421"),
        ({"all": ["dog", "unheard of"]}, ""),
        ({"any": ["owl", "unheard of"]}, "54"),
        ({"any": ["unheard of"]}, ""),
        ({"all": ["cat"], "any": ["unheard of"]}, ""),
        ({"all": ["cat"], "type": "photo"}, ""),
    ],
)
def test_assets_by_tags(
    read_zoo: Service, query: dict[str, Any], expected: str
) -> None:
    ada = read_zoo.program("ada")
    assert find(ada, **query) == [f"animal {key}" for key in expected]


def test_what_is_rejected_or_suggested_does_not_count(zoo: Service) -> None:
    ada = zoo.program("ada")
    ada.decide("reject", "owl", AssetRef("animal", "4"))
    assert find(ada, all="owl") == ["animal 5"]


def test_a_word_is_found_under_the_name_that_it_has_now(zoo: Service) -> None:
    with zoo.host.app.app_context():
        models = zoo.host.models
        state = zoo.host.autotag.state_of(zoo.host.app)
        with state.database.begin() as session:
            change_words(
                session, models, "shop", {tag_name("hound"): {"becomes": "dog"}}, "ada"
            )
    ada = zoo.program("ada")
    assert find(ada, all="Hound", type="animal") == ["animal 4", "animal 2", "animal 1"]


@pytest.mark.parametrize(
    "query",
    [
        {"all": "dog"},
        {"all": ["dog", "cat"], "none": ["owl"], "cursor": 9},
        {"any": ["dog", "cat"], "type": "animal"},
    ],
)
def test_a_page_is_read_off_an_index(herd: Service, query: dict[str, Any]) -> None:
    """No table is scanned and no result sorted: the cost follows the page's size."""
    herd.store([("cat", 0.9), ("owl", 0.9)])
    asked: list[tuple[str, Any]] = []

    def note(_c: Any, _cursor: Any, sql: str, values: Any, _x: Any, _m: Any) -> None:
        asked.append((sql, values))

    with herd.host.app.app_context():
        engine = herd.host.db.engine
        event.listen(engine, "before_cursor_execute", note)
        assert herd.program("ada").get(f"{SHOP}/assets", **query).status_code == 200
        event.remove(engine, "before_cursor_execute", note)
        about = [(sql, values) for sql, values in asked if "autotag_assignment" in sql]
        assert about
        with engine.connect() as connection:
            for sql, values in about:
                plan = connection.exec_driver_sql(f"EXPLAIN QUERY PLAN {sql}", values)
                for step in plan:
                    assert "TEMP B-TREE" not in step.detail, sql
                    assert not step.detail.startswith("SCAN autotag"), sql


@pytest.mark.parametrize("limit", [1, 2, 3, 100])
def test_page_by_page(read_zoo: Service, limit: int) -> None:
    ada = read_zoo.program("ada")
    pages = read_pages(ada, limit=limit, any=["dog", "cat", "owl"], type="animal")
    assert [key for page in pages for key in page] == list("54321")
    assert all(len(page) == limit for page in pages[:-1])
    assert pages[-1]


def read_pages(ada: Program, **query: Any) -> list[list[str]]:
    pages, cursor = [], None
    while True:
        cursors = {} if cursor is None else {"cursor": cursor}
        found: Any = ada.get(f"{SHOP}/assets", **query, **cursors).json
        pages.append([asset["id"] for asset in found["assets"]])
        cursor = found["next"]
        if cursor is None:
            return pages


@pytest.fixture
def herd(service: Service) -> Service:
    """Twelve dogs."""
    for key in range(1, 13):
        service.store([("dog", 0.9)], AssetRef("animal", str(key)))
    return service


@given(data=st.data())
@settings(
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)
def test_pages_neither_miss_nor_repeat_while_tags_change(
    herd: Service, data: st.DataObject
) -> None:
    """An asset with the tag appears once; if it gets or loses the tag, at most once."""
    ada = herd.program("ada")
    keys = [str(key) for key in range(1, 13)]
    for key in keys:
        ada.decide("add", "dog", AssetRef("animal", key))
    touched, found, cursor = set(), [], None
    limit = data.draw(st.integers(1, 5))
    while True:
        query: dict[str, Any] = {"all": "dog", "type": "animal", "limit": limit}
        query |= {} if cursor is None else {"cursor": cursor}
        page: Any = ada.get(f"{SHOP}/assets", **query).json
        found += [asset["id"] for asset in page["assets"]]
        cursor = page["next"]
        if cursor is None:
            break
        key = data.draw(st.sampled_from(keys))
        decision = data.draw(st.sampled_from(["add", "remove"]))
        ada.decide(decision, "dog", AssetRef("animal", key))
        touched.add(key)
    assert len(found) == len(set(found))
    assert set(keys) - touched <= set(found)


def test_counts(read_zoo: Service) -> None:
    ada = read_zoo.program("ada")
    counts: Any = ada.get(f"{SHOP}/counts").json
    assert counts == {
        "counts": [
            {"name": "dog", "count": 4},
            {"name": "cat", "count": 3},
            {"name": "owl", "count": 2},
            {"name": "wolf", "count": 1},
        ]
    }
    first: Any = ada.get(f"{SHOP}/counts", limit=1).json
    assert first == {"counts": [{"name": "dog", "count": 4}]}


@pytest.mark.parametrize(
    ("typed", "expected"),
    [("D", ["dog"]), ("w", ["wolf"]), ("x", []), ("%", []), ("_", [])],
)
def test_completions(read_zoo: Service, typed: str, expected: list[str]) -> None:
    found = read_zoo.program("ada").get(f"{SHOP}/completions", q=typed)
    assert found.json == {"completions": expected}


@pytest.mark.parametrize(
    ("path", "query", "message", "field"),
    [
        ("assets", {}, "all or any must name a tag.", "all"),
        ("assets", {"none": "dog"}, "all or any must name a tag.", "all"),
        (
            "assets",
            {"all": ["dog"] * 21},
            "all must not have more than 20 values.",
            "all",
        ),
        (
            "assets",
            {"any": "x\0"},
            "any must be a text without NUL or lone surrogates.",
            "any",
        ),
        (
            "assets",
            {"all": "dog", "cursor": "-1"},
            "cursor must be a whole number from 1 to 9223372036854775807, not '-1'.",
            "cursor",
        ),
        (
            "assets",
            {"all": "dog", "cursor": "9223372036854775808"},
            "cursor must be a whole number from 1 to 9223372036854775807, not"
            " '9223372036854775808'.",
            "cursor",
        ),
        (
            "assets",
            {"all": "dog", "limit": "501"},
            "limit must be a whole number from 1 to 500, not '501'.",
            "limit",
        ),
        (
            "counts",
            {"limit": "ten"},
            "limit must be a whole number from 1 to 1000, not 'ten'.",
            "limit",
        ),
        (
            "counts",
            {"offset": "1"},
            "There is no field 'offset': use limit.",
            "offset",
        ),
        ("completions", {}, "q is missing.", "q"),
        (
            "completions",
            {"q": "  "},
            "q is not the name of a tag: a tag needs a name that can be seen, not '  '"
            ".",
            "q",
        ),
    ],
)
def test_a_wrong_question(
    ada: Program, path: str, query: dict[str, Any], message: str, field: str
) -> None:
    assert refusal(ada.get(f"{SHOP}/{path}", **query)) == (400, message, field)
