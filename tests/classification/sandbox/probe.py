"""A provider that runs given code in a child, as a hostile image would.

The tests write it to a package of its own. It returns the code's result as a label.
"""

from __future__ import annotations

from flask_autotag.providers.base import Label, LocalProvider
from flask_autotag.settings import checks
from flask_autotag.settings.fields import Field, Section

#: Holds data that a child of another tenant must not see.
SEEN: list[str] = []


class Probe(LocalProvider):
    name = "probe"
    section = Section(
        "probe",
        "Probe",
        (
            Field("enabled", True, checks.boolean, "On", "Help."),
            Field("confidence_threshold", 0.5, checks.fraction, "Threshold", "Help."),
        ),
    )
    model = "1"
    side = 8

    def __init__(
        self, code, files=(), devices=(), forkable=True, load="pass", make="pass"
    ):
        exec(make, {})
        self._code, self._files, self._devices = code, files, devices
        self._forkable, self._load = forkable, load

    @classmethod
    def options(cls, settings, machine):
        return {}

    @property
    def forkable(self):
        return self._forkable

    @property
    def files(self):
        return self._files

    @property
    def devices(self):
        return self._devices

    def warm_up(self):
        exec(self._load, {"SEEN": SEEN, "self": self})

    def classify(self, images):
        names = {"SEEN": SEEN, "self": self, "images": images}
        try:
            exec(self._code, names)
            result = str(names.get("result"))
        except OSError as error:
            result = f"{type(error).__name__} {error.errno}"
        return [[Label("p", result[:100], 0.9)] for _ in images]
