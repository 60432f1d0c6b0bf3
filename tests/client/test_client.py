"""The Python client against a real server: it says what the server says, and survives what networks do."""

from __future__ import annotations

import hashlib
import json
import math
import subprocess
import sys
import threading
import zipfile
from array import array
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from typing import Any

import psutil
import pytest

from studio.accounts.models import Project
from studio.client import Client, Damaged, NotReached, StudioError, WaitedTooLong
from studio.client.connection import Connection
from studio.client.runs import Run
from studio.registry.models import ModelVersion, Upload, VersionState
from studio.registry.uploads import path_of
from studio.runs import models as rows
from studio.tracking.models import LogChunk, MetricFrame, RunResult
from tests import factories
from tests.access.people import People
from trainer_core.events import MetricBlock

ClientOf = Callable[..., Client]
WEIGHTS = bytes(range(256)) * 12_000  # 3 MB


def test_it_needs_neither_django_nor_torch() -> None:
    code = "import sys, studio.client; print([m for m in ('django', 'torch', 'redis', 'numpy') if m in sys.modules])"
    found = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert found.stdout.strip() == "[]"


def test_it_knows_who_one_is(studio: Client) -> None:
    assert studio.me()["username"] == "editor"
    assert studio.me()["token"]["last_used_at"] is not None


def test_projects_are_made_and_found_by_name(studio: Client, people: People) -> None:
    made = studio.projects.create("Sorting")
    assert studio.projects.get("Sorting") == studio.projects.get(made.id) == made
    assert {p.name for p in studio.projects.list()} == {"Sorting", "Digits"}
    with pytest.raises(StudioError, match="no project 'Sort'. Known are: Digits, Sorting"):
        studio.projects.get("Sort")
    studio.projects.create("Sorting")
    with pytest.raises(StudioError, match="2 projects are called"):
        studio.projects.get("Sorting")


def test_errors_carry_the_words_of_the_server(client_of: ClientOf, people: People) -> None:
    with pytest.raises(StudioError, match="may read only") as refused:
        client_of("owner", scope="read").projects.create("x")
    assert (refused.value.status, refused.value.code) == (403, "read_only")
    with pytest.raises(StudioError) as invalid:
        client_of("editor").projects.create("")
    assert set(invalid.value.fields) == {"name"}
    with pytest.raises(StudioError, match="nothing here"):
        client_of("stranger").projects.get(people.project.pk)


def test_the_token_is_shown_nowhere(server: str, studio: Client) -> None:
    token = studio._connection._token
    assert token not in repr(studio) + repr(studio._connection) + repr(studio.projects.create("x"))
    with pytest.raises(StudioError) as refused:
        Client(server, "studio_wrong").me()
    assert "studio_wrong" not in str(refused.value)


@pytest.mark.parametrize(
    ("url", "token"), [("ftp://x", "t"), ("127.0.0.1:80", "t"), ("http://x", ""), ("http://x", "a b")]
)
def test_a_wrong_address_or_token_is_told_at_once(url: str, token: str) -> None:
    with pytest.raises(ValueError, match="url|token"):
        Client(url, token)


def test_a_studio_that_is_not_there_is_told() -> None:
    with HTTPServer(("127.0.0.1", 0), BaseHTTPRequestHandler) as unused:
        port = unused.server_port
    with pytest.raises(NotReached, match="does not answer"):
        Client(f"http://127.0.0.1:{port}", "t").me()


