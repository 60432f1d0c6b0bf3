"""Runs beside each other: what differs by layer, seeds taken together, and what is said of chance."""

from __future__ import annotations

import json
import re
from datetime import timedelta
from typing import Any

import pytest
from django.test import Client
from django.urls import reverse

from studio.accounts.models import Activity
from studio.runs.compare.layers import code_changes, rows_of
from studio.runs.compare.variants import Variant, variants_of, verdict
from studio.runs.models import Attempt, Run, RunTag, State
from studio.runs.table.groups import spread
from studio.tracking.models import SystemSample
from tests.access.people import People
from tests.factories import make_attempt, make_dataset_version, make_model_version, make_run, write_checkpoint

pytestmark = pytest.mark.django_db


@pytest.fixture
def editor(people: People) -> Client:
    return people.client("editor")


def made(people: People, *results: tuple[float, int, float]) -> list[Run]:
    """A run for each (lr, seed, best val_acc), of one model and dataset."""
    model, data = make_model_version(project=people.project), make_dataset_version(project=people.project)
    found = []
    for lr, seed, best in results:
        summary = {
            "val_acc": {"last": best, "min": 0.1, "max": best},
            "val_loss": {"last": 0.5, "min": 0.4, "max": 1.0},
        }
        fields: dict[str, Any] = {"model_version": model, "dataset_version": data, "summary": summary}
        run = make_run(people.project, state=State.SUCCEEDED, **fields)
        run.spec["model"]["args"]["lr"] = lr
        run.spec |= {"seed": seed, "extras": {"monitor": "val_acc", "monitor_mode": "max"}}
        run.save(update_fields=["spec"])
        make_attempt(run, host={"device": "cpu", "versions": {"torch": f"2.{seed % 2}"}})
        found.append(run)
    return found


def page(people: People, client: Client, **query: str) -> str:
    response = client.get(reverse("run-compare", args=[people.project.pk]), query)
    assert response.status_code == 200
    return " ".join(response.content.decode().split())


def test_only_what_differs_is_shown_by_layer(people: People, editor: Client) -> None:
    runs = made(people, (0.1, 1, 0.9), (0.2, 1, 0.8))
    different = {(row.layer, row.name): row.values for row in rows_of(runs) if row.differs}
    assert different == {("config", "model.lr"): ("0.1", "0.2")}
    text = page(people, editor, runs="1,2")
    assert "model.lr" in text
    assert "trainer.max_epochs" not in text.split('id="differences"')[1]
    assert "trainer.max_epochs" in page(people, editor, runs="1,2", all="1")


def test_each_layer_is_seen(people: People) -> None:
    one, other = made(people, (0.1, 1, 0.9), (0.1, 2, 0.9))
    other.spec["data"]["args"]["batch_size"] = 8
    other.spec["trainer"]["precision"] = "bf16-mixed"
    other.spec["model"] |= {"code": "a = 1\nb = 3\n", "sha256": "f" * 64}
    one.spec["model"]["code"] = "a = 1\nb = 2\n"
    rows = {(row.layer, row.name) for row in rows_of([one, other]) if row.differs}
    assert {
        ("data", "data.batch_size"), ("hardware", "precision"), ("packages", "torch"), ("seed", "seed"),
        ("code", "sha256 of the model"), ("code", "lines"),
    } == rows  # fmt: skip
    (change,) = code_changes([one, other])
    assert [line for kind, line in change.lines if kind in ("added", "removed")] == ["-b = 2", "+b = 3"]


def test_runs_that_differ_by_seed_are_one_column_with_its_spread(people: People, editor: Client) -> None:
    one, two, _ = made(people, (0.1, 1, 0.9), (0.1, 2, 0.92), (0.2, 1, 0.5))
    text = page(people, editor, runs="1,2,3")
    assert f'data-groups="[[{one.pk}, {two.pk}]]"' in text, "their curves can be one too"
    assert "data-groups" not in page(people, editor, runs="1,3")
    assert "2 seeds, mean ± std" in text
    assert "0.91 ± 0.01414" in text


