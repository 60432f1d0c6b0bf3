"""A page of media hears that there are more, and a page that was away asks anyway."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import Any

import pytest

from studio.runs.models import Run
from studio.worker.spool import SpoolReader
from tests.factories import GREY_PIXEL
from trainer_core.events import MEDIA, METRICS, MetricBlock, SpoolWriter

pytestmark = pytest.mark.stack
BEYOND = 2**53 - 1


def is_media(message: dict[str, Any]) -> bool:
    return message.get("t") == "media"


def test_new_media_are_told_at_once_and_points_are_not_sent(run: Run, open_tab: Any, tmp_path: Path) -> None:
    tab = open_tab()
    tab.subscribe(f"run:{run.pk}", cursor=BEYOND)
    assert is_media(tab.hear_until(is_media)[-1]), "a page that comes back asks"
    digest = hashlib.sha256(GREY_PIXEL).hexdigest()
    (tmp_path / "media").mkdir()
    (tmp_path / "media" / digest).write_bytes(GREY_PIXEL)
    item = {"sha256": digest, "size": len(GREY_PIXEL), "mime": "image/png"}
    told = {"kind": "image", "key": "k", "step": 1, "at": 1, "t": 1e9, "items": [item]}
    writer = SpoolWriter(tmp_path / "spool")
    points = MetricBlock.from_rows(["loss"], [(1.0, 0.0, 1e9, [0.5])])
    writer.write((METRICS, points.encode()), (MEDIA, json.dumps(told).encode()))
    assert SpoolReader(run.attempts.get(), tmp_path, lambda event: None).read()
    heard = tab.hear_until(is_media)
    assert not [message for message in heard if message.get("t") == "m"]
    assert run.media.get().sha256 == digest
