"""The program of an editor."""

from __future__ import annotations

import pytest

from tests.access.people import People
from tests.api.program import Api


@pytest.fixture
def api(people: People) -> Api:
    return Api(people.editor)
