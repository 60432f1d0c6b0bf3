"""Checkpoints used from Python: a worker predicts and makes files, which arrive verified; and aliases need two people."""

from __future__ import annotations

import json
import threading
import zipfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from django.db import connection

from studio.client import Client, StudioError
from studio.client.checkpoints import Checkpoint
from studio.client.errors import Damaged
from studio.runs import packs, preflight
from studio.runs.checkpoints import path_of
from studio.runs.models import CheckpointFile
from studio.worker import preflights
from studio.worker.standby import Standby
from tests import factories
from tests.access.people import People
from tests.client.test_registered import in_run, saved
from trainer_core.checkpoint.io import sha256_of

__all__ = ["saved"]


@pytest.fixture
def worker(transactional_db: None) -> Iterator[None]:
    """Answers questions, as the job of a worker does."""
    stop, row = threading.Event(), factories.make_worker()

    def work() -> None:
        standby = Standby()
        try:
            while not stop.is_set():
                if taken := preflight.take_next(row, "default"):
                    preflights.answer(taken, standby)
                else:
                    stop.wait(0.02)
        finally:
            standby.close()
            connection.close()

    thread = threading.Thread(target=work)
    thread.start()
    yield
    stop.set()
    thread.join()


@pytest.fixture
def wine(people: People, saved: Path, studio: Client) -> Checkpoint:
    spec = json.loads((saved.parents[1] / "spec.json").read_text())
    made = in_run(factories.make_run(people.project, state="succeeded", spec=spec), saved)
    (found,) = [one for one in studio.runs.get(made.run_id).checkpoints() if one.id == made.pk]
    return found


@pytest.mark.timeout(200)
@pytest.mark.usefixtures("worker")
def test_a_row_is_predicted_and_wrong_ones_are_told_in_words(studio: Client, wine: Checkpoint) -> None:
    takes = wine.takes()
    names = [column["name"] for column in takes["columns"]]
    assert takes["kind"] == "row"
    row = {column["name"]: column["usual"] for column in takes["columns"]}
    answer = wine.predict(row=row)
    assert answer["label"] == answer["classes"][0]["name"]
    assert sum(one["probability"] for one in answer["classes"]) == pytest.approx(1)
    assert wine.predict(row={**row, names[0]: float("nan")})["label"], "counts as missing"
    with pytest.raises(StudioError, match="There is no column 'colour'"):
        wine.predict(row={"colour": "red"})
    with pytest.raises(StudioError, match="is a number, such as .*; “much” is none"):
        wine.predict(row={names[0]: "much"})
    with pytest.raises(StudioError, match="takes a row; what was given is a text"):
        wine.predict(text="a wine")
    with pytest.raises(StudioError, match="takes a row; what was given is an image"):
        wine.predict(image=b"pixels")
    with pytest.raises(ValueError, match="Give a row"):
        wine.predict()


@pytest.mark.timeout(200)
@pytest.mark.usefixtures("worker")
def test_files_are_made_and_arrive_verified(
    studio: Client, wine: Checkpoint, client_of: Callable[..., Client], tmp_path: Path
) -> None:
    version = studio.registered.promote(wine, "wines", alias="production")
    made = {one.kind: one for one in version.make_files()}
    assert {"pack", "safetensors"} <= set(made)
    pack = made["pack"].download(tmp_path)
    assert (pack.name, sha256_of(pack)) == (made["pack"].name, made["pack"].sha256)
    assert any(name.endswith("predict.py") for name in zipfile.ZipFile(pack).namelist())
    viewer = client_of("viewer", "read").registered.get("wines@production", project=version_project(studio))
    assert [one.sha256 for one in viewer.files()] == [one.sha256 for one in wine.files()]
    with pytest.raises(StudioError):
        viewer.make_files()


def version_project(studio: Client) -> int:
    return studio.projects.get("Digits").id


