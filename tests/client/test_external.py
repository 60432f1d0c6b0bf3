"""Programs that log from elsewhere to a real server: whatever breaks in between, each point arrives exactly once."""

from __future__ import annotations

import json
import math
import os
import signal
import subprocess
import sys
import textwrap
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

import studio.client
from studio.client import Client, StudioLogger
from studio.client.__main__ import main
from studio.client.external import ExternalRun
from studio.client.folder import RunFolder
from studio.client.sync import sync
from studio.runs.models import Run
from studio.tracking.stored import visible_blocks
from tests import factories
from tests.client.relay import Relay

REPOSITORY = Path(__file__).parents[2]


@pytest.fixture
def token(people: Any) -> str:
    return factories.make_token(people.editor)[1]


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("studio.client.sending.EVERY_S", 0.02)
    monkeypatch.setattr("studio.client.sending.FIRST_PAUSE_S", 0.02)
    monkeypatch.setattr("studio.client.sending.MOST_PAUSE_S", 0.05)


@pytest.fixture
def begin(server: str, token: str, people: Any, tmp_path: Path) -> Callable[..., ExternalRun]:
    def init(**options: Any) -> ExternalRun:
        given = {"project": people.project.pk, "url": server, "token": token, "folder": tmp_path / "runs"}
        return studio.client.init(**{**given, **options})

    return init


def eventually(question: Callable[[], Any], what: str, within_s: float = 60.0) -> Any:
    end = time.monotonic() + within_s
    while not (answer := question()):
        assert time.monotonic() < end, what
        time.sleep(0.02)
    return answer


def points_of(run: Run, metric: str = "loss") -> list[tuple[float, float]]:
    found: list[tuple[float, float]] = []
    for block in visible_blocks(run.pk, metrics=[metric]):
        if metric in block.names:
            found += zip(block.steps, block.values[block.names.index(metric)], strict=True)
    return found


def row_of(run: ExternalRun) -> Run:
    return Run.objects.get(pk=run.id)


def test_what_is_logged_is_there_bit_for_bit_and_its_end_is_told(begin: Any, people: Any) -> None:
    values = [0.1, math.pi, -0.0, 5e-324, 1.7976931348623157e308, math.nan, math.inf, -math.inf, 2**53]
    began = time.time()
    with begin(name="exact", config={"lr": 0.1, "path": Path("a"), "net": {"depth": 2}}, tags=["a"]) as run:
        for step, value in enumerate(values):
            run.log({"loss": value, "größe/ü 🙂": step}, step * 7, epoch=step / 2)
        run.configure({"late": True})
        run.log({"loss": 1})
    row = row_of(run)
    assert (row.state, row.outcome, row.reason) == ("succeeded", "ok", "It ended. Its last step was 57.")
    assert row.spec["config"] == {"lr": 0.1, "path": "a", "net": {"depth": 2}, "late": True}
    assert (row.name, row.tags, row.created_by) == ("exact", ["a"], people.editor)
    assert repr(points_of(row)) == repr([*[(7.0 * s, float(v)) for s, v in enumerate(values)], (57.0, 1.0)])
    assert [v for _, v in points_of(row, "größe/ü 🙂")] == list(range(len(values)))
    (block, *_) = visible_blocks(row.pk)
    assert list(block.epochs)[:3] == [0.0, 0.5, 1.0]
    assert all(began <= t <= time.time() for t in block.times)
    assert run.page == f"http://localhost:8000/runs/{row.pk}/" or str(row.pk) in str(run.page)
    assert not run.stop_asked


def test_points_are_there_while_it_runs(begin: Any) -> None:
    run = begin()
    run.log({"loss": 1.0})
    eventually(lambda: run.id and points_of(row_of(run)), "the point")
    assert row_of(run).state == "running"
    run.log({"loss": 2.0})
    eventually(lambda: len(points_of(row_of(run))) == 2, "the next point")
    assert run.finish()
    assert run.finish()


