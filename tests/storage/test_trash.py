"""Into the trash and out again; what is used says so; and for good means every row and every byte."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest
from django.conf import settings
from django.urls import reverse
from django.utils import timezone

from studio.core import blobs
from studio.registry.errors import RegistryError
from studio.registry.models import Dataset, Model
from studio.registry.publish import entry_named
from studio.reports.sharing import share
from studio.runs import bulk, promote
from studio.runs.models import Checkpoint, Run, State
from studio.storage import trash
from studio.storage.errors import StorageError
from studio.storage.models import Removal
from studio.tracking.models import LogChunk, MetricAxis, MetricChunk, MetricFrame
from tests.access.people import People
from tests.factories import (
    make_attempt,
    make_dataset_version,
    make_media,
    make_model_version,
    make_run,
    write_checkpoint,
)
from tests.storage.files import make_old, on_disk

pytestmark = pytest.mark.django_db


def full_run(people: People, **fields: Any) -> Run:
    run = make_run(people.project, state=State.SUCCEEDED, **fields)
    make_attempt(run, ended_at=timezone.now(), files_bytes=3)
    folder = settings.RUNS_DIR / str(run.pk) / "a1"
    folder.mkdir(parents=True)
    (folder / "output.log").write_bytes(b"log")
    write_checkpoint(run, b"weights", step=1)
    make_media(run, b"picture %d" % run.pk)
    LogChunk.objects.create(run=run, fence=1, offset=0, size=9, lines=1, data=b"x" * 20)
    MetricFrame.objects.create(run=run, fence=1, seq=9, step0=1, step1=1, n=1, names=["loss"], data=bytes(32))
    axis = MetricAxis.objects.create(
        run=run, fence=1, seq0=1, seq1=1, part=0, n=1, step0=1, step1=1, bins=b"", data=b"12"
    )
    MetricChunk.objects.create(run=run, axis=axis, position=0, name_hash=1, name="loss", bins=b"3", data=b"45")
    make_old()
    return run


def test_a_run_that_is_gone_for_good_leaves_nothing(people: People) -> None:
    keep, run = full_run(people), full_run(people)
    before = on_disk()
    trash.move_runs(pks=[run.pk], user=people.owner)
    offered = trash.entries(people.project)
    assert [(entry.kind, entry.pk) for entry in offered] == [("run", run.pk)]
    assert on_disk() == before, "nothing goes before its time"
    freed = trash.purge(project=people.project, kind="run", pk=run.pk, why="test", by=people.owner)
    assert before - on_disk() == freed.files_bytes > 0
    assert offered[0].size_bytes == freed.size_bytes
    assert not (settings.RUNS_DIR / str(run.pk)).exists()
    for table in (Run, Checkpoint, LogChunk, MetricFrame, MetricAxis, MetricChunk):
        assert table.objects.count() == 1, table
    assert (settings.RUNS_DIR / str(keep.pk) / "a1" / "output.log").exists()
    assert Removal.objects.get().what == str(run)


def test_a_run_comes_back_whole(people: People) -> None:
    run = full_run(people)
    trash.move_runs(pks=[run.pk], user=people.owner)
    client = people.client("editor")
    assert str(run.name) in client.get(reverse("project-trash", args=[people.project.pk])).content.decode()
    client.post(reverse("trash-restore", args=[people.project.pk]), {"kind": "run", "pk": run.pk})
    assert Run.objects.listed().filter(pk=run.pk).exists()
    with pytest.raises(StorageError, match="not in the trash"):
        trash.purge(project=people.project, kind="run", pk=run.pk, why="test")


def test_a_run_with_a_registered_checkpoint_is_kept(people: People) -> None:
    run = full_run(people)
    version = promote.promote(checkpoint=run.checkpoints.get(), user=people.owner, name="digits", alias="production")
    done = bulk.carry_out("trash", [run.pk], user=people.owner)
    assert done.count == 0 and "registered model" in done.words
    Run.objects.filter(pk=run.pk).update(deleted_at=timezone.now())  # promoted after it was moved there
    with pytest.raises(StorageError, match="Delete that version first"):
        trash.purge(project=people.project, kind="run", pk=run.pk, why="test")
    assert run.checkpoints.get().deleted_at is None
    promote.remove_alias(model=version.model, user=people.owner, alias="production")
    promote.delete_version(version=version, user=people.owner)
    before = on_disk()
    freed = trash.purge(project=people.project, kind="run", pk=run.pk, why="test")
    assert before - on_disk() == freed.files_bytes == before
    version.refresh_from_db()
    assert version.checkpoint.run == run, "the history of the model still names it"
    Run.objects.filter(pk=run.pk).update(deleted_at=timezone.now() - timedelta(days=99))
    assert trash.purge_old() == 0, "there is nothing left of it to remove"


def test_what_uses_a_run_is_told_before_it_goes(people: People) -> None:
    run = full_run(people)
    share(target=run, by=people.owner, project=people.project)
    make_run(people.project, start_checkpoint=run.checkpoints.get())
    answer = people.client("editor").post(
        reverse("runs-bulk", args=[people.project.pk]), {"action": "trash", "run": run.pk}
    )
    page = answer.content.decode()
    assert "Open shared links show 1 run" in page and "1 run began with a checkpoint" in page


@pytest.mark.parametrize("kind", ["model", "dataset"])
def test_an_entry_that_a_run_uses_is_refused_with_the_run(people: People, kind: str) -> None:
    run = full_run(people)
    entry = run.model_version.model if kind == "model" else run.dataset_version.dataset
    client, url = people.client("editor"), reverse(f"{kind}-trash", args=[entry.pk])
    assert f"Run #{run.number} of it is not in the trash" in client.post(url, follow=True).content.decode()
    entry.refresh_from_db()
    assert entry.deleted_at is None
    trash.move_runs(pks=[run.pk], user=people.owner)
    assert "Take it out of the trash" in client.post(url, follow=True).content.decode()
    with pytest.raises(StorageError, match="Runs of"):
        trash.purge(project=people.project, kind=kind, pk=entry.pk, why="test")
    freed, stayed = trash.empty(project=people.project, why="test", user=people.owner)
    assert freed.count == 2 and not stayed, "the run first, then what it used"


def test_an_entry_in_the_trash_is_in_no_list_and_comes_back(people: People) -> None:
    version = make_model_version(project=people.project)
    dataset = make_dataset_version(project=people.project)
    for entry in (version.model, dataset.dataset):
        trash.move_entry(entry=entry, user=people.owner)
    client = people.client("editor")
    assert str(version.model) not in client.get(reverse("model-list", args=[people.project.pk])).content.decode()
    assert str(dataset.dataset) not in client.get(reverse("dataset-list", args=[people.project.pk])).content.decode()
    assert not type(version).objects.usable_in(people.project).filter(pk=version.pk).exists()
    items = client.get("/api/v1/models", {"project": people.project.pk}).json()["items"]
    assert version.model_id not in [item["id"] for item in items]
    with pytest.raises(RegistryError, match="in the trash"):
        entry_named(Model, people.project, people.owner, version.model.name)
    client.post(reverse("model-trash", args=[version.model_id]), {"restore": "1"})
    assert str(version.model) in client.get(reverse("model-list", args=[people.project.pk])).content.decode()
    assert Dataset.objects.listed().filter(pk=dataset.dataset_id).count() == 0


def test_the_file_of_a_dataset_goes_with_its_last_name(people: People) -> None:
    digest, size = blobs.put_bytes(b"rows of a table")
    first, second = (
        make_dataset_version(project=people.project, blobs={"path": digest}, size_bytes=size) for _ in range(2)
    )
    make_old()
    for version, freed_bytes in ((first, 0), (second, size)):
        trash.move_entry(entry=version.dataset, user=people.owner)
        freed = trash.purge(project=people.project, kind="dataset", pk=version.dataset_id, why="test")
        assert freed.files_bytes == freed_bytes
    assert not blobs.exists(digest)


@pytest.mark.parametrize("given", [{}, {"kind": "run"}, {"kind": "team", "pk": "1"}, {"kind": "run", "pk": "9" * 30}])
def test_nonsense_is_not_in_the_trash(people: People, given: dict[str, str]) -> None:
    for name in ("trash-restore", "trash-purge"):
        answer = people.client("owner").post(reverse(name, args=[people.project.pk]), given, follow=True)
        assert "not in the trash any more" in answer.content.decode()


def test_another_project_s_run_cannot_be_reached(people: People) -> None:
    run = make_run(people.other_project, state=State.SUCCEEDED, deleted_at=timezone.now())
    client, given = people.client("owner"), {"kind": "run", "pk": run.pk}
    for name in ("trash-restore", "trash-purge"):
        client.post(reverse(name, args=[people.project.pk]), given)
    run.refresh_from_db()
    assert run.deleted_at is not None
