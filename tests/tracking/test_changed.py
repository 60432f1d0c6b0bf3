"""What changed between two runs: where curves part, what is likely, and runs that halve the question."""

from __future__ import annotations

import re
from typing import Any

import numpy as np
import pytest
from django.test import Client
from django.urls import reverse

from studio.runs.diff import flat
from studio.runs.models import Run, State
from studio.tracking.changed import changes, curves_part, earlier_of
from studio.tracking.divergence import divergence
from studio.tracking.ingest import ingest
from tests.access.people import People
from tests.factories import make_attempt, make_dataset_version, make_model_version, make_run
from trainer_core.events import MetricBlock, Position

STEPS = np.arange(1, 401, dtype=float)


@pytest.fixture(autouse=True)
def _no_queue(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("studio.runs.queue._ring", lambda *args: None)
    monkeypatch.setattr("studio.runs.publish._add", lambda *args: None)


def curve(seed: int, *, jump_at: int | None = None, noise: float = 0.02) -> Any:
    y = 2 * np.exp(-STEPS / 100) + noise * np.random.default_rng(seed).normal(size=STEPS.size)
    if jump_at is not None:
        y = y + np.where(jump_at <= STEPS, 0.5, 0.0)
    return STEPS, y


def test_curves_that_differ_by_noise_stay_together() -> None:
    for seed in range(20):
        found = divergence(curve(seed), curve(seed + 100))
        assert found is not None
        assert found.step is None


@pytest.mark.parametrize("at", [50, 200, 380])
def test_a_jump_is_found_where_it_is(at: int) -> None:
    for seed in range(10):
        found = divergence(curve(seed), curve(seed + 100, jump_at=at))
        assert found is not None
        assert found.step is not None
        assert abs(found.step - at) <= 6


def test_curves_that_begin_apart_part_at_the_start() -> None:
    found = divergence(curve(1), curve(2, jump_at=0))
    assert found is not None
    assert found.share == 0.0


def test_same_curves_without_noise_are_the_same_and_one_digit_is_seen() -> None:
    x, y = STEPS, np.ones(STEPS.size)
    same = divergence((x, y), (x, y))
    assert same is not None
    assert same.step is None
    other = divergence((x, y), (x, np.where(x >= 100, 1.001, 1.0)))
    assert other is not None
    assert other.step is not None
    assert abs(other.step - 100) <= 2


def test_too_few_common_points_say_nothing() -> None:
    assert divergence(([1, 2, 3], [1, 2, 3]), ([1, 2, 3], [1, 2, 3])) is None
    assert divergence((range(10), range(10)), (range(20, 30), range(10))) is None


def with_curve(people: People, y: Any, **fields: Any) -> Run:
    run = make_run(people.project, state=State.RUNNING, **fields)
    make_attempt(run, host={"device": "cpu"})
    rows = [(int(s), 0.0, 1.76e9 + s, [float(v)]) for s, v in zip(STEPS, y, strict=True)]
    ingest(run.pk, 1, [MetricBlock.from_rows(["train_loss"], rows)], Position(1, 10))
    Run.objects.filter(pk=run.pk).update(state=State.SUCCEEDED)
    run.refresh_from_db()
    return run


@pytest.fixture
def pair(people: People) -> tuple[Run, Run]:
    """A good run, and one on another version of the dataset that is worse from the start."""
    model = make_model_version(project=people.project)
    data = make_dataset_version(project=people.project)
    split = make_dataset_version(data.dataset)
    good = with_curve(people, curve(1)[1], model_version=model, dataset_version=data)
    bad = with_curve(people, curve(2, jump_at=0)[1], model_version=model, dataset_version=split)
    return good, bad


@pytest.mark.django_db
def test_another_dataset_is_likely_when_curves_part_at_the_start(pair: tuple[Run, Run]) -> None:
    parted = curves_part(*pair, "train_loss")
    assert parted is not None
    (data,) = changes(*pair, parted)
    assert (data.layer, data.likely) == ("data", True)
    late = divergence(curve(1), curve(2, jump_at=300))
    assert [(c.layer, c.likely) for c in changes(*pair, late)] == [("data", False)]
    assert [c.likely for c in changes(*pair, None)] == [None]


@pytest.mark.django_db
def test_the_page_says_what_changed_and_compares_with_the_last_good_run(people: People, pair: tuple[Run, Run]) -> None:
    client = people.client("editor")
    url = reverse("run-changed", args=[people.project.pk])
    for query in ({"a": "1", "b": "2"}, {"b": "2"}):
        text = " ".join(client.get(url, query).content.decode().split())
        assert "that is from the start" in text
        assert '<li data-layer="data"><strong>Data</strong> <span class="pill pill-pausing">likely</span>' in text
    assert "nothing to compare it with" in client.get(url, {"b": "1"}).content.decode()
    assert "Choose two runs" in client.get(url, {"a": "77", "b": "x"}).content.decode()


@pytest.mark.django_db
def test_the_parent_comes_before_the_last_good_run(people: People, pair: tuple[Run, Run]) -> None:
    good, bad = pair
    child = make_run(people.project, parent=good, model_version=bad.model_version, dataset_version=bad.dataset_version)
    assert earlier_of(child) == good
    assert earlier_of(bad) == good
    assert earlier_of(good) is None


@pytest.mark.django_db
def test_the_last_good_run_is_a_click_from_the_parent_and_what_is_not_there_is_said(
    people: People, pair: tuple[Run, Run]
) -> None:
    good, bad = pair
    fields = {"model_version": bad.model_version, "dataset_version": bad.dataset_version}
    with_curve(people, curve(3)[1], parent=good, **fields)
    url = reverse("run-changed", args=[people.project.pk])
    text = " ".join(people.client("editor").get(url, {"b": "3"}).content.decode().split())
    assert "What changed from #1 to #3?" in text
    assert "Since the last good run before it, #2" in text
    assert "Since its parent" not in text, "it is what the page shows"
    assert re.search(r'mini-high">[\d.]+<.*mini-low">−?[\d.e−]+<', text)
    text = " ".join(people.client("editor").get(url, {"a": "77", "b": "3"}).content.decode().split())
    assert "no run of this project is #77" in text


@pytest.mark.django_db
def test_the_question_is_halved_in_one_click_each_way(people: People, pair: tuple[Run, Run]) -> None:
    good, bad = pair
    other = make_model_version(good.model_version.model)  # type: ignore[union-attr]
    bad.spec["seed"] = 7
    Run.objects.filter(pk=bad.pk).update(model_version=other, spec=bad.spec)
    client: Client = people.client("editor")
    url = reverse("run-bisect", args=[people.project.pk])
    for take, code, data in (
        ("data", other, good.dataset_version),
        ("code", good.model_version, bad.dataset_version),
    ):
        client.post(url, {"a": "1", "b": "2", "take": take})
        made = Run.objects.latest("number")
        assert (made.model_version, made.dataset_version, made.state) == (code, data, "queued")
        assert made.spec["seed"] == 7
        assert made.spec["model"]["sha256"] == code.sha256  # type: ignore[union-attr]
    before = Run.objects.count()
    assert "do not differ so" in client.post(url, {"a": "1", "b": "2", "take": "choices"}, follow=True).content.decode()
    assert Run.objects.count() == before


@pytest.mark.django_db
def test_choices_are_halved_by_their_names(people: People, pair: tuple[Run, Run]) -> None:
    good, bad = pair
    good.spec["model"]["args"] = {"lr": 0.5, "hidden": 16}
    good.spec["trainer"] = {"max_epochs": 5}
    bad.spec["trainer"] = {"max_epochs": 2, "gradient_clip_val": 1.0}
    for run in pair:
        Run.objects.filter(pk=run.pk).update(spec=run.spec, dataset_version=good.dataset_version)
        run.spec["data"] = good.spec["data"]
        run.save(update_fields=["spec"])
    client: Client = people.client("editor")
    page = " ".join(
        client.get(reverse("run-changed", args=[people.project.pk]), {"a": "1", "b": "2"}).content.decode().split()
    )
    takes = re.findall(r'name="take" value="([^"]+)"', page)
    assert sorted(",".join(takes).split(",")) == [
        "model.hidden",
        "model.lr",
        "trainer.gradient_clip_val",
        "trainer.max_epochs",
    ]
    assert len(takes) == 2
    url = reverse("run-bisect", args=[people.project.pk])
    for take in takes:
        client.post(url, {"a": "1", "b": "2", "take": take})
        made = Run.objects.latest("number")
        flat_made, flat_good, flat_bad = (flat(run.spec) for run in (made, good, bad))
        for name in ("model.hidden", "model.lr", "trainer.gradient_clip_val", "trainer.max_epochs"):
            assert flat_made.get(name) == (flat_good if name in take.split(",") else flat_bad).get(name), (take, name)


@pytest.mark.django_db
def test_where_one_thing_changed_there_is_nothing_to_halve(people: People, pair: tuple[Run, Run]) -> None:
    text = (
        people.client("editor")
        .get(reverse("run-changed", args=[people.project.pk]), {"a": "1", "b": "2"})
        .content.decode()
    )
    assert "nothing left to halve" in text
    assert 'name="take"' not in text


@pytest.mark.django_db
def test_saying_what_changed_costs_few_queries(
    people: People, pair: tuple[Run, Run], django_assert_max_num_queries: Any
) -> None:
    client = people.client("editor")
    with django_assert_max_num_queries(24):
        client.get(reverse("run-changed", args=[people.project.pk]), {"a": "1", "b": "2"})