@pytest.mark.parametrize(
    ("first", "second", "kind"),
    [
        ([0.9, 0.91, 0.92], [0.5, 0.51, 0.52], "more"),
        ([0.9, 0.7, 0.8], [0.75, 0.85, 0.7], "noise"),
        ([0.9, 0.91], [0.5], "unknown"),
        ([0.9], [0.5], "unknown"),
        ([0.9, 0.9], [0.5, 0.5], "more"),
        ([0.5, 0.5], [0.5, 0.5], "noise"),
    ],
)
def test_a_difference_is_judged_by_its_seeds(
    people: People, first: list[float], second: list[float], kind: str
) -> None:
    variants = [Variant([make_run(people.project)], {"acc": spread(values)}) for values in (first, second)]
    found = verdict(variants, "acc", rises=True)
    assert found is not None
    assert found.kind == kind
    assert ("unknown" in found.words) is (kind == "unknown")
    if kind in ("unknown", "noise") and "All seeds" not in found.words:
        assert len(found.more) == (1 if len(first) != len(second) else 2)


def test_welch_interval_is_that_of_the_textbook() -> None:
    """Two samples by hand: means 10 and 8, variances 4/3, n = 4: t(6) = 2.447 times sqrt(2/3)."""
    values = [[9.0, 9.0, 11.0, 11.0], [7.0, 7.0, 9.0, 9.0]]
    runs = [Run(number=i, spec={"i": i}) for i in (1, 2)]
    variants = [Variant([run], {"m": spread(some)}) for run, some in zip(runs, values, strict=True)]
    found = verdict(variants, "m", rises=True)
    assert found is not None
    assert "95 % interval 0.00203 to 4," in found.words
    assert found.kind == "more"


def test_equal_results_share_the_best_place(people: People, editor: Client) -> None:
    made(people, (0.1, 1, 0.9), (0.2, 1, 0.9))
    text = page(people, editor, runs="1,2")
    assert "#1 and #2 share the highest val_acc. Whether they differ at all is unknown: each ran with one seed" in text


def test_a_seed_that_ran_twice_is_one_number(people: People) -> None:
    """Else a run and its exact repetition would look like a result without chance."""
    runs = made(people, (0.1, 1, 0.9), (0.1, 1, 0.9), (0.2, 1, 0.8), (0.2, 1, 0.8))
    values = {"val_acc": {run.pk: run.summary["val_acc"]["max"] for run in runs}}
    variants = variants_of(runs, values)
    assert [(v.spreads["val_acc"].n, v.note) for v in variants] == [(1, "one seed 2 times")] * 2
    found = verdict(variants, "val_acc", rises=True)
    assert found is not None
    assert found.kind == "unknown"
    assert "each ran with one seed" in found.words


def test_runs_from_outside_are_seeds_of_one_when_their_config_names_the_seed(people: People) -> None:
    configs: list[dict[str, Any]] = [
        {"lr": 1, "seed": 1}, {"lr": 1, "seed": 2}, {"lr": 2, "train": {"random_seed": 3}}, {"lr": 2, "train": {"random_seed": 4}},
        {}, {}, {"lr": 3}, {"lr": 3},
    ]  # fmt: skip
    runs = [Run(pk=i, number=i, spec={"config": config}) for i, config in enumerate(configs, 1)]
    assert [[run.number for run in v.runs] for v in variants_of(runs, {})] == [[1, 2], [3, 4], [5], [6], [7], [8]]


def test_the_order_of_seeds_does_not_matter(people: People) -> None:
    runs = made(people, (0.1, 1, 0.9), (0.2, 1, 0.8), (0.1, 3, 0.7))
    values = {"val_acc": {run.pk: run.summary["val_acc"]["max"] for run in runs}}
    assert [[r.number for r in v.runs] for v in variants_of(runs, values)] == [[1, 3], [2]]


def test_cost_is_an_axis(people: People, editor: Client) -> None:
    runs = made(people, (0.1, 1, 0.9), (0.2, 1, 0.8))
    for run, mb in zip(runs, (300.0, 500.0), strict=True):
        SystemSample.objects.create(run=run, fence=1, at=run.created_at, age_s=1, values={"memory.run": mb})
        SystemSample.objects.create(run=run, fence=1, at=run.created_at, age_s=2, values={"memory.run": mb - 1})
    found = json.loads(
        re.findall(r'<script id="compared" type="application/json">(.*?)</script>', page(people, editor, runs="1,2"))[0]
    )
    assert [axis["key"] for axis in found["axes"]] == [
        "config.model.lr",
        "cost.time",
        "cost.memory",
        "metric.val_loss",
        "metric.val_acc",
    ]
    assert [run["values"]["cost.memory"] for run in found["runs"]] == [300.0, 500.0]
    assert [run["values"]["config.model.lr"] for run in found["runs"]] == [0.1, 0.2]