def test_a_redirect_does_not_take_the_token_along() -> None:
    seen: list[str] = []

    class Elsewhere(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            seen.append(self.path)
            self.send_response(302)
            self.send_header("Location", "/elsewhere")
            self.end_headers()

        def log_message(self, *args: Any) -> None:
            pass

    with HTTPServer(("127.0.0.1", 0), Elsewhere) as server:
        thread = threading.Thread(target=server.handle_request)
        thread.start()
        with pytest.raises(StudioError, match="leads to /elsewhere"):
            Client(f"http://127.0.0.1:{server.server_port}", "t").me()
        thread.join()
    assert seen == ["/api/v1/me"]


def test_a_model_is_made_from_a_file_and_waited_for(client_of: ClientOf, people: People, tmp_path: Path) -> None:
    studio = client_of("owner")
    path = tmp_path / "mine.py"
    path.write_text("class Mine: ...\n")
    version = studio.models.create("Mine", path, project="Digits", note="from a test")
    assert (version.name, version.number, version.state) == ("Mine", 1, "inspecting")
    with pytest.raises(WaitedTooLong):
        version.wait(timeout_s=0.05)
    row = ModelVersion.objects.get(pk=version.id)
    assert (row.code, row.note, row.created_by) == ("class Mine: ...\n", "from a test", people.owner)
    ModelVersion.objects.update(state=VersionState.REJECTED, reason="It has no LightningModule.")
    with pytest.raises(StudioError, match="rejected: It has no LightningModule"):
        version.wait()
    ModelVersion.objects.update(state=VersionState.READY)
    assert version.refresh().wait().state == "ready"
    with pytest.raises(StudioError, match="right to run code"):
        client_of("editor").models.create("Mine", "class M: ...", project="Digits")


def test_a_large_table_comes_in_pieces_and_goes_on_after_a_fault(
    studio: Client, people: People, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "table.csv"
    path.write_bytes(b"a,b\n" + b"1,2\n" * 700_000)
    monkeypatch.setattr("studio.client.datasets.CHUNK_BYTES", 1 << 20)
    real, calls = Connection.put, []

    def flaky(self: Connection, address: str, data: bytes, **options: Any) -> Any:
        calls.append(options["offset"])
        if len(calls) == 2:
            real(self, address, data, **options)  # it arrives, its answer does not
            raise NotReached("gone")
        return real(self, address, data, **options)

    monkeypatch.setattr(Connection, "put", flaky)
    version = studio.datasets.create_csv(path, project="Digits", target="b")
    assert calls == [0, 1 << 20, 2 << 20]
    assert (version.name, version.state, version.size_bytes) == ("table", "inspecting", path.stat().st_size)
    assert path_of(Upload.objects.get()).read_bytes() == path.read_bytes()


def test_an_empty_table_is_refused_in_words(studio: Client, people: People, tmp_path: Path) -> None:
    (tmp_path / "empty.csv").touch()
    with pytest.raises(StudioError, match="size_bytes"):
        studio.datasets.create_csv(tmp_path / "empty.csv", project="Digits")
    assert not Upload.objects.exists()


@pytest.fixture
def versions(people: People) -> None:
    model = factories.make_model("MLP", built_in=True)
    factories.make_model_version(model)
    factories.make_model_version(model, state=VersionState.REJECTED)
    factories.make_dataset_version(factories.make_dataset("Digits", built_in=True))


def start(studio: Client, **options: Any) -> Run:
    return studio.runs.create(project="Digits", model="MLP", dataset="Digits", **options)


@pytest.mark.usefixtures("versions")
def test_a_run_is_started_by_names_and_waited_for(studio: Client, people: People) -> None:
    run = start(studio, name="first", trainer={"max_epochs": 2}, model_args={"hidden": 4}, seed=3)
    assert (run.state, run.name, run.number) == ("queued", "first", 1)
    row = rows.Run.objects.get(pk=run.id)
    assert (row.model_version.number, row.spec["seed"], row.spec["trainer"]) == (1, 3, {"max_epochs": 2})
    with pytest.raises(WaitedTooLong, match="goes on"):
        run.wait(timeout_s=0.05)
    later = threading.Timer(0.1, lambda: rows.Run.objects.update(state="succeeded", outcome="ok"))
    later.start()
    assert run.wait(timeout_s=20).state == "succeeded"
    later.join()
    assert studio.runs.get(run.id) == run


@pytest.mark.usefixtures("versions")
def test_names_that_are_not_there_are_told_with_those_that_are(studio: Client) -> None:
    with pytest.raises(StudioError, match="no model 'CNN'. Known are: MLP"):
        studio.runs.create(project="Digits", model="CNN", dataset="Digits")
    with pytest.raises(StudioError) as refused:
        start(studio, trainer={"max_epochs": -5})
    assert list(refused.value.fields) == ["trainer.max_epochs"]


@pytest.mark.usefixtures("versions")
def test_an_answer_that_is_lost_starts_no_second_run(studio: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    real, lost = Connection.open, []

    def open_once(self: Connection, method: str, path: str, **options: Any) -> Any:
        response = real(self, method, path, **options)
        if method == "POST" and not lost:
            lost.append(path)
            response.close()
            raise NotReached("gone")
        return response

    monkeypatch.setattr(Connection, "open", open_once)
    run = start(studio)
    assert lost == ["/runs"]
    assert rows.Run.objects.get().pk == run.id


@pytest.mark.usefixtures("versions")
def test_runs_are_listed_over_pages_and_cancelled(studio: Client, people: People) -> None:
    made = [factories.make_run(people.project, name=f"r{k}").pk for k in range(7)]
    factories.make_run(people.project, state="failed")
    assert [run.id for run in studio.runs.list(project="Digits", state=["queued", "running"])] == made[::-1]
    assert [run.id for run in studio.runs.list(state="queued", most=3)] == made[:3:-1]
    run = studio.runs.get(made[0])
    assert run.cancel().state == "cancelled"
    assert run.wait().is_ended
    assert run.resume().state == "queued"
    rows.Run.objects.filter(pk=run.id).update(state="running", fence=1)
    assert run.pause().state == "pausing"


def test_series_are_exact_with_what_is_not_finite(
    studio: Client, people: People, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("studio.client.runs.MOST_POINTS", 4)
    row = factories.make_run(people.project, state="running")
    values = [0.1, math.nan, math.inf, -math.inf, 1 / 3, 2.0, 3.0, 4.0, 5.0]
    for seq, part in enumerate((values[:5], values[5:])):
        steps = [float(seq * 5 + k) for k in range(len(part))]
        block = MetricBlock(("loss",), array("d", steps), array("d", steps), array("d", steps), (array("d", part),))
        MetricFrame.objects.create(
            run=row,
            fence=1,
            seq=seq + 1,
            step0=steps[0],
            step1=steps[-1],
            n=len(part),
            names=["loss"],
            data=block.columns(),
        )
    series = studio.runs.get(row.pk).series("loss")
    assert series.steps == [float(k) for k in range(9)]
    assert [repr(v) for v in series.values] == [repr(v) for v in values]
    assert len(studio.runs.get(row.pk).series("accuracy")) == 0


def test_results_are_what_the_trainer_told(studio: Client, people: People) -> None:
    run = factories.make_run(people.project, state=rows.State.SUCCEEDED)
    assert studio.runs.get(run.pk).results()["task"] is None
    RunResult.objects.create(run=run, fence=1, task="regression", data={"r2": 0.5})
    assert studio.runs.get(run.pk).results()["data"] == {"r2": 0.5}


def test_the_log_is_what_was_printed(studio: Client, people: People) -> None:
    import zlib

    row = factories.make_run(people.project, state="running")
    factories.make_attempt(row, log_bytes=12)
    text = "größer\n🙂".encode()
    for offset, data in ((0, text[:3]), (3, text[3:])):
        LogChunk.objects.create(run=row, fence=1, offset=offset, size=len(data), lines=0, data=zlib.compress(data))
    assert studio.runs.get(row.pk).log() == "größer\n🙂"


@pytest.fixture
def checkpoint(people: People) -> rows.Checkpoint:
    """A best one with its files, and a newer one without."""
    run = factories.make_run(people.project, state="succeeded", name="base/../line")
    factories.make_checkpoint(run, step=9)
    return factories.write_checkpoint(run, WEIGHTS, step=5, is_best=True)


def test_the_best_checkpoint_is_fetched_and_verified(
    studio: Client, checkpoint: rows.Checkpoint, tmp_path: Path
) -> None:
    run = studio.runs.get(checkpoint.run_id)
    assert [c.step for c in run.checkpoints()] == [5, 9]
    assert run.download_checkpoint(tmp_path / "best.ckpt").read_bytes() == WEIGHTS
    inside = run.download_checkpoint(tmp_path)
    assert inside.parent == tmp_path
    assert inside.name.endswith("step-5.ckpt")
    assert sorted(p.suffix for p in tmp_path.iterdir()) == [".ckpt", ".ckpt"]
    with pytest.raises(StudioError, match="no longer there"):
        run.download_checkpoint(tmp_path, checkpoint=run.checkpoints()[1])


def test_a_run_is_fetched_as_a_folder(studio: Client, checkpoint: rows.Checkpoint, tmp_path: Path) -> None:
    run = studio.runs.get(checkpoint.run_id)
    with zipfile.ZipFile(run.download_folder(tmp_path / "run.zip", weights=False)) as whole:
        names = {name.partition("/")[2] for name in whole.namelist()}
    assert {"reproduce.py", "README.md", "trainer_core/launch.py"} <= names
    assert "weights/checkpoint.ckpt" not in names


def part_of(path: Path) -> Path:
    return path.with_name(f"{path.name}.{hashlib.sha256(WEIGHTS).hexdigest()[:12]}.part")


def test_a_download_goes_on_where_it_stopped(
    studio: Client, checkpoint: rows.Checkpoint, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path, asked = tmp_path / "best.ckpt", []
    part_of(path).write_bytes(WEIGHTS[:1_000_000])
    real = Connection.open

    def watch(self: Connection, method: str, address: str, **options: Any) -> Any:
        asked.append((options.get("headers") or {}).get("Range"))
        return real(self, method, address, **options)

    monkeypatch.setattr(Connection, "open", watch)
    assert studio.runs.get(checkpoint.run_id).download_checkpoint(path).read_bytes() == WEIGHTS
    assert "bytes=1000000-" in asked
    assert not part_of(path).exists()


def test_a_damaged_download_is_not_kept(studio: Client, checkpoint: rows.Checkpoint, tmp_path: Path) -> None:
    path = tmp_path / "best.ckpt"
    part_of(path).write_bytes(b"x" * 1000)
    with pytest.raises(Damaged, match="arrived damaged"):
        studio.runs.get(checkpoint.run_id).download_checkpoint(path)
    assert list(tmp_path.iterdir()) == []
    assert studio.runs.get(checkpoint.run_id).download_checkpoint(path).read_bytes() == WEIGHTS


def test_a_slow_reader_costs_the_server_no_memory(
    studio: Client, people: People, server_process: tuple[str, int]
) -> None:
    size = 96 << 20
    run = factories.make_run(people.project, state="succeeded")
    checkpoint = factories.write_checkpoint(run, bytes(size))
    process = psutil.Process(server_process[1])
    studio.me()
    before = process.memory_info().rss
    with studio._connection.open("GET", f"/checkpoints/{checkpoint.pk}/download") as response:
        first = response.read(1)
        for _ in range(30):  # the server has its turns, and would have sent all of it long ago
            studio.me()
        grown = process.memory_info().rss - before
        rest = sum(len(chunk) for chunk in iter(lambda: response.read(1 << 20), b""))
    assert len(first) + rest == size
    assert grown < 24 << 20


def test_a_stranger_gets_nothing(
    client_of: ClientOf, checkpoint: rows.Checkpoint, people: People, tmp_path: Path
) -> None:
    stranger = client_of("stranger")
    for ask in (
        lambda: stranger.runs.get(checkpoint.run_id),
        lambda: stranger.runs.list(project=people.project.pk),
        lambda: stranger._connection.get(f"/runs/{checkpoint.run_id}/points", metric="loss"),
        lambda: stranger._connection.open("GET", f"/checkpoints/{checkpoint.pk}/download"),
    ):
        with pytest.raises(StudioError) as refused:
            ask()
        assert refused.value.status == 404
    assert stranger.runs.list() == []


def test_parallel_requests_with_one_key_make_one_thing(studio: Client, people: People) -> None:
    def create(_: int) -> str:
        try:
            headers = {"Idempotency-Key": "same"}
            with studio._connection.open("POST", "/projects", body=b'{"name": "Once"}', headers=headers) as response:
                return str(json.load(response)["id"])
        except StudioError as refused:
            return refused.code

    with ThreadPoolExecutor(8) as pool:
        answers = set(pool.map(create, range(16)))
    made = Project.objects.get(name="Once")
    assert answers - {"in_progress"} == {str(made.pk)}