def test_a_file_that_is_there_is_not_fetched_again_and_half_of_one_is_gone_on_with(
    studio: Client, wine: Checkpoint, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    target, fetched = tmp_path / "wine.ckpt", []
    studio.registered.promote(wine, "wines", alias="production")
    append = "studio.client.download._append"
    from studio.client import download

    real = download._append
    monkeypatch.setattr(
        append, lambda response, *args, **more: fetched.append(response.headers) or real(response, *args, **more)
    )
    whole = studio.registered.download("wines@production", project="Digits", path=target)
    again = studio.registered.download("wines@production", project="Digits", path=target)
    assert whole == again == target
    assert len(fetched) == 1
    data, digest = target.read_bytes(), sha256_of(target)
    target.unlink()
    (tmp_path / f"wine.ckpt.{digest[:12]}.part").write_bytes(data[:1000])
    assert wine.download(target).read_bytes() == data
    assert fetched[-1]["Content-Range"] == f"bytes 1000-{len(data) - 1}/{len(data)}"
    target.write_bytes(data[:-1] + b"?")
    assert wine.download(target).read_bytes() == data, "another file of that name is replaced"


def test_what_arrives_damaged_is_not_kept(studio: Client, wine: Checkpoint, tmp_path: Path) -> None:
    from studio.runs.models import Checkpoint as Row

    made = CheckpointFile.objects.create(
        project_id=version_project(studio), checkpoint_id=wine.id, kind="onnx", size_bytes=5, sha256="0" * 64
    )
    packs.place_of(made).write_bytes(b"other")
    with pytest.raises(Damaged):
        wine.files()[0].download(tmp_path / "model.onnx")
    assert list(tmp_path.iterdir()) == []
    assert path_of(Row.objects.get(pk=wine.id)).is_file()


def test_an_alias_with_a_reviewer_waits_and_history_tells_all(
    studio: Client, people: People, client_of: Callable[..., Client]
) -> None:
    run = factories.make_run(people.project, state="succeeded")
    first, second = (factories.write_checkpoint(run, step=step).pk for step in (10, 20))
    project, owner = people.project.pk, client_of("owner")
    studio.registered.promote(first, "digits", alias="production")
    two = studio.registered.promote(second, "digits", alias="production", reviewer="owner", why="better")
    assert (two.aliases, two.asked) == ([], ["production"])
    (move,) = owner.registered.moves("digits", project=project, stage="waiting")
    assert (move.by, move.reviewer, move.before, move.version, move.why) == ("editor", "owner", 1, 2, "better")
    with pytest.raises(StudioError, match="Somebody else"):
        studio.registered.moves("digits", project=project)[0].approve()
    assert move.approve().stage == "done"
    assert two.refresh().aliases == ["production"]
    owner.registered.protect("digits", "production", project=project)
    assert studio.registered.roll_back("digits", "production", project=project).id == two.id, "it waits"
    (back,) = studio.registered.moves("digits", project=project, stage="waiting")
    assert back.is_rollback and back.decline().stage == "declined"
    with pytest.raises(StudioError, match="is protected"):
        studio.registered.remove_alias("digits", "production", project=project)
    owner.registered.protect("digits", "production", project=project, on=False)
    assert studio.registered.remove_alias("digits", "production", project=project).version is None
    assert [one.number for one in studio.registered.versions("digits", project=project)] == [2, 1]
    two.delete()
    assert [one.number for one in studio.registered.versions("digits", project=project)] == [1]
    with pytest.raises(StudioError, match="no registered model 'cats'"):
        studio.registered.moves("cats", project=project)


def test_an_answer_that_is_lost_is_not_rolled_back_twice(
    studio: Client, people: People, monkeypatch: pytest.MonkeyPatch
) -> None:
    run: Any = factories.make_run(people.project, state="succeeded")
    for step in (10, 20, 30):
        studio.registered.promote(factories.write_checkpoint(run, step=step).pk, "digits", alias="production")
    connection_of = studio._connection
    real, sent = connection_of.open, []

    def lossy(method: str, path: str, **more: Any) -> Any:
        response = real(method, path, **more)
        if path.endswith("roll-back") and not sent:
            sent.append(response.read())
            response.close()
            raise ConnectionResetError("the answer is lost")
        return response

    monkeypatch.setattr(connection_of, "open", lossy)
    assert studio.registered.roll_back("digits", "production", project=people.project.pk).number == 2
    assert sent
