"""What is made to do harm is refused with its reason, and nothing of it stays: no blob, no upload, no file beside."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from studio.registry import preview
from studio.registry.files import create_dataset_from_file
from studio.registry.look.__main__ import look
from studio.registry.models import Upload
from studio.registry.tables.inspection import inspect_csv
from studio.registry.tables.reading import TableError
from tests.access.people import People
from tests.registry.conftest import ControlQueue
from tests.registry.files import BOMB, HOSTILE, pets, with_pets, zipped


def reading(path: Path, kind: str, filename: str = "") -> Any:
    """As the job reads it: CSV by itself, everything else by the look."""
    if kind == "table" and not preview._is_records(path, filename):
        return inspect_csv(path)
    return look({"path": str(path), "kind": kind}, lambda share: None)


@pytest.mark.parametrize("case", HOSTILE)
def test_it_is_refused_with_its_reason(tmp_path: Path, case: str) -> None:
    kind, data, words = HOSTILE[case]
    path = tmp_path / "sent"
    path.write_bytes(data)
    with pytest.raises(TableError, match=words) as raised:
        reading(path, kind)
    assert "Traceback" not in str(raised.value)
    assert len(raised.value.text) < 600
    assert [p.name for p in tmp_path.iterdir()] == ["sent"]


@pytest.mark.parametrize("share", range(1, 16))
def test_an_archive_cut_off_anywhere_is_refused(tmp_path: Path, share: int) -> None:
    data = zipped(pets())
    path = tmp_path / "sent"
    path.write_bytes(data[: len(data) * share // 16])
    with pytest.raises(TableError):
        reading(path, "images")


@pytest.mark.parametrize("seed", range(5))
def test_bytes_turned_anywhere_are_refused_or_harmless(tmp_path: Path, seed: int) -> None:
    import random

    rng, whole = random.Random(seed), with_pets()
    for _ in range(20):
        data = bytearray(whole)
        data[rng.randrange(len(data))] ^= 1 << rng.randrange(8)
        path = tmp_path / "sent"
        path.write_bytes(data)
        try:
            reading(path, "images")
        except TableError as error:
            assert error.text  # noqa: PT017 - either outcome is right


@pytest.mark.parametrize("kind", ["images", "arrays"])
def test_nothing_of_it_stays(people: People, control: ControlQueue, settings: Any, kind: str) -> None:
    case = {"images": BOMB, "arrays": HOSTILE["pickled objects"][1]}[kind]
    version = create_dataset_from_file(kind=kind, project=people.project, user=people.editor, name="H", data=case)
    control.work()
    version.refresh_from_db()
    assert (version.state, version.blobs) == ("rejected", {})
    assert not Upload.objects.exists()
    for folder in (Path(settings.UPLOADS_DIR), Path(settings.BLOBS_DIR)):
        assert [p for p in folder.rglob("*") if p.is_file()] == []


def test_a_reader_that_dies_is_a_reason_in_words(
    people: People, control: ControlQueue, monkeypatch: pytest.MonkeyPatch
) -> None:
    from studio.registry.child import Ended

    monkeypatch.setattr(preview, "run_child", lambda *a, **k: Ended(-9, False, ""))
    data = zipped(pets())
    version = create_dataset_from_file(kind="images", project=people.project, user=people.editor, name="H", data=data)
    control.work()
    version.refresh_from_db()
    assert version.state == "rejected"
    assert "took too much memory" in version.reason
