"""The database says what the disk says, to the byte, after whatever people did."""

from __future__ import annotations

import contextlib
import random
import secrets
from pathlib import Path
from typing import Any

import pytest
from django.conf import settings
from django.core.management import call_command
from django.db.models import Sum
from django.utils import timezone

from studio.core import blobs
from studio.registry.models import Dataset, DatasetVersion, Upload
from studio.registry.uploads import adopt_upload, begin_upload, drop_upload, receive_chunk
from studio.runs.models import Attempt, Run, State
from studio.storage import let_go, trash
from studio.storage.disk import differences
from studio.storage.errors import StorageError
from studio.storage.held import of_project, of_projects, of_runs, of_studio
from studio.storage.measure import measure_attempts
from studio.storage.models import Removal
from studio.storage.sweep import NO_BLOBS, REFERENCES, free_without, sweep
from studio.tracking.models import LogChunk, Media, MetricFrame
from tests.access.people import People
from tests.factories import (
    make_attempt,
    make_dataset_version,
    make_media,
    make_project,
    make_run,
    write_checkpoint,
)
from tests.storage.files import make_old, on_disk

pytestmark = pytest.mark.django_db
PICTURES = [bytes([n]) * (100 + n) for n in range(6)]  # few, so that runs share them


def write_attempt(run: Run, size: int) -> Attempt:
    folder = Path(settings.RUNS_DIR) / str(run.pk) / f"a{run.fence}"
    (folder / "spool").mkdir(parents=True)
    (folder / "spool" / "000001.seg").write_bytes(bytes(size))
    (folder / "spec.json").write_text("{}")
    return make_attempt(run, ended_at=timezone.now())


def upload(people: People, data: bytes, *, whole: bool = True) -> Upload:
    made = begin_upload(project=people.project, user=people.owner, filename="a.csv", size_bytes=len(data))
    receive_chunk(made, offset=0, data=data if whole else data[:-1])
    return made


def dataset(people: People, data: bytes) -> DatasetVersion:
    """As an inspection makes it of an upload."""
    sent = upload(people, data)
    digest, size = adopt_upload(sent)
    version = make_dataset_version(project=people.project, blobs={"path": digest}, size_bytes=size)
    drop_upload(sent)
    return version


class Workload:
    """Acts of people and workers, by chance."""

    def __init__(self, people: People, seed: int) -> None:
        self.people, self.chance = people, random.Random(seed)
        self.other = make_project(team=people.team)

    def run(self) -> None:
        run = make_run(self.chance.choice([self.people.project, self.other]), state=State.SUCCEEDED)
        write_attempt(run, self.chance.randrange(1, 900))
        for step in range(self.chance.randrange(4)):
            write_checkpoint(run, secrets.token_bytes(self.chance.randrange(1, 900)), step=step)
        for _ in range(self.chance.randrange(5)):
            make_media(run, self.chance.choice(PICTURES))
        LogChunk.objects.create(run=run, fence=1, offset=0, size=9, lines=1, data=b"x" * self.chance.randrange(99))
        MetricFrame.objects.create(run=run, fence=1, seq=1, step0=1, step1=1, n=1, names=["loss"], data=bytes(32))

    def data(self) -> None:
        dataset(self.people, self.chance.choice([*PICTURES, secrets.token_bytes(300)]))

    def send(self) -> None:
        upload(self.people, secrets.token_bytes(200), whole=self.chance.random() < 0.5)

    def drop(self) -> None:
        if (found := Upload.objects.order_by("?").first()) is not None:
            drop_upload(found)

    def let_go(self) -> None:
        if (run := Run.objects.order_by("?").first()) is not None:
            let_go.carry_out(self.chance.choice(list(let_go.REMOVERS)), [run.pk], why="test")

    def throw_away(self) -> None:
        if (run := Run.objects.listed().order_by("?").first()) is not None:
            trash.move_runs(pks=[run.pk], user=self.people.owner)
        if (found := Dataset.objects.listed().exclude(project=None).order_by("?").first()) is not None:
            with contextlib.suppress(StorageError):
                trash.move_entry(entry=found, user=self.people.owner)

    def empty(self) -> None:
        for project in (self.people.project, self.other):
            trash.empty(project=project, why="test", user=self.people.owner)

    def act(self) -> None:
        acts = [self.run] * 4 + [self.data] * 2 + [self.send, self.drop, self.let_go, self.throw_away, self.empty]
        self.chance.choice(acts)()


@pytest.mark.parametrize("seed", range(2))
def test_rows_and_files_agree_after_any_workload(people: People, seed: int) -> None:
    work = Workload(people, seed)
    for _ in range(40):
        work.act()
    measure_attempts()
    make_old()
    sweep()
    assert differences() == []
    assert sum(of_studio().values()) == on_disk()
    sizes = of_projects([people.project.pk, work.other.pk])
    for project in (people.project, work.other):
        assert of_project(project.pk)[0] == sizes.get(project.pk, {})
        own = sizes.get(project.pk, {})
        for kind in ("checkpoints", "media", "working", "points", "logs"):
            assert own.get(kind, 0) == sum(of_one.get(kind, 0) for of_one in of_runs(project.pk).values()), kind


