"""What the settings name by dotted path exists; a misspelt one would be found at night."""

from __future__ import annotations

import importlib.util
import re
from collections.abc import Iterator
from typing import Any

import pytest
from django.conf import settings
from django.utils.module_loading import import_string

from studio import settings as product


def dotted_names(value: Any) -> Iterator[str]:
    """Names of this project anywhere in a setting's value."""
    if isinstance(value, str):
        if re.fullmatch(r"studio(\.\w+)+", value):
            yield value
    elif isinstance(value, dict):
        for item in value.values():
            yield from dotted_names(item)
    elif isinstance(value, list | tuple):
        for item in value:
            yield from dotted_names(item)


NAMES = sorted({name for key in dir(product) if key.isupper() for name in dotted_names(getattr(product, key))})


@pytest.mark.parametrize("name", NAMES)
def test_a_dotted_name_leads_somewhere(name: str) -> None:
    try:
        found = importlib.util.find_spec(name)
    except ModuleNotFoundError:
        found = None
    assert found or import_string(name)


@pytest.mark.parametrize("name", [name for _, name in settings.SCHEDULED])
def test_a_scheduled_function_can_be_called(name: str) -> None:
    assert callable(import_string(name))


def test_the_queue_never_carries_pickles() -> None:
    assert {queue["SERIALIZER"] for queue in settings.RQ_QUEUES.values()} == {"rq.serializers.JSONSerializer"}
    assert {queue["DEFAULT_TIMEOUT"] for queue in settings.RQ_QUEUES.values()} == {-1}
