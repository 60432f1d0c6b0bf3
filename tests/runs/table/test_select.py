"""Which runs a filter finds and in what order, on rows written as the studio writes them."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest
from django.db.models.functions import Now
from django.utils import timezone

from studio.reports.models import ReviewRequest
from studio.runs import columns, tags
from studio.runs.models import Run
from studio.runs.table.completions import complete
from studio.runs.table.groups import groups_of
from studio.runs.table.select import Table, table_of
from tests.access.people import People
from tests.factories import make_dataset_version, make_model, make_model_version, make_run

pytestmark = pytest.mark.django_db


def numbers(low: float, high: float, last: float, step: int = 7) -> dict[str, Any]:
    return {"last": last, "min": low, "argmin": step, "max": high, "argmax": step + 1, "mean": 0.5, "count": 9,
            "nonfinite": 0, "first_step": 1, "last_step": 9}  # fmt: skip


@pytest.fixture
def runs(people: People) -> dict[str, Run]:
    """Three: `good`, `bad` and `old`, of two models; `old` is tagged so and has no metric."""
    data = make_dataset_version(project=people.project)
    mlp = make_model_version(make_model("MLP", project=people.project))
    cnn = make_model_version(make_model("CNN", project=people.project))
    made = {}
    for name, version, lr, state in (
        ("good", mlp, 1e-4, "succeeded"),
        ("bad", cnn, 0.1, "failed"),
        ("old", mlp, 0.01, "queued"),
    ):
        run = make_run(people.project, name=f"{name} run", state=state, model_version=version, dataset_version=data)
        run.spec["model"]["args"]["lr"] = lr
        run.save(update_fields=["spec"])
        columns.write_config(run)
        made[name] = run
    for name, high in (("good", 0.95), ("bad", 0.4)):
        summary = {"val_acc": numbers(0.1, high, high - 0.05), "my metric": numbers(1, 2, 1.5)}
        at = columns.write_metrics(made[name].pk, people.project.pk, summary)
        Run.objects.filter(pk=made[name].pk).update(summary=summary, metrics_at=at)
    tags.label(made["old"], tags=["old", "base line"], note="too slow")
    Run.objects.filter(pk=made["old"].pk).update(created_at=Now() - timedelta(days=10), created_by=people.editor)
    return made


def table(people: People, **asked: str) -> Table:
    return table_of(people.project, people.editor, asked)


def found(people: People, q: str, sort: str = "number") -> str:
    made = table(people, q=q, sort=sort)
    assert made.error is None, made.error.message
    assert not made.notices
    return " ".join(name.removesuffix(" run") for name in made.ordered().values_list("name", flat=True))


@pytest.mark.parametrize(
    ("q", "names"),
    [
        ("", "good bad old"),
        ("good", "good"),
        ("-good", "bad old"),
        ("state:finished", "good"),
        ("status:failed,queued", "bad old"),
        ("state!=queued", "good bad"),
        ("lr<1e-3", "good"),
        ("lr>=0.01", "bad old"),
        ("model.lr=0.1", "bad"),
        ("config.lr:0.01,0.0001", "good old"),
        ("lr!=0.1", "good old"),
        ("val_acc.max>0.9", "good"),
        ("val_acc<0.5", "bad"),
        ("val_acc.best>0.9", "good"),
        ("metric.val_acc.argmin=7", "good bad"),
        ('"my metric.max">=2', "good bad"),
        ("tag:old", "old"),
        ("-tag:OLD", "good bad"),
        ('tag:"base line"', "old"),
        ("tag~base", "old"),
        ("model:mlp", "good old"),
        ('model:"MLP v1" state:queued', "old"),
        ("model~n", "bad"),
        ("age<2d", "good bad"),
        ("age>1w", "old"),
        ("by:me", "old"),
        ("is:mine", "old"),
        ("note~slow", "old"),
        ("has:note", "old"),
        ("has:val_acc", "good bad"),
        ("duration>30s", "good bad"),
        ("number<=2", "good bad"),
        ("#2", "bad"),
        ("extras.monitor:none", "good bad old"),
    ],
)
def test_a_filter_finds(people: People, runs: dict[str, Run], q: str, names: str) -> None:
    assert found(people, q) == names


def test_days_are_whole(people: People, runs: dict[str, Run]) -> None:
    today, before = f"{timezone.now():%Y-%m-%d}", f"{timezone.now() - timedelta(days=10):%Y-%m-%d}"
    assert found(people, f"created>={today}") == "good bad"
    assert found(people, f"created>{before}") == "good bad"
    assert found(people, f"created:{before}") == "old"
    assert found(people, f"created<={before}") == "old"


@pytest.mark.parametrize(
    ("sort", "names"),
    [
        ("-val_acc.max", "good bad old"),
        ("val_acc.max", "bad good old"),
        ("-lr", "bad old good"),
        ("model,-lr", "bad old good"),
        ("val_acc.mean,-number", "bad good old"),
        ("state", "old good bad"),
        ("name", "bad good old"),
        ("created", "old good bad"),
    ],
)
def test_an_order_puts_what_has_no_value_last(people: People, runs: dict[str, Run], sort: str, names: str) -> None:
    assert found(people, "", sort) == names


@pytest.mark.parametrize(
    ("q", "wrong", "words"),
    [
        ("state:failed leanring_rate<1", "leanring_rate<1", "No run of this project has"),
        ("val_ac>1", "val_ac>1", "Did you mean val_acc"),
        ("tag:x lr<fast", "lr<fast", "compared with a number"),
        ("state:gone", "state:gone", "is no state"),
        ("tag<3", "tag<3", "goes with"),
        ("created>yesterday", "created>yesterday", "no day"),
        ("age<soon", "age<soon", "compared with a time"),
        ("is:green", "is:green", "is:starred"),
        ("best>1", "best>1", "not found by best"),
        ("val_acc~9", "val_acc~9", "is a number"),
        ("number:x", "number:x", "the number of a run"),
    ],
)
def test_what_makes_no_sense_is_said_of_its_clause(
    people: People, runs: dict[str, Run], q: str, wrong: str, words: str
) -> None:
    made = table(people, q=q)
    assert made.error is not None
    assert q[made.error.start : made.error.end] == wrong
    assert words in made.error.message
    assert not made.matching().exists()


def test_archive_and_trash_are_seen_when_asked_for(people: People, runs: dict[str, Run]) -> None:
    Run.objects.filter(pk=runs["good"].pk).update(archived_at=Now())
    Run.objects.filter(pk=runs["bad"].pk).update(deleted_at=Now())
    assert found(people, "") == "old"
    assert found(people, "is:archived") == "good"
    assert found(people, "is:trashed") == "bad"
    assert found(people, "state:failed") == ""


def test_a_star_is_of_one_person(people: People, runs: dict[str, Run]) -> None:
    tags.star(runs["good"], people.editor, on=True)
    tags.star(runs["bad"], people.viewer, on=True)
    assert found(people, "is:starred") == "good"


def test_runs_are_found_by_what_reviewers_said(people: People, runs: dict[str, Run]) -> None:
    for name, reviewer, state in (
        ("good", people.viewer, "approved"),
        ("bad", people.viewer, "changes"),
        ("old", people.editor, "open"),
        ("bad", people.owner, "open"),
    ):
        ReviewRequest.objects.create(run=runs[name], reviewer=reviewer, state=state)
    assert found(people, "review:approved") == "good"
    assert found(people, "review:waiting") == "bad old"
    assert found(people, "review:mine") == "old"
    assert found(people, "review:approved,changes") == "good bad"
    assert found(people, "-review:waiting") == "good"
    assert "no state of a review" in str(table(people, q="review:yes").error)
    assert [one.text for one in complete(people.project, people.editor, "review:a")] == ["review:approved"]


def test_runs_of_another_project_are_never_found(people: People, runs: dict[str, Run]) -> None:
    make_run(people.other_project, name="theirs run")
    for q in ("", "-tag:old", "-lr<1", "state:queued", "model~l"):
        assert "theirs" not in found(people, q)


def test_groups_have_mean_and_standard_deviation(people: People, runs: dict[str, Run]) -> None:
    made = table(people, group="model", columns="val_acc.max,lr")
    groups, every = groups_of(made, made.matching(), made.columns)
    assert (every.groups, every.runs) == (len(groups), 3)
    assert [(g.values, g.n, [s.text for s in g.spreads]) for g in groups] == [
        (["MLP"], 2, ["0.95", "0.00505 ± 0.007"]),
        (["CNN"], 1, ["0.4", "0.1"]),
    ]
    assert groups[0].spreads[1].std == pytest.approx(0.0070003571, rel=1e-6)
    assert [(g.query, found(people, g.query)) for g in groups] == [("model:MLP", "good old"), ("model:CNN", "bad")]
    by_choice = table(people, group="lr,state")
    assert len(groups_of(by_choice, by_choice.matching(), [])[0]) == 3


@pytest.mark.parametrize(
    ("text", "first"),
    [
        ("sta", "state:"),
        ("state:fa", "state:failed"),
        ("-tag:o", "-tag:old"),
        ("tag:ba", 'tag:"base line"'),
        ("model:C", "model:CNN"),
        ("val", "val_acc"),
        ("val_acc.ma", "val_acc.max"),
        ("hid", "hidden"),
        ("hidden:", "hidden:8"),
        ("state:failed,que", "state:failed,queued"),
        ("by:ed", "by:me"),
    ],
)
def test_a_filter_is_completed(people: People, runs: dict[str, Run], text: str, first: str) -> None:
    assert complete(people.project, people.editor, text)[0].text == first


@pytest.mark.parametrize(
    "asked", [{}, {"sort": "-lr"}, {"sort": "val_acc.max"}, {"q": "lr<0.05", "sort": "lr,val_acc"}]
)
def test_a_part_of_a_table_is_what_all_of_it_has_there(
    people: People, runs: dict[str, Run], asked: dict[str, str]
) -> None:
    whole = table(people, **asked)
    everything = list(whole.ordered().values_list("pk", flat=True))
    assert len(everything) == whole.matching().count() >= 2
    for start in range(5):
        for size in (1, 2, 50):
            assert whole.part(start, size) == (everything[start : start + size], len(everything))


def test_an_ordered_part_is_counted_by_the_same_query(
    people: People, runs: dict[str, Run], django_assert_num_queries: Any
) -> None:
    whole = table(people, q="lr<5", sort="-lr")
    with django_assert_num_queries(1):
        assert whole.part(0, 2)[1] == 3