def test_each_file_of_a_project_is_compared(people: People) -> None:
    one, other = made(people, (0.1, 1, 0.9), (0.1, 1, 0.9))
    files = {"net.py": "a = 1\nb = 2\n", "data.py": "x = 1\n", "old.py": "pass\n"}
    for run, now in ((one, files), (other, {"net.py": "a = 1\nb = 3\n", "data.py": "x = 1\n", "new.py": "pass\n"})):
        run.spec["model"] |= {"source": "project", "ref": "net.py:Net", "code": json.dumps(now)}
    changes = {
        change.title: [line for kind, line in change.lines if kind != "place"] for change in code_changes([one, other])
    }
    assert changes == {
        "Code of the model, net.py, #1 → #2": [" a = 1", "-b = 2", "+b = 3"],
        "Code of the model, new.py, #1 → #2": ["+pass"],
        "Code of the model, old.py, #1 → #2": ["-pass"],
    }
    rows = {row.name: row.values for row in rows_of([one, other]) if row.layer == "code"}
    assert rows["lines"][0].endswith("4 lines in 3 files")


def test_the_table_says_which_is_best_how_far_the_others_are_and_what_they_took(people: People, editor: Client) -> None:
    first, second, third = made(people, (0.1, 1, 0.9), (0.2, 1, 0.95), (0.3, 1, 0.8))
    for run, lr in zip((first, second, third), (0.1, 0.2, 0.3), strict=True):
        run.summary |= {"lr-Adam": {"last": lr, "min": lr, "max": lr}}
        run.summary["val_acc"]["argmax"] = 120
        run.summary["val_loss"] = {"min": None, "max": None, "last": "NaN", "nonfinite": 3}
        run.save(update_fields=["summary"])
    began = first.created_at
    Attempt.objects.filter(run=first).update(
        devices=["0", "1"], started_at=began, ended_at=began + timedelta(minutes=30)
    )
    Attempt.objects.filter(run=second).update(
        host={"device": "cuda:0"}, started_at=began, ended_at=began + timedelta(minutes=15)
    )
    text = page(people, editor, runs="1,2,3")
    rows = {
        re.findall(r"[\w-]+", re.sub("<[^>]+>", " ", f"<tr{row}"))[0]: row
        for row in text.split("<tr")[1:]
        if 'scope="row"' in row
    }
    plain = [re.sub("<[^>]+>", " ", f"<td{cell}") for cell in rows["val_acc"].split("<td")[1:]]
    assert [("is-best" in cell) for cell in rows["val_acc"].split("<td")[1:]] == [False, True, False]
    assert "at step 120" in plain[0]
    assert "▲ +0.05 better" in plain[1]
    assert "▼ −0.1 worse" in plain[2]
    assert "never finite" in rows["val_loss"]
    assert "last" in rows["lr-Adam"]
    assert "is-best" not in rows["lr-Adam"]
    assert "better" not in rows["lr-Adam"]
    assert rows["GPU-hours"].count(">1<") == 1
    assert ">0.25<" in rows["GPU-hours"]
    assert ">–<" in rows["GPU-hours"], "the third held no GPU"


def test_a_run_with_nan_says_so_beside_its_best_value(people: People, editor: Client) -> None:
    first, _ = made(people, (0.1, 1, 0.9), (0.2, 1, 0.8))
    first.summary["val_acc"]["nonfinite"] = 12
    first.save(update_fields=["summary"])
    text = page(people, editor, runs="1,2")
    assert text.count("12 not finite") == 1


