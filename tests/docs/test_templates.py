"""The templates of the documentation can be rendered."""

from __future__ import annotations

from pathlib import Path

import pytest
from bs4 import BeautifulSoup
from jinja2 import ChoiceLoader, DictLoader
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


#: The macro of Flask's documentation.
FORMS = """
{% macro render_field(field) %}
  <dt>{{ field.label }}
  <dd class="{{ field.type }}">{{ field(**kwargs)|safe }}
  {% if field.errors %}
    <ul class=errors>
    {% for error in field.errors %}
      <li>{{ error }}</li>
    {% endfor %}
    </ul>
  {% endif %}
  </dd>
{% endmacro %}
"""


def test_settings_are_shown_by_a_macro_of_the_host(tmp_path: Path) -> None:
    own_field = next(
        template for template in read_templates("pages") if "render_field" in template
    )
    with tagging_stage(tmp_path) as names:
        app, autotag = names["app"], names["autotag"]
        autotag.authorizer(lambda action, instance: True)
        own = DictLoader({"autotag/_field.html": own_field, "forms.html": FORMS})
        app.jinja_loader = ChoiceLoader([own, app.jinja_loader])
        client = app.test_client()
        threshold = "setting.tensorflow.confidence_threshold"
        key = "setting.google.api_key"

        def send(**typed: str) -> BeautifulSoup:
            page = BeautifulSoup(client.get("/autotag/system").text, "html.parser")
            form = page.select_one("form[data-autotag-form]")
            assert form is not None
            sent = {
                str(each["name"]): str(each.get("value", ""))
                for each in form.select("input[name]:not([type=checkbox])")
            }
            for each in form.select("select"):
                chosen = each.select_one("[selected]")
                sent[str(each["name"])] = str(chosen["value"]) if chosen else ""
            answer = client.post(
                "/autotag/system", data=sent | typed, follow_redirects=True
            )
            return BeautifulSoup(answer.text, "html.parser")

        page = send(**{threshold: "high", key: "AIza-secret-0123"})
        [error] = page.select("dd.StringField .errors li")
        assert error.text == "must be a number from 0 to 1, not 'high'"
        assert "secret" not in page.text
        assert page.select("dd.SelectField select option")
        page = send(**{threshold: "0.4", key: "AIza-secret-0123"})
        assert page.select_one(f'dd.StringField [name="{threshold}"][value="0.40"]')
        assert page.select_one('dd.PasswordField [type="password"][value=""]')
        assert page.select_one('dd.BooleanField [name="remove.google.api_key"]')
        assert page.select_one('button[value="tensorflow.confidence_threshold"]')
        assert "Set here. Default: 0.50." in page.text
        page = send(**{"remove.google.api_key": "1"})
        assert page.select('[name="remove.google.api_key"]') == []
