"""The pages of queue, pools, workers and limits, and the same by REST; all of it without JavaScript."""

from __future__ import annotations

import json
import os
import re
from typing import Any

import pytest
from django.test import Client
from django.urls import reverse

from studio.accounts.models import AuditEntry
from studio.runs import add_worker, lease
from studio.runs.models import Pool, Run, State, TeamLimit, Worker
from tests.access.people import People
from tests.factories import make_run, make_worker

pytestmark = pytest.mark.django_db


@pytest.fixture(autouse=True)
def alone(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("studio.runs.queue._ring", lambda *args: None)
    monkeypatch.setattr("studio.runs.publish._add", lambda *args: None)


@pytest.fixture
def editor(people: People) -> Client:
    return people.client("editor")


@pytest.fixture
def admin(people: People) -> Client:
    people.owner.is_superuser = True
    people.owner.save(update_fields=["is_superuser"])
    return people.client("owner")


def page(client: Client, name: str, *args: Any, query: str = "") -> str:
    response = client.get(reverse(name, args=args) + query)
    assert response.status_code == 200
    return " ".join(response.content.decode().split())


def test_a_row_offers_only_the_moves_that_there_are(people: People, editor: Client) -> None:
    first, second, lone = (make_run(people.project), make_run(people.project), make_run(people.project, priority=-5))
    text = page(editor, "queue")
    buttons = {
        run: re.findall(r'value="(\w+)" title="[^"]+"( disabled)?', row)
        for run, row in zip((first, second, lone), text.split("<tr data-run=")[1:], strict=True)
    }
    assert buttons == {
        first: [("first", " disabled"), ("up", " disabled"), ("down", "")],
        second: [("first", ""), ("up", ""), ("down", " disabled")],
        lone: [("first", " disabled"), ("up", " disabled"), ("down", " disabled")],
    }
    assert reverse("run-move", args=[first.pk]) not in page(people.client("viewer"), "queue")


def test_a_button_moves_a_run_and_a_wrong_one_is_refused_in_words(people: People, editor: Client) -> None:
    first, second = make_run(people.project, name="one"), make_run(people.project, name="two")
    url = reverse("run-move", args=[second.pk])
    assert editor.post(url, {"where": "up"}).status_code == 302
    assert list(Run.objects.in_order()) == [second, first]
    for given in ({"where": "away"}, {"before": "x"}, {"before": "9" * 18}, {}):
        text = editor.post(url, given, follow=True).content.decode()
        assert 'role="alert"' in text, given
    assert list(Run.objects.in_order()) == [second, first]


def test_priority_pool_and_time_are_changed_by_a_form(people: People, editor: Client) -> None:
    first = make_run(people.project)
    run = make_run(people.project, after=first, max_runtime_s=7200)
    text = page(editor, "run-queueing", run.pk)
    assert 'value="7200s"' in text
    given = {"priority": "9", "pool": "gpu", "start_after": "2h", "labels": "a100, ssd", "free": "on"}
    assert editor.post(reverse("run-queueing", args=[run.pk]), given).status_code == 302
    run.refresh_from_db()
    assert (run.priority, run.pool, run.labels, run.max_runtime_s, run.after) == (9, "gpu", ["a100", "ssd"], None, None)
    assert run.not_before > run.created_at
    response = editor.post(reverse("run-queueing", args=[run.pk]), {"pool": "No Pool", "priority": "1000"})
    assert response.status_code == 422
    assert Run.objects.get(pk=run.pk).priority == 9
    assert "It does not wait any more" in page(editor, "run-queueing", make_run(people.project, state=State.RUNNING).pk)


def test_the_queue_comes_in_pages_at_the_same_cost(
    people: People, editor: Client, django_assert_max_num_queries: Any
) -> None:
    runs = [make_run(people.project) for _ in range(3)]
    like = {"model_version": runs[0].model_version, "dataset_version": runs[0].dataset_version}
    runs += [make_run(people.project, **like) for _ in range(110)]
    with django_assert_max_num_queries(18):
        text = page(editor, "queue")
    assert text.count("<tr data-run=") == 100
    assert "?page=2" in text
    assert page(editor, "queue", query="?page=2").count("<tr data-run=") == 13
    assert "No more of your runs wait" in page(editor, "queue", query="?page=7")


def test_an_administrator_pauses_a_pool_and_everybody_sees_why(people: People, editor: Client, admin: Client) -> None:
    make_run(people.project)
    make_worker()
    assert reverse("pool-pause", args=["default"]) in page(admin, "worker-list")
    assert reverse("pool-pause", args=["default"]) not in page(editor, "worker-list")
    admin.post(reverse("pool-pause", args=["default"]), {"note": "new cards"})
    assert "The pool default is paused by owner: “new cards”." in page(editor, "queue")
    assert "new cards" in page(editor, "worker-list")
    admin.post(reverse("pool-resume", args=["default"]))
    assert "is paused" not in page(editor, "queue")
    assert not Pool.objects.filter(paused_at__isnull=False).exists()
    actions = list(AuditEntry.objects.order_by("pk").values_list("action", flat=True))
    assert actions == ["pool.pause", "pool.resume"]


def test_an_administrator_drains_a_worker(people: People, admin: Client) -> None:
    worker = make_worker("gpu-7")
    admin.post(reverse("worker-drain", args=[worker.pk]))
    assert "Drained" in page(admin, "worker-list")
    assert lease.acquire(make_run(people.project).pk, worker) is None
    admin.post(reverse("worker-drain", args=[worker.pk]), {"enable": "1"})
    assert not Worker.objects.get(pk=worker.pk).draining


def test_limits_of_teams_are_set_and_wrong_ones_refused(people: People, admin: Client) -> None:
    url, team = reverse("queue-limits"), people.team
    assert admin.post(url, {"team": team.pk, "max_runs": "3", "max_gpus": ""}).status_code == 302
    assert TeamLimit.objects.filter(team=team, max_runs=3, max_gpus=None).exists()
    assert 'value="3"' in page(admin, "queue-limits")
    assert admin.post(url, {"team": team.pk, "max_runs": "-1"}).status_code == 422
    assert TeamLimit.objects.get(team=team).max_runs == 3


def test_workers_are_shown_with_their_gpus_load_and_labels(
    people: People, editor: Client, django_assert_max_num_queries: Any
) -> None:
    usage = {"cpu": 41.4, "memory": 63.0, "gpus": {"0": {"use": 87.0}}}
    worker = make_worker("w", labels=["a100"], devices=["0", "1"], usage=usage, pid=os.getpid())
    assert lease.acquire(make_run(people.project, gpus=1).pk, worker) is not None
    for number in range(5):
        make_worker(f"other {number}")
    with django_assert_max_num_queries(14):
        text = page(editor, "worker-list")
    for words in ("a100", "41 %", "63 %", "87 %", ">GPU 1<", "1 of 2 GPUs free", "5 of 6 workers free"):
        assert words in text, words


def test_only_an_administrator_sees_the_whole_command(people: People, editor: Client, admin: Client) -> None:
    here, there = add_worker.commands()["here"], add_worker.commands()["elsewhere"]
    assert here not in page(editor, "worker-list").replace("&amp;", "&")
    text = page(admin, "worker-list").replace("&amp;", "&")
    assert here in text
    assert (there in text) == (not add_worker.reach())


def test_a_machine_is_reached_by_postgresql_and_a_queue_server_with_an_address(
    monkeypatch: pytest.MonkeyPatch, settings: Any
) -> None:
    monkeypatch.setitem(settings.DATABASES["default"], "ENGINE", "django.db.backends.postgresql")
    monkeypatch.setitem(settings.DATABASES["default"], "HOST", "localhost")
    settings.EXTERNAL_REDIS_URL = "redis://queue.lan:6379/0"
    assert "address of the database" in add_worker.reach()[0]
    monkeypatch.setitem(settings.DATABASES["default"], "HOST", "database.lan")
    assert add_worker.reach() == []
    settings.EXTERNAL_REDIS_URL = "redis://127.0.0.1:6379/0"
    assert "that other machines reach" in add_worker.reach()[0]
    settings.EXTERNAL_REDIS_URL = ""
    assert "has none" in add_worker.reach()[0]


def test_what_a_worker_needs_to_know_is_private(settings: Any, tmp_path: Any) -> None:
    settings.DATA_DIR, settings.DATABASE_URL = tmp_path, "postgres://me:it's@db/x"
    add_worker.write_environment("http://studio.lan:9000")
    path = add_worker.environment_file()
    assert path.stat().st_mode & 0o777 == 0o600
    assert "export STUDIO_DATABASE_URL='postgres://me:it'\"'\"'s@db/x'" in path.read_text()
    assert "export STUDIO_PUBLIC_URL=http://studio.lan:9000\n" in path.read_text(), "not that of the settings"


def test_the_same_by_rest(people: People, editor: Client, admin: Client) -> None:
    def ask(method: str, path: str, given: Any = None, client: Client = editor) -> Any:
        response = client.generic(method, f"/api/v1{path}", json.dumps(given or {}), "application/json")
        return response.status_code, response.json()

    first, run = make_run(people.project), make_run(people.project)
    make_worker()
    assert ask("GET", f"/runs/{run.pk}/queue")[1] == {"place": 2, "why": "1 run before it.", "starts_in_s": None}
    assert ask("POST", f"/runs/{run.pk}/move", {"where": "first"})[1]["place"] == 1
    assert ask("POST", f"/runs/{run.pk}/move", {"before": 10**9})[0] == 409
    assert ask("PATCH", f"/runs/{run.pk}/queue", {"priority": -3, "start_after": "1h"})[1]["place"] == 2
    assert ask("PATCH", f"/runs/{run.pk}/queue", {"pool": "No"})[1]["error"]["fields"]["pool"]
    assert ask("GET", f"/runs/{make_run(people.project, state=State.RUNNING).pk}/queue")[1]["place"] is None
    given = {
        "project": people.project.pk,
        "model_version": run.model_version_id,
        "dataset_version": run.dataset_version_id,
    }
    more = {
        "pool": "gpu",
        "gpus": 2,
        "labels": ["a100"],
        "max_runtime": "90min",
        "after": first.pk,
        "start_after": "2h",
    }
    status, made = ask("POST", "/runs", {**given, **more})
    assert (status, made["pool"], made["gpus"], made["labels"], made["max_runtime_s"], made["after"]) == (
        201, "gpu", 2, ["a100"], 5400, first.pk,
    )  # fmt: skip
    assert ask("POST", "/runs", {**given, "max_runtime": "10ep"})[1]["error"]["fields"]["queue.max_runtime"]
    worker = make_worker()
    assert ask("POST", f"/workers/{worker.pk}/drain", client=admin)[1]["draining"] is True
    assert ask("POST", f"/workers/{worker.pk}/enable", client=admin)[1]["draining"] is False
    assert ask("POST", "/pools/gpu/pause", {"note": "x"}, client=admin)[1]["note"] == "x"
    assert [pool["name"] for pool in ask("GET", "/pools")[1]["items"]] == ["gpu"]
    assert ask("POST", "/pools/gpu/resume", client=admin)[1]["paused_at"] is None
