"""A checkpoint that people try and hand out: answered by a trainer of a worker, kept as files, used without the studio."""

from __future__ import annotations

import io
import json
import os
import shutil
import subprocess
import sys
import zipfile
from pathlib import Path
from typing import Any

import pytest
from django.core.files.uploadedfile import SimpleUploadedFile
from django.urls import reverse

from studio.runs import packs, preflight
from studio.runs.checkpoints import folder_of, path_of
from studio.runs.models import Checkpoint, CheckpointFile, Preflight, State
from studio.runs.try_forms import MOST_IMAGE_BYTES, TryForm
from studio.worker import preflights
from studio.worker.standby import Standby
from tests.access.people import People
from tests.factories import make_checkpoint, make_run, make_worker, write_checkpoint
from tests.runs.test_folder import body
from tests.trainer_core.standalone.trained import spec_of, table, train
from trainer_core.checkpoint.io import sha256_of
from trainer_core.spec import DataRef
from trainer_core.standalone import answers

pytestmark = pytest.mark.django_db
ROW = {"kind": "row", "columns": [{"name": "size", "kind": "number", "usual": 2.5},
                                  {"name": "kind", "kind": "choice", "choices": ["ash", "oak"]}]}  # fmt: skip


@pytest.fixture(autouse=True)
def _no_queue(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("studio.runs.queue._ring", lambda *args: None)
    monkeypatch.setattr("studio.runs.publish._add", lambda *args: None)


@pytest.fixture
def trained(people: People, tmp_path: Path) -> Checkpoint:
    spec = spec_of("TabularMLP", table(tmp_path), members=2)
    saved = train(spec, tmp_path / "run").parent
    run = make_run(people.project, state=State.SUCCEEDED, spec=spec.to_dict(), spec_hash=spec.hash)
    made = make_checkpoint(run, step=3, manifest_sha256=sha256_of(saved / "manifest.json"), metrics={"val_loss": 0.6})
    shutil.copytree(saved, folder_of(run.pk) / made.name)
    return made


def answered(asked: Preflight, standby: Standby) -> Preflight:
    taken = preflight.take_next(make_worker(), asked.pool)
    assert taken is not None
    preflights.answer(taken, standby)
    asked.refresh_from_db()
    return asked


def page_of(people: People, checkpoint: Checkpoint, asked: Preflight | None = None, person: str = "editor") -> str:
    query = f"?asked={asked.pk}" if asked else ""
    return people.client(person).get(reverse("checkpoint-use", args=[checkpoint.pk]) + query).content.decode()


def know(checkpoint: Checkpoint, schema: dict[str, Any]) -> None:
    Preflight.objects.create(
        project=checkpoint.run.project, kind="try", checkpoint=checkpoint, stage="done", result={"schema": schema}
    )


def test_a_row_is_predicted_by_a_trainer_of_a_worker(people: People, trained: Checkpoint) -> None:
    know(trained, answers.try_it({"checkpoint": str(path_of(trained))})["schema"])
    assert 'name="column-0"' in page_of(people, trained)
    address = reverse("checkpoint-ask", args=[trained.pk])
    response = people.client("editor").post(address, {"column-0": "3", "column-1": "oak"})
    assert response.status_code == 302
    asked = Preflight.objects.latest("pk")
    assert asked.given == {"what": {"size": "3", "kind": "oak"}}
    standby = Standby()
    try:
        answered(asked, standby)
    finally:
        standby.close()
    assert asked.stage == "done", asked.reason
    assert asked.result["prediction"]["label"] in ("yes", "no")
    page = page_of(people, trained, asked)
    assert f"<bdi>{asked.result['prediction']['label']}</bdi>" in page
    assert "<bdi>answer</bdi>" in page, "what was predicted"
    assert 'value="3"' in page, "what was typed is still there"
    assert not (path_of(trained).parents[2] / f"preflight-{asked.pk}").exists()


def test_the_pack_predicts_without_the_studio(people: People, trained: Checkpoint, tmp_path: Path) -> None:
    people.client("editor").post(reverse("checkpoint-export", args=[trained.pk]))
    asked = Preflight.objects.latest("pk")
    standby = Standby()
    try:
        answered(asked, standby)
    finally:
        standby.close()
    assert asked.stage == "done", asked.reason
    kinds = {made.kind: made for made in CheckpointFile.objects.all()}
    assert set(kinds) == {"pack", "safetensors", "onnx"}, asked.result
    assert "differs from torch by at most" in kinds["onnx"].words
    trained.refresh_from_db()
    folder = path_of(trained).parent
    held = sum(file.stat().st_size for file in folder.iterdir())
    assert held == path_of(trained).stat().st_size + trained.manifest_bytes, "as pages of storage say it"
    viewer = people.client("viewer")
    part = viewer.get(reverse("checkpoint-file", args=[kinds["onnx"].pk]), headers={"Range": "bytes=0-9"})
    assert (part.status_code, part["ETag"]) == (206, f'"{kinds["onnx"].sha256}"')
    whole = viewer.get(reverse("checkpoint-file", args=[kinds["pack"].pk]))
    with zipfile.ZipFile(io.BytesIO(body(whole))) as archive:
        archive.extractall(tmp_path / "there")
    home = tmp_path / "there" / packs.name_of(trained)
    card = (home / "README.md").read_text()
    assert "val_loss: 0.6" in card
    assert "size, kind" in card
    assert json.loads((home / "preprocessing.json").read_text())["answers"]["classes"] == ["no", "yes"]
    command = [sys.executable, "-I", str(home / "predict.py"), "--csv", str(tmp_path / "table.csv")]
    done = subprocess.run(command, env={"PATH": os.environ["PATH"]}, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    lines = done.stdout.splitlines()
    assert (lines[0], len(lines)) == ("prediction,probability", 41)
    shown = page_of(people, trained, person="viewer")
    assert kinds["pack"].sha256 in shown
    assert "may start runs" in shown
    (home / "model.onnx").unlink()
    packs.keep(trained, home, {"onnx_refused": "not now"})
    assert {made.kind: made.words for made in trained.made_files.all()} == {"pack": "not now", "safetensors": ""}
    assert sorted(file.suffix for file in folder.iterdir()) == [".ckpt", ".json", ".safetensors", ".zip"]


def test_what_a_trainer_cannot_answer_is_told_in_words(people: People, trained: Checkpoint) -> None:
    with pytest.raises(Exception, match="is damaged"):
        answers.export(path_of(trained).parent, {"checkpoint": str(path_of(trained)), "sha256": "0" * 64})
    gone = make_checkpoint(make_run(people.project, state=State.SUCCEEDED))
    response = people.client("editor").post(reverse("checkpoint-export", args=[gone.pk]))
    assert response.status_code == 409
    assert "are gone" in response.content.decode()


def test_the_form_says_what_is_wrong_and_nobody_asks_without_end(people: People) -> None:
    checkpoint = write_checkpoint(make_run(people.project, state=State.SUCCEEDED))
    address, editor = reverse("checkpoint-ask", args=[checkpoint.pk]), people.client("editor")
    know(checkpoint, ROW)
    response = editor.post(address, {"column-1": "<b>elm"})
    assert response.status_code == 422
    assert "&lt;b&gt;elm" in response.content.decode()
    for _ in range(preflight.MOST_OPEN):
        assert editor.post(address, {"column-0": "1"}).status_code == 302
    assert "wait already" in editor.post(address, {"column-0": "1"}).content.decode()


def test_an_image_is_small_and_not_kept(people: People) -> None:
    schema = {"kind": "image", "height": 8, "width": 8, "channels": 1}
    large = SimpleUploadedFile("a.png", b"0" * (MOST_IMAGE_BYTES + 1))
    form = TryForm(schema, {}, {"image": large})
    assert "allowed are 4 MB" in str(form.errors)
    checkpoint = write_checkpoint(make_run(people.project, state=State.SUCCEEDED))
    know(checkpoint, schema)
    file = SimpleUploadedFile("a.png", b"pixels")
    people.client("editor").post(reverse("checkpoint-ask", args=[checkpoint.pk]), {"image": file})
    taken = preflight.take_next(make_worker(), "default")
    assert taken is not None
    assert taken.given == {"what": {"base64": "cGl4ZWxz"}}
    preflight.settle(taken, {"schema": schema, "prediction": {"label": "7"}})
    taken.refresh_from_db()
    assert taken.given == {}


def test_the_page_costs_few_queries_and_begins_anew_when_there_is_a_form(
    people: People, django_assert_max_num_queries: Any
) -> None:
    checkpoint = write_checkpoint(make_run(people.project, state=State.SUCCEEDED))
    editor = people.client("editor")
    with django_assert_max_num_queries(16):
        page = editor.get(reverse("checkpoint-use", args=[checkpoint.pk])).content.decode()
    assert "Load the model" in page
    people.client("editor").post(reverse("checkpoint-ask", args=[checkpoint.pk]))
    asked = Preflight.objects.latest("pk")
    part = {"HX-Request": "true"}
    address = reverse("preflight", args=[asked.pk])
    assert "No worker is online." in people.client("editor").get(address, headers=part).content.decode()
    Preflight.objects.filter(pk=asked.pk).update(stage="done", result={"schema": {"kind": "array", "shape": [2]}})
    assert people.client("editor").get(address, headers=part)["HX-Refresh"] == "true"
    assert "of the shape [2]" in page_of(people, checkpoint, asked)
    assert people.client("editor").get(address).status_code == 302


def test_trainer_and_worker_name_the_files_alike() -> None:
    names = ("OUT", "CKPT", "SAFETENSORS", "ONNX", "RECIPE")
    assert [getattr(packs, name) for name in names] == [getattr(answers, name) for name in names]


def test_what_is_of_no_zoo_takes_arrays() -> None:
    from trainer_core.standalone.inputs import inputs_of

    found = inputs_of(DataRef("file", "Mine"), None, {"preprocess": {"any": 1}})
    assert found.schema == {"kind": "array", "shape": None}
