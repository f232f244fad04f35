"""Reads the configuration of providers, and imports them only if there is any."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from importlib.metadata import entry_points
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from ..settings.config import Config
    from ..settings.fields import Layer, Section

#: The entry point group in which packages announce their providers.
GROUP = "flask_autotag.providers"

#: Returns all sections of settings, for the origins that endpoints may have.
FindSections = Callable[[frozenset[str]], Sequence["Section"]]


def read_app_config(
    app_config: Mapping[str, Any], find_sections: FindSections
) -> tuple[Config, Layer]:
    """Return the configuration, and the settings in ``app.config``.

    The bundled providers are correct and have defaults, so they are imported only to
    check keys. Providers of other packages are always imported: an unusable one is
    refused when the host starts, and not at the first image.

    :param find_sections: imports and calls :func:`.registry.sections`.
    :raises ConfigurationError: if a key is unknown, a value is not accepted, or a
        provider cannot be used.
    """
    # Not above: child processes import GROUP.
    from ..settings.config import has_setting_keys, read_config, refuse_unknown

    if not has_setting_keys(app_config) and not entry_points(group=GROUP):
        return read_config(app_config), {}

    from ..settings.resolution import check_choices, read_config_layer

    refuse_unknown(app_config, find_sections(frozenset()))
    config = read_config(app_config)
    sections = find_sections(config.allowed_origins)
    layer = read_config_layer(sections, app_config)
    check_choices(sections, layer, config.model_dir)
    return config, layer