def test_what_the_address_names_and_the_page_has_not_is_said(people: People, editor: Client) -> None:
    first, second = made(people, (0.1, 1, 0.9), (0.2, 1, 0.8))
    Run.objects.filter(pk=first.pk).update(archived_at=first.created_at)
    Run.objects.filter(pk=second.pk).update(deleted_at=first.created_at)
    text = page(people, editor, runs="1,2,77,x")
    assert "no run of this project is #77, #x." in text
    assert "archived</span>" in text
    assert "in the trash</span>" in text
    assert "no run of this project is #78" in page(people, editor, runs="78")


def test_more_seeds_come_back_to_the_comparison(people: People, editor: Client, monkeypatch: Any) -> None:
    monkeypatch.setattr("studio.runs.queue._ring", lambda *args: None)
    monkeypatch.setattr("studio.runs.publish._add", lambda *args: None)
    first, second = made(people, (0.1, 1, 0.9), (0.2, 1, 0.8))
    text = page(people, editor, runs="1,2")
    assert "Three more seeds of #1 and #2" in text
    assert f'name="also" value="{second.pk}"' in text
    response = editor.post(reverse("run-seeds", args=[first.pk]), {"compare": "1,2", "also": str(second.pk)})
    assert response.headers["Location"].endswith("/compare/?runs=1,2,3,4,5,6,7,8")
    assert len({run.spec["seed"] for run in Run.objects.filter(parent=first)} - {1}) == 3
    foreign = make_run(people.other_project, state=State.SUCCEEDED)
    assert editor.post(reverse("run-seeds", args=[first.pk]), {"also": str(foreign.pk)}).status_code == 404
    assert not Run.objects.filter(parent=foreign).exists()


def test_a_winner_is_told_and_its_best_checkpoint_can_be_promoted(people: People, editor: Client) -> None:
    _, second = made(people, (0.1, 1, 0.9), (0.2, 1, 0.8))
    best, _ = write_checkpoint(second, step=10, is_best=True), write_checkpoint(second, step=20)
    editor.post(reverse("run-winner", args=[people.project.pk]), {"runs": "1,2", "winner": "2"})
    told = Activity.objects.get(kind="review.winner")
    assert "marked #2" in told.title
    assert told.text == "Compared with #1"
    assert reverse("checkpoint-promote", args=[best.pk]) in page(people, editor, runs="1,2")


def test_of_several_seeds_the_best_one_is_marked(people: People, editor: Client) -> None:
    made(people, (0.1, 1, 0.9), (0.1, 2, 0.95), (0.2, 1, 0.5))
    assert "Mark #2 as winner" in page(people, editor, runs="1,2,3")


def test_a_winner_is_marked_and_unmarked(people: People, editor: Client) -> None:
    made(people, (0.1, 1, 0.9), (0.2, 1, 0.8))
    url = reverse("run-winner", args=[people.project.pk])
    editor.post(url, {"runs": "1,2", "winner": "1"})
    editor.post(url, {"runs": "1,2", "winner": "2"})
    assert list(RunTag.objects.values_list("run__number", "name")) == [(2, "winner")]
    assert "Not the winner" in page(people, editor, runs="1,2")
    editor.post(url, {"runs": "1,2", "winner": ""})
    assert not RunTag.objects.exists()


def test_comparing_costs_the_same_for_two_and_for_fifty(
    people: People, editor: Client, django_assert_max_num_queries: Any
) -> None:
    made(people, *((i / 10, 1, 0.5) for i in range(1, 53)))
    with django_assert_max_num_queries(14):
        text = page(people, editor, runs=",".join(map(str, range(1, 53))))
    assert "Compare 50 runs" in text


def test_comparing_nothing_leads_to_the_list(people: People, editor: Client) -> None:
    made(people, (0.1, 1, 0.9))
    make_run(people.other_project, number=2)
    for runs in ("", "1", "x,-3", "1,2"):
        assert "Choose two runs or more" in page(people, editor, runs=runs)


def test_hostile_names_are_text_on_the_page(people: People, editor: Client) -> None:
    hostile = "</script><img src=x onerror=alert(1)>"
    for run in made(people, (0.1, 1, 0.9), (0.2, 1, 0.8)):
        run.spec["model"]["code"] = f"{hostile}{run.number}"
        Run.objects.filter(pk=run.pk).update(
            name=hostile, summary={hostile: {"last": 1.0, "min": 1.0, "max": 1.0}}, spec=run.spec
        )
    assert "<img src=x" not in page(people, editor, runs="1,2")
