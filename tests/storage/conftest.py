"""A data directory of its own for every test of storage: what other tests left there is not counted."""

from __future__ import annotations

from pathlib import Path

import pytest
from django.conf import LazySettings


@pytest.fixture(autouse=True)
def data_dir(tmp_path: Path, settings: LazySettings) -> Path:
    settings.DATA_DIR = tmp_path
    settings.BLOBS_DIR, settings.UPLOADS_DIR, settings.RUNS_DIR = (
        tmp_path / name for name in ("blobs", "uploads", "runs")
    )
    return tmp_path
