"""The ``AUTOTAG_*`` keys that say how the extension operates.

Together with the keys of the settings (``settings.py``) they are all the keys
there are; any other is refused, so that a misspelt one is noticed.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from . import checks
from .checks import Check
from .errors import ConfigurationError
from .nearest import did_you_mean
from .providers.base import Machine
from .providers.endpoints import origins
from .settings.fields import PREFIX, Section
from .settings.resolution import checked

MIB = 2**20


@dataclass(frozen=True)
class Key:
    """One key of ``app.config``: its default, its check, and what it does."""

    default: Any
    check: Check
    help: str


KEYS: Mapping[str, Key] = {
    "AUTOTAG_RUNNER": Key(
        "thread",
        checks.one_of("thread", "inline", "celery", "none"),
        "Who tags. ``thread``: a thread in every process of the host, started when"
        " it is first needed. ``inline``: the upload itself, as soon as its"
        " transaction has ended; for tests. ``celery``: a Celery worker; see"
        " :doc:`celery`. ``none``: nobody here, but a separate"
        " ``flask autotag worker``.",
    ),
    "AUTOTAG_CELERY_BROKER_URL": Key(
        None,
        checks.optional_text,
        "The broker of a Celery application of our own, where the host has none;"
        " such as ``redis://127.0.0.1:6379/0`` or ``amqp://guest:guest@127.0.0.1//``.",
    ),
    "AUTOTAG_CELERY_QUEUE": Key(
        None,
        checks.optional_text,
        "The Celery queue that jobs are sent to. Without it, Celery's default one.",
    ),
    "AUTOTAG_URL_PREFIX": Key(
        "/autotag",
        checks.url_prefix,
        "Where the settings pages are. ``None`` leaves them out.",
    ),
    "AUTOTAG_API": Key(
        None,
        checks.url_prefix,
        "Where the JSON API is, such as ``/api/autotag``; see :doc:`json`. ``None``"
        " leaves it out.",
    ),
    "AUTOTAG_METRICS": Key(
        None,
        checks.url_prefix,
        "Where the host serves metrics for Prometheus (extra ``metrics``), such as"
        " ``/metrics/autotag``; see :doc:`metrics`. ``None`` leaves them out.",
    ),
    "AUTOTAG_BASE_TEMPLATE": Key(
        "autotag/base.html",
        checks.text,
        "The template that the settings pages extend; see :doc:`pages`.",
    ),
    "AUTOTAG_SECRET_KEYS": Key(
        None,
        checks.secret_keys,
        "Secrets with which stored API keys are encrypted, newest first: a list, or a"
        " text with commas, each at least 32 random characters. Without it they are"
        " derived from ``SECRET_KEY``.",
    ),
    "AUTOTAG_ALLOWED_ORIGINS": Key(
        frozenset(),
        origins,
        "Further addresses that administrators may set as endpoints, though they are"
        " private or without TLS, such as ``http://127.0.0.1:8501``: a list, or a text"
        " with commas.",
    ),
    "AUTOTAG_REUSE_ACROSS_INSTANCES": Key(
        False,
        checks.boolean,
        "Whether what a provider elsewhere said of an image is used for the same bytes"
        " in other instances too, instead of paying again.",
    ),
    "AUTOTAG_MODEL_DIR": Key(
        None,
        checks.folder,
        "A folder with further models, each in a folder of its own with a"
        " ``model.toml``.",
    ),
    "AUTOTAG_MAX_IMAGE_BYTES": Key(
        25 * MIB,
        checks.whole_number(1, 1024 * MIB),
        "The largest file that is decoded, in bytes. Larger ones end as failed jobs.",
    ),
    "AUTOTAG_TIMEOUT": Key(
        30,
        checks.whole_number(1, 3600),
        "Seconds after which the child process that decodes and classifies one"
        " image is killed.",
    ),
    "AUTOTAG_MEMORY_LIMIT": Key(
        4096,
        checks.whole_number(0, 2**20),
        "Address space that a child process may use, in MiB; 0 for no limit."
        " TensorFlow itself takes some 2,400 of it, before any image; a bundled model"
        " a tenth of that. Without effect on Windows.",
    ),
    "AUTOTAG_TENSORFLOW_DEVICE": Key(
        None,
        checks.device,
        "Where models run that need TensorFlow itself, such as ``CPU`` or ``GPU:1``;"
        " TensorFlow chooses without it. Nobody has tried a GPU; see :doc:`models`.",
    ),
}


@dataclass(frozen=True)
class Config:
    """The checked values of :data:`KEYS`."""

    runner: str
    celery_broker_url: str | None
    celery_queue: str | None
    url_prefix: str | None
    api: str | None
    metrics: str | None
    base_template: str
    secret_keys: tuple[str, ...] | None = field(repr=False)
    allowed_origins: frozenset[str]
    reuse_across_instances: bool
    model_dir: str | None
    max_image_bytes: int
    timeout: int
    memory_limit: int
    tensorflow_device: str | None

    @property
    def machine(self) -> Machine:
        """What of it classifying needs."""
        return Machine(self.model_dir, self.tensorflow_device)


def read_config(app_config: Mapping[str, Any]) -> Config:
    """Check the ``AUTOTAG_*`` keys of ``app.config`` and collect their values.

    :raises ConfigurationError: if a value is not accepted; the message names the key.
    """
    return Config(
        **{
            name.removeprefix(PREFIX).lower(): checked(
                name, key.check, app_config.get(name, key.default)
            )
            for name, key in KEYS.items()
        }
    )


def refuse_unknown(app_config: Mapping[str, Any], sections: Iterable[Section]) -> None:
    """Refuse ``AUTOTAG_*`` keys that nothing reads, or that two would.

    :raises ConfigurationError: with the known keys that may have been meant, or the
        section of a provider whose key is another's.
    """
    known = _known_keys(sections)
    for key in app_config:
        if key.startswith(PREFIX) and key not in known:
            hint = (
                did_you_mean(key, known, "_", PREFIX)
                or "'Configuration' in the documentation has them all."
            )
            raise ConfigurationError(f"{key} is no key of Flask-AutoTag. {hint}")


def _known_keys(sections: Iterable[Section]) -> set[str]:
    known = set(KEYS)
    for section in sections:
        for key, setting in section.config_keys().items():
            if key in known:
                raise ConfigurationError(
                    f"The field {setting.name!r} of the section {section.name!r} would"
                    f" be set by {key}, which is the key of something else: it needs"
                    " another name."
                )
            known.add(key)
    return known
