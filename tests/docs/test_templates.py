"""The templates of the documentation can be rendered."""

from __future__ import annotations

from pathlib import Path

import pytest
from sybil import Document, Example
from sybil.parsers.rest import CodeBlockParser

from .documents import DOCUMENTS
from .stages import tagging_stage


def _compile(_: Example) -> None: ...


def read_templates(name: str) -> list[str]:
    parser = CodeBlockParser("jinja", _compile)
    document = Document.parse(str(DOCUMENTS[name]), parser)
    return [str(example.parsed) for example in document.examples()]


@pytest.mark.parametrize(
    ("name", "template"),
    [(name, template) for name in DOCUMENTS for template in read_templates(name)],
)
def test_a_template_is_read(name: str, template: str, tmp_path: Path) -> None:
    with tagging_stage(tmp_path) as names:
        names["app"].jinja_env.from_string(template)


def test_the_macros_show_the_tags(tmp_path: Path) -> None:
    first, links, own = read_templates("macros")
    with tagging_stage(tmp_path) as names:
        app, autotag, photo = names["app"], names["autotag"], names["photo"]
        autotag.authorizer(lambda action, instance: True)
        app.add_url_rule("/photos/<tag>", "photos.gallery")
        given = {"photo": photo, "photo_tags": autotag.tags_for(photo)}
        with app.test_request_context("/photos"):
            page = app.jinja_env.from_string(first + links + own).render(given)
    assert "/photos/sunset" in page
    assert "field.css" in page
    assert 'value="front page"' in page
