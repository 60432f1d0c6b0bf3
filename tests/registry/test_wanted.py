"""A table that came with its choices goes from inspecting to ready at once: whoever waits for it sees no state between."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from django.db import connection

from studio.registry import preview
from studio.registry.models import DatasetVersion, VersionState
from tests.factories import make_dataset_version


@pytest.mark.django_db(transaction=True)
def test_the_choices_are_made_in_the_transaction_that_tells_of_the_columns(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    version = make_dataset_version(
        state=VersionState.INSPECTING, ref="CSVTable", info={"wanted": {"target": "kind"}}, blobs={"path": "0" * 64}
    )
    path = tmp_path / "table.csv"
    path.write_text("a,kind\n" + "\n".join(f"{k % 7},{'xy'[k % 2]}" for k in range(200)) + "\n")
    together: list[bool] = []
    choose = preview.choose

    def choosing(*args: Any) -> dict[str, str]:
        together.append(connection.in_atomic_block)
        return choose(*args)

    monkeypatch.setattr(preview, "choose", choosing)
    preview._inspect_csv(version, path)
    assert together == [True]
    found = DatasetVersion.objects.get(pk=version.pk)
    assert found.state == VersionState.READY, found.reason
