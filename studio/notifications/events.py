"""What has happened and is to be told: to whom, where to, in which words."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime
from typing import Any


@dataclass(frozen=True)
class Event:
    """`people` are user numbers; who may not see the project any more is not told.

    What is gathered is told to webhooks by another event later, and to those in `unmailed` is not sent by e-mail either.
    """

    key: str
    kind: str
    team_id: int
    project_id: int
    at: datetime
    title: str
    text: str
    url: str
    people: frozenset[int]
    facts: dict[str, Any] = field(default_factory=dict)
    bundle: str = ""
    is_gathered: bool = False
    unmailed: frozenset[int] = frozenset()
