"""``.. autotag-keys::`` lists all configuration keys, generated from the code."""

from __future__ import annotations

from docutils import nodes
from sphinx.application import Sphinx
from sphinx.util.docutils import SphinxDirective

from flask_autotag.providers.registry import sections
from flask_autotag.settings.config import KEYS


class AutotagKeys(SphinxDirective):
    def run(self) -> list[nodes.Node]:
        lines: list[str] = []
        for section in sections():
            lines += [section.title, "-" * len(section.title), ""]
            for key, field in section.config_keys().items():
                lines += _entry(key, field.default, f"{field.label}. {field.help}")
        lines += ["Operation", "---------", ""]
        for key, entry in KEYS.items():
            lines += _entry(key, entry.default, entry.help)
        return self.parse_text_to_nodes("\n".join(lines), allow_section_headings=True)


def _entry(key: str, default: object, text: str) -> list[str]:
    return [f"``{key}``", f"    {text}", "", f"    Default: ``{default!r}``", ""]


def setup(app: Sphinx) -> dict[str, bool]:
    app.add_directive("autotag-keys", AutotagKeys)
    return {"parallel_read_safe": True}
