"""A studio whose machines share no folder: PostgreSQL, a queue server, a bucket; workers elsewhere with folders of their own.

The machine that trains is lost with all its files; another one goes on, to the same bits.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
import shutil
import subprocess
import sys
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psutil
import pytest

from studio.client import Client
from studio.client.runs import Run
from tests import postgres
from tests.chaos.stack import PROJECT, SUBJECT
from tests.objects import Bucket
from tests.ops.stack import Studio, eventually, manage, token_of
from tests.ops.test_add_worker import checkout, database, queue

__all__ = ["database", "queue"]
pytestmark = [pytest.mark.stack, pytest.mark.timeout(500)]
EPOCHS = 40  # of 23 steps


class Machine:
    """A worker elsewhere, in a checkout of its own, as the Workers page says."""

    def __init__(self, folder: Path, studio: Studio) -> None:
        self.folder = checkout(folder)
        shutil.copy(studio.data_dir / "worker.env", folder)
        path = f"{Path(sys.executable).parent}:{os.environ['PATH']}"
        self.process = subprocess.Popen(
            ["sh", "-c", ". ./worker.env && exec python manage.py studio_worker --queues runs"],
            cwd=self.folder,
            env={"PATH": path, "HOME": str(folder), "OMP_NUM_THREADS": "1"},
            start_new_session=True,
        )

    def files(self) -> list[Path]:
        return [path for path in (self.folder / "data" / "runs").rglob("*") if path.is_file()]

    def lose(self) -> None:
        """As if its power was cut and its disk broken."""
        with contextlib.suppress(psutil.NoSuchProcess):
            found = psutil.Process(self.process.pid)
            for process in [found, *found.children(recursive=True)]:
                with contextlib.suppress(psutil.NoSuchProcess):
                    process.kill()
        self.process.wait(30)
        shutil.rmtree(self.folder, ignore_errors=True)

    def stop(self) -> None:
        if self.process.poll() is None:
            self.process.terminate()
            self.process.wait(90)


class Site:
    def __init__(self, database: str, queue: str, bucket: Bucket, folder: Path) -> None:
        self.database, self.bucket = database, bucket
        self.given = {
            "STUDIO_DATABASE_URL": database,
            "STUDIO_REDIS_URL": queue,
            "STUDIO_OBJECT_STORE": str(bucket.file),
            "STUDIO_TRAINER_THREADS": "1",
        }
        self.studio = Studio(folder / "data", "--port", "0", "--workers", "0", **self.given)
        self.studio.wait_ready()
        self.token = token_of(self.studio)
        self.client = Client(self.studio.url, self.token)
        self.subject = self.client.models.create("Subject", SUBJECT, project=PROJECT).wait(120)

    def rows(self, query: str, *values: Any) -> list[Any]:
        import psycopg

        with psycopg.connect(self.database) as connection:
            return connection.execute(query, values).fetchall()

    def start(self, pace_ms: float) -> Run:
        return self.client.runs.create(
            project=PROJECT,
            model=self.subject,
            dataset="Digits",
            model_args={"pace_ms": pace_ms},
            trainer={"max_epochs": EPOCHS},
            extras={"checkpoint_every": "20st"},
            seed=1,
        )

    def stored(self, run: Run) -> int:
        """The step of the newest checkpoint that the bucket has."""
        query = (
            "select max(step) from runs_checkpoint where run_id = %s and deleted_at is null and stored_at is not null"
        )
        return self.rows(query, run.id)[0][0] or 0

    def steps(self, run: Run) -> int:
        return self.rows("select max(step1) from tracking_metricframe where run_id = %s", run.id)[0][0] or 0

    def weights(self, run: Run) -> str:
        query = "select weights_sha256 from runs_checkpoint where run_id = %s and deleted_at is null order by step desc"
        return str(self.rows(query, run.id)[0][0])


@pytest.fixture
def site(database: str, queue: str, tmp_path: Path) -> Iterator[Site]:
    bucket = Bucket(tmp_path / "objects.toml")
    found = None
    try:
        found = Site(database, queue, bucket, tmp_path)
        yield found
    finally:
        if found is not None:
            found.studio.stop()
        bucket.close()


if postgres.IS_THERE:

    def test_a_lost_machine_costs_no_more_than_what_it_had_not_sent(site: Site, tmp_path: Path) -> None:
        first, second = Machine(tmp_path / "first", site.studio), None
        try:
            run = site.start(pace_ms=30)
            eventually(lambda: site.stored(run) >= 40, "two checkpoints are in the bucket")
            with site.bucket.away():  # nothing of this is noticed by the run
                at = site.steps(run)
                eventually(lambda: site.steps(run) >= at + 45, "it trains on without the store")
                worker = next(w for w in site.client.workers() if "runs" in w["queues"])
                eventually(lambda: _store_error(site), "the worker says that the store is away")
                assert worker["online"]
            eventually(lambda: site.stored(run) > at + 20, "what waited has been sent")
            sent = site.stored(run)
            first.lose()
            second = Machine(tmp_path / "second", site.studio)
            run.wait(300)
            assert run.state == "succeeded", run.reason
            resumed = site.rows("select resume_step from runs_attempt where run_id = %s and fence > 1", run.id)
            assert [sent <= step <= sent + 40 for (step,) in resumed] == [True], (sent, resumed)
            whole = site.start(pace_ms=0)
            whole.wait(300)
            eventually(lambda: site.stored(whole) == EPOCHS * 23, "its last checkpoint is in the bucket")
            eventually(lambda: site.stored(run) == EPOCHS * 23, "and that of the broken one")
            assert site.weights(run) == site.weights(whole) != ""
            _check_downloads(site, run, tmp_path)
            _check_sums(site)
            _check_doctor(site)
        finally:
            first.lose()
            if second is not None:
                second.stop()


def _store_error(site: Site) -> bool:
    found = site.rows("select usage from runs_worker where stopped_at is null")
    return any((usage.get("store") or {}).get("error") for (usage,) in found)


def _check_downloads(site: Site, run: Run, tmp_path: Path) -> None:
    """From the web machine, which has none of the files at first."""
    here = site.studio.data_dir / "runs" / str(run.id)
    assert not list(here.rglob("checkpoint.ckpt"))
    path = run.download_checkpoint(tmp_path / "best.ckpt")
    digest, step = hashlib.sha256(path.read_bytes()).hexdigest(), EPOCHS * 23
    assert site.rows("select count(*) from runs_checkpoint where run_id = %s and sha256 = %s", run.id, digest) == [(1,)]
    pk = site.rows("select id from runs_checkpoint where run_id = %s and step = %s", run.id, step)[0][0]
    request = urllib.request.Request(f"{site.studio.url}/api/v1/checkpoints/{pk}/download")
    request.add_header("Authorization", f"Bearer {site.token}")
    request.add_header("Range", "bytes=10-29")
    with urllib.request.urlopen(request, timeout=60) as answer:
        assert (answer.status, len(answer.read())) == (206, 20)


def _check_sums(site: Site) -> None:
    """The bucket holds what the rows say, to the byte."""
    # The scheduler comes for what retention let go of.
    due = "select count(*) from runs_checkpoint where deleted_at is not null and stored_at is not null"
    eventually(lambda: site.rows(due) == [(0,)], "what was let go of is removed")
    rows = site.rows(
        "select coalesce(sum(size_bytes + manifest_bytes), 0) from runs_checkpoint where deleted_at is null"
    )
    of_blobs = site.rows("select coalesce(sum(size_bytes), 0) from core_sharedblob where stored_at is not null")
    assert sum(site.bucket.sizes().values()) == int(rows[0][0]) + int(of_blobs[0][0])


def _check_doctor(site: Site) -> None:
    found = manage("doctor", STUDIO_DATA_DIR=str(site.studio.data_dir), **site.given)
    assert "files are kept at s3://files/studio/: written, read and removed one" in found.stdout
    assert not [key for key in site.bucket.sizes() if key.startswith("doctor/")]
