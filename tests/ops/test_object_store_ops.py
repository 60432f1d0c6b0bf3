"""What an administrator sees of an object store: doctor, backup, the Workers page, what another machine is given."""

from __future__ import annotations

import sqlite3
import tarfile
from pathlib import Path
from typing import Any

import pytest
from django.core.management import call_command
from django.urls import reverse

from studio.core import blobs, objects
from studio.ops import doctor
from studio.runs import add_worker
from studio.runs.models import State
from tests.access.people import People
from tests.factories import make_run, make_worker, write_checkpoint
from tests.objects import KEY, SECRET, Bucket, Machines, bucket, machines

__all__ = ["bucket", "machines"]


def test_doctor_writes_reads_and_removes_an_object(bucket: Bucket, settings: Any, monkeypatch: Any) -> None:
    (finding,) = doctor.object_store()
    assert (finding.level, "written, read and removed one" in finding.text) == ("good", True), finding.text
    assert bucket.sizes() == {}
    bucket.file.chmod(0o644)
    (finding,) = doctor.object_store()
    assert finding.level == "bad" and "can be read by others" in finding.text
    bucket.file.chmod(0o600)
    with bucket.away():
        (finding,) = doctor.object_store()
    assert finding.level == "bad" and SECRET not in finding.text and KEY not in finding.text
    for name, wrong in (("fetch", lambda store, key: iter([b"other"])), ("remove", lambda store, keys: None)):
        with monkeypatch.context() as patched:
            patched.setattr(objects.ObjectStore, name, wrong)
            (finding,) = doctor.object_store()
        assert finding.level == "bad"
    settings.OBJECT_STORE = ""
    assert list(doctor.object_store()) == []


@pytest.mark.django_db(transaction=True)
def test_a_backup_says_what_it_holds_and_has_what_waits(
    people: People, machines: Machines, bucket: Bucket, tmp_path: Path, capsys: Any
) -> None:
    folder = machines.on("web")
    sqlite3.connect(folder / "studio.sqlite3").close()
    sent, _ = blobs.put_bytes(b"in the store")
    run = make_run(people.project, state=State.SUCCEEDED)
    row = write_checkpoint(run)
    with bucket.away():
        waits, _ = blobs.put_bytes(b"not yet")
    call_command("backup", str(tmp_path / "backup.tar"))
    told = capsys.readouterr().out
    assert "the database, the secret key and what waits to be sent; all other files are at s3://files/studio/" in told
    with tarfile.open(tmp_path / "backup.tar") as tar:
        names = {name for name in tar.getnames() if "/" in name}
    checkpoint = f"runs/{run.pk}/checkpoints/{row.name}"
    assert names == {f"blobs/{waits[:2]}/{waits}", f"{checkpoint}/checkpoint.ckpt", f"{checkpoint}/manifest.json"}
    assert sent not in str(names)


@pytest.mark.django_db
def test_the_workers_page_says_that_the_store_is_away_and_how_to_add_a_machine(bucket: Bucket, people: People) -> None:
    usage = {
        "cpu": 3.0,
        "memory": 4.0,
        "gpus": {},
        "store": {"error": "The object store does not answer.", "waiting": 2},
    }
    worker = make_worker(usage=usage)
    page = " ".join(people.client("viewer").get(reverse("worker-list")).content.decode().split())
    assert "The object store does not answer. On this machine 2 files wait for it; nothing is lost." in page
    usage["store"] = {"error": "", "waiting": 0}
    type(worker).objects.update(usage=usage)
    assert "nothing is lost" not in people.client("viewer").get(reverse("worker-list")).content.decode()


def test_another_machine_is_given_the_key_and_the_store_and_no_folder(
    tmp_path: Path, settings: Any, bucket: Bucket
) -> None:
    settings.DATA_DIR = tmp_path
    add_worker.write_environment("https://studio.example")
    text = add_worker.environment_file().read_text()
    assert f"STUDIO_OBJECT_STORE={bucket.file}" in text and "STUDIO_SECRET_KEY=" in text
    assert "STUDIO_DATA_DIR" not in text and SECRET not in text
    assert add_worker.commands()["elsewhere"].startswith(". ./worker.env && ")
    settings.OBJECT_STORE = ""
    add_worker.write_environment("https://studio.example")
    assert "STUDIO_DATA_DIR" in add_worker.environment_file().read_text()
