"""The ``AUTOTAG_*`` keys of ``app.config`` that are not settings.

Every other ``AUTOTAG_*`` key, unless a section of settings has it, is refused: it is
probably misspelt.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from ..errors import ConfigurationError
from . import checks
from .checks import PREFIX, Check, checked
from .machine import Machine

if TYPE_CHECKING:
    from .fields import Section

MIB = 2**20


@dataclass(frozen=True)
class Key:
    """One key of ``app.config``: its default, its check and its documentation."""

    default: Any
    check: Check
    help: str


KEYS: Mapping[str, Key] = {
    "AUTOTAG_RUNNER": Key(
        "thread",
        checks.one_of("thread", "inline", "celery", "none"),
        "Where jobs run. ``thread``: in a thread of each process of the host, started"
        " when it is first needed. ``inline``: in the upload, as soon as its"
        " transaction has ended; for tests. ``celery``: in a Celery worker; see"
        " :doc:`celery`. ``none``: only in separate ``flask autotag worker``"
        " processes.",
    ),
    "AUTOTAG_CELERY_BROKER_URL": Key(
        None,
        checks.optional_text,
        "The broker of the extension's own Celery application, used if the host has"
        " none; such as ``redis://127.0.0.1:6379/0`` or"
        " ``amqp://guest:guest@127.0.0.1//``.",
    ),
    "AUTOTAG_CELERY_QUEUE": Key(
        None,
        checks.optional_text,
        "The Celery queue that receives the jobs. ``None`` means Celery's default"
        " queue.",
    ),
    "AUTOTAG_URL_PREFIX": Key(
        "/autotag",
        checks.url_prefix,
        "The URL prefix of the pages. ``None`` leaves the pages out.",
    ),
    "AUTOTAG_BLUEPRINT": Key(
        "autotag",
        checks.identifier,
        "The name of the blueprint of the overview and the system's pages. Two others"
        " add ``_instance`` and ``_api`` to it. Change it if the host has a blueprint"
        " of one of these names; see :doc:`pages`.",
    ),
    "AUTOTAG_API": Key(
        None,
        checks.url_prefix,
        "The URL prefix of the JSON API, such as ``/api/autotag``; see :doc:`json`."
        " ``None`` leaves the API out.",
    ),
    "AUTOTAG_METRICS": Key(
        None,
        checks.url_prefix,
        "The path of the metrics for Prometheus (extra ``metrics``), such as"
        " ``/metrics/autotag``; see :doc:`metrics`. ``None`` leaves the metrics out.",
    ),
    "AUTOTAG_BASE_TEMPLATE": Key(
        "autotag/base.html",
        checks.text,
        "The template that the pages extend; see :doc:`pages`.",
    ),
    "AUTOTAG_SECRET_KEYS": Key(
        None,
        checks.secret_keys,
        "The secrets that encrypt stored API keys, newest first: a list, or a text with"
        " commas. Each has at least 32 random characters. ``None`` means"
        " ``SECRET_KEY`` and ``SECRET_KEY_FALLBACKS``.",
    ),
    "AUTOTAG_ALLOWED_ORIGINS": Key(
        frozenset(),
        checks.origins,
        "Private addresses, or addresses without TLS, that administrators may set as"
        " endpoints, such as ``http://127.0.0.1:8501``: a list, or a text with commas.",
    ),
    "AUTOTAG_REUSE_ACROSS_INSTANCES": Key(
        False,
        checks.boolean,
        "Use the labels that a remote provider returned for an image in other instances"
        " too, so that the same bytes are paid for once. Instances with their own"
        " endpoint, key, language or similar settings neither give nor get labels.",
    ),
    "AUTOTAG_MAX_WORDS": Key(
        10_000,
        checks.whole_number(1, 1_000_000),
        "The most words for which an instance, or the system, may have a rule. A CSV"
        " file that would exceed it is refused as a whole. A vocabulary that exceeds it"
        " already can shrink, but not grow.",
    ),
    "AUTOTAG_MODEL_DIR": Key(
        None,
        checks.folder,
        "A folder with further models, each in its own folder with a ``model.toml``.",
    ),
    "AUTOTAG_MAX_IMAGE_BYTES": Key(
        25 * MIB,
        checks.whole_number(1, 1024 * MIB),
        "The largest image file that is decoded, in bytes. The jobs of larger files"
        " fail.",
    ),
    "AUTOTAG_TIMEOUT": Key(
        30,
        checks.whole_number(1, 3600),
        "Seconds after which the child process that decodes and classifies an image is"
        " killed.",
    ),
    "AUTOTAG_MEMORY_LIMIT": Key(
        4096,
        checks.whole_number(0, 2**20),
        "The address space of a child process, in MiB; 0 means no limit. TensorFlow"
        " itself takes some 2,400 MiB before the first image, a bundled model a tenth"
        " of that. It has no effect on Windows.",
    ),
    "AUTOTAG_TENSORFLOW_DEVICE": Key(
        None,
        checks.device,
        "The device for models that need TensorFlow itself, such as ``CPU`` or"
        " ``GPU:1``. ``None`` lets TensorFlow choose. GPUs are untested; see"
        " :doc:`models`.",
    ),
}


@dataclass(frozen=True)
class Config:
    """The checked values of :data:`KEYS`."""

    runner: str
    celery_broker_url: str | None
    celery_queue: str | None
    url_prefix: str | None
    blueprint: str
    api: str | None
    metrics: str | None
    base_template: str
    secret_keys: tuple[str, ...] | None = field(repr=False)
    allowed_origins: frozenset[str]
    reuse_across_instances: bool
    max_words: int
    model_dir: str | None
    max_image_bytes: int
    timeout: int
    memory_limit: int
    tensorflow_device: str | None

    @property
    def machine(self) -> Machine:
        """The part that providers need."""
        return Machine(self.model_dir, self.tensorflow_device)


def read_config(app_config: Mapping[str, Any]) -> Config:
    """Return the checked values of :data:`KEYS` in ``app.config``.

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


def has_setting_keys(app_config: Mapping[str, Any]) -> bool:
    """Whether there are ``AUTOTAG_*`` keys that are not among :data:`KEYS`."""
    return any(key.startswith(PREFIX) and key not in KEYS for key in app_config)


def refuse_unknown(app_config: Mapping[str, Any], sections: Iterable[Section]) -> None:
    """Refuse unknown ``AUTOTAG_*`` keys, and fields whose key is taken.

    :raises ConfigurationError: with similar known keys, or with the provider's section
        and field.
    """
    known = _known_keys(sections)
    for key in app_config:
        if key.startswith(PREFIX) and key not in known:
            from .did_you_mean import did_you_mean

            hint = (
                did_you_mean(key, known, "_", PREFIX)
                or "'Configuration' in the documentation lists all keys."
            )
            raise ConfigurationError(f"Flask-AutoTag has no key {key}. {hint}")


def _known_keys(sections: Iterable[Section]) -> set[str]:
    known = set(KEYS)
    for section in sections:
        for key, setting in section.config_keys().items():
            if key in known:
                raise ConfigurationError(
                    f"The field {setting.name!r} of the section {section.name!r} would"
                    f" be set by {key}, which is already a key of Flask-AutoTag or of"
                    " another section. Rename the field."
                )
            known.add(key)
    return known
