"""Collects the texts of the pages for translators.

Run it after texts were added or changed. It writes the template
``flask_autotag/translations/flask_autotag.pot``, updates the catalogues and compiles
them::

    pip install babel
    python tools/messages.py

``python tools/messages.py --add fr`` adds a new language.
"""

from __future__ import annotations

import argparse
from pathlib import Path

from babel.messages.catalog import Catalog
from babel.messages.extract import extract_from_dir
from babel.messages.mofile import write_mo
from babel.messages.pofile import read_po, write_po

import flask_autotag
from flask_autotag.providers.registry import BUNDLED
from flask_autotag.settings.fields import GENERAL
from flask_autotag.tags.explanation import DOUBTFUL_SUGGESTED, REASONS
from flask_autotag.tags.queries.latest_job import JOB_STATES, OFTEN, ONCE
from flask_autotag.web.admin.tags.word_view import RULES
from flask_autotag.web.translation import DOMAIN

PACKAGE = Path(flask_autotag.__file__).parent
TRANSLATIONS = PACKAGE / "translations"
METHODS = [
    (f"{package}/**.py", "python") for package in ("web", "settings", "providers")
]
TEMPLATES = [("templates/**.html", "jinja2")]
KEYWORDS = dict.fromkeys(("_", "gettext", "autotag_text", "translatable", "CheckError"))


def collect() -> Catalog:
    """Return all messages: in calls, in templates, and in declared fields."""
    catalog = Catalog(project="Flask-AutoTag", domain=DOMAIN, fuzzy=False)
    for path, _line, message, _comments, _context in extract_from_dir(
        PACKAGE, METHODS + TEMPLATES, keywords=KEYWORDS
    ):
        catalog.add(message, locations=[(path, 0)])
    for section in (GENERAL, RULES, *(provider.section for provider in BUNDLED)):
        texts = [section.title]
        for field in section.fields:
            texts += [field.label, field.help, field.system_help]
        for text in filter(None, texts):
            catalog.add(text, locations=[(f"section {section.name or 'general'}", 0)])
    reasons = (*REASONS.values(), DOUBTFUL_SUGGESTED)
    for text in (*reasons, *JOB_STATES.values(), ONCE, OFTEN):
        catalog.add(text)
    return catalog


def main() -> None:
    """Write the template, and update the catalogues."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--add", metavar="LANGUAGE", help="add a catalogue")
    added = parser.parse_args().add
    template = collect()
    with (TRANSLATIONS / f"{DOMAIN}.pot").open("wb") as file:
        write_po(file, template, no_location=True, sort_output=True, omit_header=True)
    paths = set(TRANSLATIONS.glob(f"*/LC_MESSAGES/{DOMAIN}.po"))
    if added:
        paths.add(TRANSLATIONS / added / "LC_MESSAGES" / f"{DOMAIN}.po")
    for path in sorted(paths):
        update(path, template)


def update(path: Path, template: Catalog) -> None:
    """Merge *template* into the catalogue at *path*, and compile it."""
    language = path.parent.parent.name
    catalog = Catalog(language, DOMAIN)
    if path.exists():
        with path.open("rb") as file:
            catalog = read_po(file, language, DOMAIN)
    catalog.update(template, no_fuzzy_matching=True)
    catalog.obsolete.clear()
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("wb") as file:
        write_po(
            file, catalog, no_location=True, sort_output=True, ignore_obsolete=True
        )
    with path.with_suffix(".mo").open("wb") as file:
        write_mo(file, catalog)
    missing = sum(not message.string for message in catalog if message.id)
    print(f"{language}: {missing} messages are not translated.")


if __name__ == "__main__":
    main()