def test_offline_runs_are_sent_later_and_sending_again_changes_nothing(
    begin: Any, server: str, token: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    runs = [begin(offline=True, name=str(k)) for k in range(2)]
    for run in runs:
        for step in range(500):
            run.log({"loss": step * 0.5})
        assert not run.finish()
        assert run.id is None
    words = ["sync", str(tmp_path / "runs"), "--url", server, "--token", token]
    assert main(words) == 0
    assert main(words) == 0
    assert "is in the studio" in capsys.readouterr().out
    for path in (tmp_path / "runs").iterdir():
        row = Run.objects.get(pk=RunFolder(path).told["id"])
        assert row.state == "succeeded"
        assert points_of(row) == [(s, s * 0.5) for s in range(500)]
    assert main([*words[:-1], "studio_wrong"]) == 0  # all is there already
    assert main(["sync", str(tmp_path / "nowhere"), *words[2:]]) == 2


PROGRAM = """
    import sys, time
    import studio.client
    run = studio.client.init({project}, url={url!r}, token={token!r}, folder={folder!r}, offline={offline})
    step = 0
    while True:
        run.log({{"loss": step * 0.5}}, step)
        step += 1
        if step % 50 == 0:
            time.sleep(0.01)
        if step == 300:
            time.sleep(0.6)
            print("ready", flush=True)
"""


@pytest.mark.parametrize("offline", [False, True])
def test_of_a_program_that_is_killed_all_that_was_written_arrives_once(
    offline: bool, server: str, token: str, people: Any, tmp_path: Path
) -> None:
    given = {"project": people.project.pk, "url": server, "token": token, "folder": str(tmp_path), "offline": offline}
    code = textwrap.dedent(PROGRAM).format(**given)
    process = subprocess.Popen([sys.executable, "-c", code], cwd=REPOSITORY, stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    assert process.stdout.readline() == "ready\n"
    (path,) = (p for p in tmp_path.iterdir())
    if not offline:
        eventually(lambda: json.loads((path / "run.json").read_text()).get("id"), "the run")
    process.send_signal(signal.SIGKILL)
    process.wait()
    process.stdout.close()
    written = RunFolder(path).attempts()[0].last_step()
    assert written is not None
    connection = Client(server, token)._connection
    for _ in range(2):
        assert all(one.is_whole for one in sync(connection, tmp_path))
    row = Run.objects.get(pk=RunFolder(path).told["id"])
    assert points_of(row) == [(s, s * 0.5) for s in range(written + 1)]
    assert (row.state, row.outcome, row.fence) == ("failed", "died", 1)
    with studio.client.init(url=server, token=token, resume=path) as run:  # from its checkpoint of step 199
        for step in range(200, 400):
            run.log({"loss": -1.0}, step)
    row.refresh_from_db()
    assert (row.state, row.fence, run.id) == ("succeeded", 2, row.pk)
    assert points_of(row) == [(s, s * 0.5 if s < 200 else -1.0) for s in range(400)]
    assert row.summary["loss"]["count"] == 400


def test_a_server_that_is_away_and_answers_that_are_lost_change_nothing(begin: Any, server: str) -> None:
    with Relay(server) as relay:
        relay.is_up = False
        run = begin(url=relay.url)
        for step in range(100):
            run.log({"loss": step})
        time.sleep(0.1)  # some tries in vain
        relay.swallow = 2
        relay.is_up = True
        for step in range(100, 200):
            run.log({"loss": step})
            time.sleep(0.002)
        assert run.finish(timeout_s=60)
        assert relay.swallowed >= 2
    row = row_of(run)
    assert (row.state, row.fence) == ("succeeded", 1)
    assert points_of(row) == [(s, s) for s in range(200)]
    assert Run.objects.count() == 1


def test_a_run_that_was_taken_for_lost_goes_on_by_itself(begin: Any) -> None:
    from studio.runs import reap

    run = begin()
    run.log({"loss": 0.0})
    eventually(lambda: run.id and points_of(row_of(run)), "the point")

    def lost() -> bool:
        Run.objects.filter(fence=1).update(lease_until="2020-01-01T00:00:00Z")  # each send makes it longer again
        return bool(reap.reap_lost()) or row_of(run).fence > 1

    eventually(lost, "it is lost")
    run.log({"loss": 1.0})
    assert run.finish()
    row = row_of(run)
    assert (row.state, row.fence) == ("succeeded", 2)
    assert points_of(row) == [(0, 0), (1, 1)]


def test_the_next_start_sends_what_lies_beside_it(begin: Any) -> None:
    left = begin(offline=True)
    left.log({"loss": 1.0})
    left.finish()
    where = RunFolder(left.folder)
    other = begin()
    assert where.told["url"] is None  # never meant for this studio
    where.update(url=other._where.told["url"])
    other.finish()
    again = begin()
    eventually(lambda: RunFolder(left.folder).told.get("id"), "it is sent")
    again.finish()
    eventually(lambda: Run.objects.filter(state="succeeded").count() == 3, "all are there")


def test_cancel_in_the_studio_is_told_and_is_final(begin: Any, studio: Client, caplog: Any) -> None:
    run = begin()
    run.log({"loss": 1.0})
    eventually(lambda: run.id and row_of(run).state == "running", "it runs")
    studio.runs.get(run.id).cancel()
    eventually(lambda: run.log({"loss": 1.0}) or run.stop_asked, "it is told")
    assert run.finish("cancelled", "Stopped, as asked.")
    assert (row_of(run).state, row_of(run).reason) == ("cancelled", "Stopped, as asked.")


def test_an_error_of_the_program_is_shown(begin: Any) -> None:
    with pytest.raises(ZeroDivisionError), begin() as run:
        run.log({"loss": 1 / 0})
    row = row_of(run)
    assert (row.state, row.outcome, row.reason) == ("failed", "user_error", "ZeroDivisionError: division by zero")
    assert "1 / 0" in row.attempts.get().detail


def test_what_cannot_be_kept_is_told_and_breaks_nothing(begin: Any, caplog: Any) -> None:
    with begin() as run:
        run.log({"loss": 1.0, "text": "abc", "none": None, "zero\0": 1.0, "x" * 1001: 1.0, "list": [1, 2], "": 2.0})
        run.log({"loss": 2.0}, step=2**60)
        run.log({"loss": 2.5}, step=math.nan)
        run.log({"loss": 3.0}, step="five")  # type: ignore[arg-type]
        run.log({"loss": 2**60 + 1})
        run.log({})
        run.log({"x" * 1000: 4.0})
        run.log({"loss": True}, step=-3)
    run.log({"loss": 9.0})
    row = row_of(run)
    assert points_of(row) == [(0, 1), (1, 2.0**60), (-3, 1)]
    assert points_of(row, "x" * 1000) == [(3, 4.0)]
    told = " ".join(row.events.filter(kind="notice").values_list("text", flat=True))
    for words in (
        "text: got str 'abc'",
        "zero byte",
        "1001 letters",
        "list: got list",
        "no name",
        "got str 'five'",
        "2^53",
    ):
        assert words in told, words
    assert row.state == "succeeded"


def test_no_studio_no_token_no_project() -> None:
    with pytest.raises(ValueError, match="project"):
        studio.client.init()
    with pytest.raises(ValueError, match="token"):
        studio.client.init(project="a", url="http://127.0.0.1:1")


@pytest.mark.parametrize("wrong", [{"token": "studio_unknown"}, {"project": "no such project"}])
def test_a_refusal_is_told_once_and_the_program_goes_on(begin: Any, wrong: dict[str, Any], caplog: Any) -> None:
    run = begin(**wrong)
    run.log({"loss": 1.0})
    eventually(lambda: "Nothing more is sent" in caplog.text, "the refusal")
    run.log({"loss": 2.0})
    assert not run.finish(timeout_s=5)
    assert RunFolder(run.folder).attempts()[0].last_step() == 1


def test_a_forked_process_logs_nothing_and_ends_nothing(begin: Any) -> None:
    run = begin()
    run.log({"loss": 1.0})
    child = os.fork()
    if child == 0:
        run.log({"loss": 7.0})
        os._exit(0)
    assert os.waitpid(child, 0)[1] == 0
    run.log({"loss": 2.0})
    assert run.finish()
    assert points_of(row_of(run)) == [(0, 1), (1, 2)]


def test_a_program_that_ends_without_a_word_to_us_ends_its_run(
    server: str, token: str, people: Any, tmp_path: Path
) -> None:
    code = f"""
import studio.client
run = studio.client.init({people.project.pk}, url={server!r}, token={token!r}, folder={str(tmp_path)!r})
run.log({{"loss": 1.0}})
raise ValueError("a bug")
"""
    done = subprocess.run([sys.executable, "-c", code], cwd=REPOSITORY, capture_output=True, text=True, timeout=100)
    assert "a bug" in done.stderr
    row = Run.objects.get()
    assert (row.state, row.reason) == ("failed", "ValueError: a bug")
    assert "Traceback" in row.attempts.get().detail


def test_the_trainer_of_the_engine_logs_through_it(
    begin: Any, server: str, token: str, people: Any, tmp_path: Path
) -> None:
    from trainer_core import Trainer
    from trainer_core.zoo import BreastCancer, TabularMLP

    logger = StudioLogger(people.project.pk, "engine", url=server, token=token, folder=tmp_path / "runs")
    trainer = Trainer(
        max_steps=12, logger=logger, log_every_n_steps=1, default_root_dir=tmp_path, enable_checkpointing=False,
        enable_progress_bar=False, enable_model_summary=False, accelerator="cpu", limit_val_batches=1,
    )  # fmt: skip
    trainer.fit(TabularMLP(), BreastCancer())
    assert isinstance(logger.experiment, ExternalRun)
    assert logger.experiment.finish()
    row = row_of(logger.experiment)
    assert [s for s, _ in points_of(row, "train_loss")] == list(range(1, 13))
    assert row.state == "succeeded"
    assert row.spec["config"]
