"""Runs beside each other: what differs by layer, seeds taken together, and what is said of chance."""

from __future__ import annotations

import json
import re
from typing import Any

import pytest
from django.test import Client
from django.urls import reverse

from studio.runs.compare.layers import code_changes, rows_of
from studio.runs.compare.variants import Variant, variants_of, verdict
from studio.runs.models import Run, RunTag, State
from studio.runs.table.groups import spread
from studio.tracking.models import SystemSample
from tests.access.people import People
from tests.factories import make_attempt, make_dataset_version, make_model_version, make_run

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
    if kind == "unknown":
        assert found.run is not None


def test_welch_interval_is_that_of_the_textbook() -> None:
    """Two samples by hand: means 10 and 8, variances 4/3, n = 4: t(6) = 2.447 times sqrt(2/3)."""
    values = [[9.0, 9.0, 11.0, 11.0], [7.0, 7.0, 9.0, 9.0]]
    runs = [Run(number=i, spec={"i": i}) for i in (1, 2)]
    variants = [Variant([run], {"m": spread(some)}) for run, some in zip(runs, values, strict=True)]
    found = verdict(variants, "m", rises=True)
    assert found is not None
    assert "95 % interval 0.00203 to 4," in found.words
    assert found.kind == "more"


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