def test_a_file_that_several_name_counts_once_for_the_first(people: People) -> None:
    first, second = (make_run(people.project, state=State.SUCCEEDED) for _ in range(2))
    for run in (first, first, second):
        make_media(run, PICTURES[0])
    make_media(second, PICTURES[1])
    dataset(people, PICTURES[1])
    sizes = of_runs(people.project.pk)
    assert sizes[first.pk]["media"] == len(PICTURES[0])
    assert sizes.get(second.pk, {}).get("media", 0) == 0
    whole = of_projects([people.project.pk])[people.project.pk]
    assert whole["media"] + whole["datasets"] == len(PICTURES[0]) + len(PICTURES[1]) == on_disk()


@pytest.mark.parametrize("place", ["server_file", "stored"])
def test_data_that_stay_where_they_are_hold_nothing_here(people: People, place: str) -> None:
    fields = {"blobs": {"path": "5" * 64}, "size_bytes": 10**9, "info": {place: {"size_bytes": 10**9}}}
    version = make_dataset_version(project=people.project, **fields)
    assert of_projects([people.project.pk]).get(people.project.pk, {}).get("datasets", 0) == 0
    assert of_studio()["datasets"] == 0 and differences() == []
    trash.move_entry(entry=version.dataset, user=people.owner)
    assert trash.entries(people.project)[0].size_bytes == 0
    assert free_without([], [version.dataset_id]) == 0


def test_texts_count_in_bytes(people: People) -> None:
    run = make_run(people.project, spec={"ü": "ß€"})
    stored = Run.objects.raw("select id, cast(spec as text) as words from runs_run where id = %s", [run.pk])[0].words  # type: ignore[attr-defined]
    assert of_runs(people.project.pk)[run.pk]["code"] == len(stored.encode())


def test_what_belongs_to_nobody_or_is_missing_is_said(people: People, capsys: pytest.CaptureFixture[str]) -> None:
    run = make_run(people.project, state=State.SUCCEEDED)
    checkpoint = write_checkpoint(run, b"weights")
    make_media(run, PICTURES[0])
    digest, size = blobs.put_bytes(b"nobody's")
    folder = settings.RUNS_DIR / str(run.pk) / "checkpoints"
    (folder / checkpoint.name / "checkpoint.ckpt").write_bytes(b"shorter")
    (folder / checkpoint.name / "checkpoint.ckpt").write_bytes(b"less")
    (settings.RUNS_DIR / "preflight-7").mkdir()
    (settings.RUNS_DIR / "preflight-7" / "spec.json").write_bytes(b"12345")
    blobs.path_of(Media.objects.get().sha256).unlink()
    said = {one.path: one.words for one in differences()}
    assert said.pop(f"blobs/{digest[:2]}/{digest}") == "belongs to nobody"
    assert said.pop("runs/preflight-7") == "belongs to nobody"
    assert said.pop(f"runs/{run.pk}/checkpoints/{checkpoint.name}").startswith("should have")
    assert list(said.values()) == ["is missing"]
    with pytest.raises(SystemExit):
        call_command("storage")
    assert "belongs to nobody" in capsys.readouterr().out


def test_removals_say_what_the_disk_gave_back(people: People) -> None:
    run = make_run(people.project, state=State.SUCCEEDED)
    write_attempt(run, 700)
    for step in (1, 2, 3):
        write_checkpoint(run, bytes(100 + step), step=step, is_best=step == 1)
    make_media(run, PICTURES[2])
    measure_attempts()
    make_old()
    before = on_disk()
    for kind in ("checkpoints", "working", "media"):
        let_go.carry_out(kind, [run.pk], why="test")
    freed = Removal.objects.aggregate(size=Sum("files_bytes"))["size"]
    assert before - on_disk() == freed > 0
    assert [c.step for c in run.checkpoints.filter(deleted_at=None)] == [3, 1]


def test_a_run_at_work_keeps_everything(people: People) -> None:
    run = make_run(people.project, state=State.RUNNING)
    write_attempt(run, 100)
    make_media(run, PICTURES[0])
    write_checkpoint(run, step=1)
    write_checkpoint(run, step=2)
    LogChunk.objects.create(run=run, fence=1, offset=0, size=1, lines=1, data=b"x")
    measure_attempts()
    make_old()
    before = on_disk()
    for kind in let_go.REMOVERS:
        assert let_go.carry_out(kind, [run.pk], why="test").count == 0, kind
    assert on_disk() == before and not Removal.objects.exists()


def test_every_column_with_a_digest_is_known_to_the_sweep() -> None:
    from django.apps import apps

    found = set()
    for model in apps.get_models():
        if model.__module__.startswith("studio."):
            for column in model._meta.concrete_fields:
                if any(word in column.name for word in ("sha256", "blob", "digest", "hash")):
                    found.add(f"{model._meta.label_lower}.{column.name}")
    assert found == REFERENCES | set(NO_BLOBS), "say in studio/storage/sweep.py whether it names blobs"


def test_few_queries_whatever_there_is(people: People, django_assert_max_num_queries: Any) -> None:
    for _ in range(20):
        run = make_run(people.project, state=State.SUCCEEDED)
        make_media(run, secrets.token_bytes(50))
        write_checkpoint(run, secrets.token_bytes(50))
    with django_assert_max_num_queries(20):
        of_projects([people.project.pk])
    with django_assert_max_num_queries(14):
        of_runs(people.project.pk)
