"""Runs that are logged from elsewhere: each piece of a spool is stored once, whatever is sent twice, late or by others."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from django.db import IntegrityError, transaction
from django.db.models.functions import Now
from django.test import Client
from django.urls import reverse

from studio.runs import reap
from studio.runs.cancel import request_cancel, request_pause, request_resume
from studio.runs.errors import RunError, StaleState
from studio.runs.external import create_external, open_attempt
from studio.runs.models import Run, State
from studio.runs.submit import more_seeds, rerun
from studio.tracking.external import receive
from studio.tracking.query import series
from tests.access.people import People
from tests.factories import SPOOL_KEY, make_external_run, make_model_version, make_project, make_token, make_user
from trainer_core.errors import SpoolError
from trainer_core.events import EVENT, METRICS, START, MetricBlock, Position, SpoolWriter, encode_event

pytestmark = pytest.mark.django_db
OTHER = "6" * 32


@pytest.fixture(autouse=True)
def _no_stream(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("studio.tracking.publish.metrics", lambda *args: None)
    monkeypatch.setattr("studio.runs.publish._add", lambda *args: None)


def points(first: int, last: int) -> tuple[int, bytes]:
    rows = [(float(s), 0.0, 1e9 + s, [s * 1.0]) for s in range(first, last + 1)]
    return METRICS, MetricBlock.from_rows(["loss"], rows).encode()


def told(kind: str, **fields: Any) -> tuple[int, bytes]:
    return EVENT, encode_event(kind, fields)


def bytes_of(tmp_path: Path, *frames: tuple[int, bytes], name: str = "spool") -> bytes:
    writer = SpoolWriter(tmp_path / name)
    writer.write(*frames)
    writer.close()
    return (tmp_path / name / "seg-000001.log").read_bytes()


def opened(run: Run, spool: str = SPOOL_KEY, **more: Any) -> int:
    return open_attempt(run, spool=spool, host={"hostname": "laptop-3"}, by="laptop-3", **more).fence


def steps(run: Run) -> list[float]:
    (found,) = series([run.pk], ["loss"])["runs"]
    return found["series"][0]["x"] if found["series"] else []


def state_of(run: Run) -> str:
    return Run.objects.values_list("state", flat=True).get(pk=run.pk)


def vanish(run: Run) -> None:
    """The lease runs out and the scheduler looks."""
    Run.objects.filter(pk=run.pk).update(lease_until=Now() - timedelta(seconds=60))
    assert reap.reap_lost() == 1


def test_a_run_goes_from_its_first_piece_to_its_end_and_pieces_sent_twice_change_nothing(tmp_path: Path) -> None:
    run = make_external_run()
    fence = opened(run)
    assert state_of(run) == State.STARTING
    data = bytes_of(tmp_path, told("ready"), points(0, 9), points(10, 19), told("done", outcome="ok", reason="Done."))
    cut = len(data) // 2  # in the middle of a frame
    got = receive(run.pk, fence, START, data[:cut])
    assert 0 < got.position.offset < cut
    assert (got.state, steps(run)) == (State.RUNNING, list(range(10)))
    assert receive(run.pk, fence, START, data[:cut]) == got
    assert receive(run.pk, fence, Position(1, 3), data[3:]) == got
    got = receive(run.pk, fence, got.position, data[got.position.offset :])
    assert (got.position.offset, got.state, got.is_held) == (len(data), State.SUCCEEDED, False)
    assert receive(run.pk, fence, START, data) == got
    assert steps(run) == list(range(20))
    run.refresh_from_db()
    assert (run.outcome, run.reason, run.summary["loss"]["count"]) == ("ok", "Done.", 20)


def test_a_program_that_was_away_goes_on_where_the_studio_stopped(tmp_path: Path) -> None:
    run = make_external_run()
    fence = opened(run)
    data = bytes_of(tmp_path, told("ready"), points(0, 9), points(10, 19))
    at = receive(run.pk, fence, START, data[: len(data) - 5]).position
    vanish(run)
    run.refresh_from_db()
    assert (run.state, run.outcome) == (State.FAILED, "lost")
    assert "step" not in run.reason
    assert not receive(run.pk, fence, at, data[at.offset :]).is_held
    again = opened(run)
    assert (again, state_of(run)) == (fence + 1, State.RUNNING)
    with pytest.raises(StaleState):
        receive(run.pk, fence, at, data[at.offset :])
    attempt = run.attempts.get(fence=again)
    assert Position(attempt.spool_segment, attempt.spool_offset) == at
    receive(run.pk, again, at, data[at.offset :])
    assert steps(run) == list(range(20))


def test_a_restart_does_its_last_steps_again_and_the_older_program_is_refused(tmp_path: Path) -> None:
    run = make_external_run()
    first = opened(run)
    receive(run.pk, first, START, bytes_of(tmp_path, told("ready"), points(0, 19)))
    second = opened(run, OTHER)  # while the lease of the first still runs
    data = bytes_of(tmp_path, told("ready", resume_step=14), points(15, 30), points(3, 3), name="second")
    receive(run.pk, second, START, data)
    with pytest.raises(StaleState, match="Another program has gone on"):
        receive(run.pk, first, Position(2, 0), b"x")
    with pytest.raises(StaleState, match="Another program has gone on"):
        opened(run, SPOOL_KEY)
    assert steps(run) == [*range(15), *range(15, 31), 3]  # also the one of another count
    assert run.attempts.get(fence=first).valid_to_step == 14
    vanish(run)
    third = opened(run, SPOOL_KEY)  # what the first could not send comes late, and was done again
    receive(run.pk, third, Position(2, 0), bytes_of(tmp_path, points(20, 25), name="late"))
    assert steps(run) == [*range(15), *range(15, 31), 3]


def test_what_ends_badly_says_so_and_can_go_on(tmp_path: Path) -> None:
    run = make_external_run()
    done = told("done", outcome="user_error", reason="ValueError: no", traceback="Trace", t=1e12)
    receive(run.pk, opened(run), START, bytes_of(tmp_path, told("ready"), done))
    run.refresh_from_db()
    assert (run.state, run.reason, run.attempts.get().detail) == (State.FAILED, "ValueError: no", "Trace")
    assert opened(run, OTHER) == 2


def test_an_unknown_end_is_none_that_restarts_on_a_worker(tmp_path: Path) -> None:
    for number, outcome in enumerate(("preempted", "lost", "infra", "whatever")):
        run = make_external_run()
        receive(run.pk, opened(run), START, bytes_of(tmp_path, told("done", outcome=outcome), name=str(number)))
        run.refresh_from_db()
        assert (run.state, run.outcome) == (State.FAILED, "died")


def test_a_person_can_ask_it_to_stop_and_it_does_not_come_back_by_itself(tmp_path: Path) -> None:
    run = make_external_run()
    fence = opened(run)
    receive(run.pk, fence, START, bytes_of(tmp_path, told("ready")))
    request_cancel(run=run, user=make_user())
    got = receive(run.pk, fence, START, b"")
    assert (got.state, got.is_held) == (State.CANCELLING, True)
    data = bytes_of(tmp_path, told("done", outcome="cancelled", reason="Stopped."), name="end")
    assert receive(run.pk, fence, Position(2, 0), data).state == State.CANCELLED
    with pytest.raises(RunError, match="was cancelled"):
        opened(run)
    assert opened(run, again=True) == fence + 1


def test_a_program_that_was_interrupted_there_is_cancelled(tmp_path: Path) -> None:
    run = make_external_run()
    fence = opened(run)
    receive(run.pk, fence, START, bytes_of(tmp_path, told("ready"), told("done", outcome="cancelled", reason="Ctrl-C")))
    run.refresh_from_db()
    assert (run.state, run.reason) == (State.CANCELLED, "Ctrl-C")


def test_damage_is_told_and_what_was_whole_before_it_is_kept(tmp_path: Path) -> None:
    run = make_external_run()
    fence = opened(run)
    data = bytearray(bytes_of(tmp_path, told("ready"), points(0, 9), points(10, 19)))
    data[-3] ^= 1
    with pytest.raises(SpoolError, match="damaged"):
        receive(run.pk, fence, START, bytes(data))
    assert steps(run) == list(range(10))


def test_a_finished_run_takes_nothing_more(tmp_path: Path) -> None:
    run = make_external_run()
    receive(run.pk, opened(run), START, bytes_of(tmp_path, told("done", outcome="ok")))
    for spool in (SPOOL_KEY, OTHER):
        with pytest.raises(RunError, match="has ended"):
            opened(run, spool, again=True)


def test_the_same_key_makes_one_run() -> None:
    project, user = make_project(), make_user()
    made = [
        create_external(project=project, user=user, key="a" * 32, name="n", config={"a": "x\0"}, tags=["t"], started=t)
        for t in (1e9, 1e12)
    ]
    assert made[0].pk == made[1].pk
    assert (made[0].spec, made[0].tags) == ({"config": {"a": "x\ufffd"}}, ["t"])
    assert made[0].started_at is not None


def test_the_database_holds_that_a_run_has_versions_or_is_external() -> None:
    run = make_external_run()
    for wrong in ({"source": "studio"}, {"model_version": make_model_version()}):
        with pytest.raises(IntegrityError), transaction.atomic():
            Run.objects.filter(pk=run.pk).update(**wrong)


def test_what_makes_no_sense_elsewhere_is_refused(people: People) -> None:
    run = make_external_run(people.project, state=State.FAILED)
    for order in (request_pause, request_resume, rerun, more_seeds):
        with pytest.raises(RunError, match="outside of the studio"):
            order(run=run, user=people.editor)
    for name in ("run-rerun", "run-seeds", "run-resume", "run-pause"):
        response = people.client("editor").post(reverse(name, args=[run.pk]), follow=True)
        assert "outside of the studio" in response.content.decode()


@pytest.mark.parametrize("state", [State.DRAFT, State.RUNNING, State.FAILED])
def test_its_pages_say_where_it_runs_and_offer_what_makes_sense(people: People, state: State) -> None:
    run = make_external_run(people.project, state=state)
    client = people.client("editor")
    page = client.get(reverse("run", args=[run.pk])).content.decode()
    assert ("logged from <bdi>laptop-3" in page) == (state != State.DRAFT)
    for name in ("run-pause", "run-resume", "run-rerun", "run-seeds", "run-logs", "run-system", "run-checkpoints"):
        assert reverse(name, args=[run.pk]) not in page
    assert (reverse("run-cancel", args=[run.pk]) in page) == (state == State.RUNNING)
    config = client.get(reverse("run-config", args=[run.pk])).content.decode()
    assert "model.depth" in config
    assert "outside of the studio" in client.get(reverse("run-results", args=[run.pk])).content.decode()
    for url in (reverse("project", args=[people.project.pk]), reverse("home")):
        assert "logged from outside" in client.get(url).content.decode()


def test_the_interface_in_one_go(client: Client, people: People, tmp_path: Path) -> None:
    headers = {"Authorization": f"Bearer {make_token(people.editor)[1]}"}

    def post(path: str, given: dict[str, Any]) -> Any:
        return client.post(f"/api/v1{path}", given, content_type="application/json", headers=headers)

    given = {"project": people.project.pk, "key": "c" * 32, "name": "mine", "config": {"lr": 1}, "tags": ["a"]}
    run = post("/external-runs", given).json()
    assert (run["source"], run["model_version"], run["state"], run["spec"]) == (
        "external", None, "draft", {"config": {"lr": 1}},
    )  # fmt: skip
    assert post("/external-runs", given).json()["id"] == run["id"]
    path = f"/external-runs/{run['id']}"
    attempt = post(f"{path}/attempts", {"spool": SPOOL_KEY, "host": {"hostname": "laptop-3"}}).json()
    assert (attempt["attempt"], attempt["segment"], attempt["offset"]) == (1, 1, 0)
    data = bytes_of(tmp_path, told("ready"), points(0, 9), told("config", config={"batch": 8}))

    def put(body: bytes, attempt: int = 1, offset: int = 0) -> Any:
        url = f"/api/v1{path}/spool?attempt={attempt}&segment=1&offset={offset}"
        return client.put(url, body, content_type="application/octet-stream", headers=headers)

    assert put(data).json() == {
        "attempt": 1, "segment": 1, "offset": len(data), "state": "running", "is_held": True,
    }  # fmt: skip
    assert put(data, attempt=2).status_code == 409
    assert put(b"\0" * 100, offset=len(data)).json()["error"]["code"] == "damaged"
    assert put(b"\0" * ((8 << 20) + 1), offset=len(data)).status_code == 413
    assert Run.objects.get(pk=run["id"]).spec == {"config": {"lr": 1, "batch": 8}}
    reader = {"Authorization": f"Bearer {make_token(people.editor, scope='read')[1]}"}
    assert client.put(f"/api/v1{path}/spool?attempt=1&segment=1&offset=0", b"", headers=reader).status_code == 403


def test_a_piece_costs_few_queries(tmp_path: Path, django_assert_max_num_queries: Any) -> None:
    run = make_external_run()
    fence = opened(run)
    at = receive(run.pk, fence, START, bytes_of(tmp_path, told("ready"), points(0, 9))).position
    data = bytes_of(tmp_path, *(points(s, s) for s in range(10, 60)), name="many")
    with django_assert_max_num_queries(20):
        receive(run.pk, fence, Position(2, 0), data)
    with django_assert_max_num_queries(6):  # a sign of life
        receive(run.pk, fence, at, b"")
