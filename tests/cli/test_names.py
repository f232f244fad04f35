"""Arguments that are not UTF-8, which no database can search for."""

from __future__ import annotations

import pytest

from ..hosts import Host
from .terminals import refused

#: How Python decodes an argument that is not UTF-8.
BROKEN = "a\udcff"


@pytest.mark.parametrize(
    ("arguments", "named"),
    [
        (["explain", BROKEN, "42"], "'TYPE'"),
        (["explain", "photo", BROKEN], "'ID'"),
        (["explain", "photo", "42", "--instance", BROKEN], "'--instance'"),
        (["try", "photo.jpg", "--instance", BROKEN], "'--instance'"),
        (["retag", "--instance", BROKEN], "'--instance'"),
        (["retag", "--type", BROKEN], "'--type'"),
        (["tag-untagged", "--type", BROKEN], "'--type'"),
        (["untag", "--instance", BROKEN], "'--instance'"),
        (["retry", "--instance", BROKEN], "'--instance'"),
        (["settings", "show", "--instance", BROKEN], "'--instance'"),
        (["vocabulary", "export", "--instance", BROKEN], "'--instance'"),
    ],
)
def test_names_that_are_not_valid_are_refused(
    host: Host, arguments: list[str], named: str
) -> None:
    assert refused(host, *arguments) == (
        f"Error: Invalid value for {named}: 'a\\udcff' is not valid UTF-8."
    )
