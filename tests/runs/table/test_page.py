"""The table of runs as a page: what it shows of a filter, a baseline, groups; orders to many; views; export."""

from __future__ import annotations

import csv
import io
import json
import re
from typing import Any

import pytest
from django.test import Client
from django.urls import reverse
from django.utils.html import escape

from studio.runs import columns, tags
from studio.runs.models import Run, RunTag, State, TableView
from tests.access.people import People
from tests.factories import make_dataset_version, make_model_version, make_run

pytestmark = pytest.mark.django_db
HOSTILE = "<img src=x onerror=alert(1)>\"'</script>{{7*7}}"


@pytest.fixture(autouse=True)
def _no_queue(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("studio.runs.queue._ring", lambda *args: None)
    monkeypatch.setattr("studio.runs.publish._add", lambda *args: None)


@pytest.fixture
def editor(people: People) -> Client:
    return people.client("editor")


def filled(people: People, count: int = 3, **fields: Any) -> list[Run]:
    """Runs with `val_loss` from 0.5 on downwards and lr from 0.1 on upwards."""
    model, data = make_model_version(project=people.project), make_dataset_version(project=people.project)
    made = []
    for i in range(count):
        best = 0.5 - i / 100
        summary = {
            "val_loss": {
                "last": best + 0.01,
                "min": best,
                "argmin": 4,
                "max": 1.0,
                "argmax": 1,
                "mean": 0.7,
                "count": 5,
            }
        }
        values = {
            "state": State.SUCCEEDED,
            "model_version": model,
            "dataset_version": data,
            "summary": summary,
            **fields,
        }
        run = make_run(people.project, **values)
        run.spec["model"]["args"]["lr"] = (i + 1) / 10
        run.save(update_fields=["spec"])
        columns.write_config(run)
        Run.objects.filter(pk=run.pk).update(metrics_at=columns.write_metrics(run.pk, run.project_id, summary))
        made.append(run)
    return made


def page(people: People, client: Client, **query: str) -> str:
    response = client.get(reverse("project", args=[people.project.pk]), query)
    assert response.status_code == 200
    return " ".join(response.content.decode().split())


def order(people: People, client: Client, **data: Any) -> str:
    response = client.post(reverse("runs-bulk", args=[people.project.pk]), data, follow=True)
    assert response.status_code == 200
    return " ".join(response.content.decode().split())


def test_columns_are_chosen_and_ordered_by_the_address(people: People, editor: Client) -> None:
    filled(people)
    text = page(people, editor, columns="val_loss.min,lr,state", sort="val_loss.min")
    assert text.index("val_loss.min") < text.index("Sort by model.lr")
    assert 'aria-sort="ascending"' in text
    assert text.index("#3<") < text.index("#2<") < text.index("#1<")
    assert "<bdi>0.48</bdi>" in text
    assert "No run of this project has “val_los”. Did you mean val_loss" in page(people, editor, columns="val_los")


def test_a_baseline_is_on_top_and_others_say_how_far_they_are(people: People, editor: Client) -> None:
    filled(people)
    text = page(people, editor, columns="val_loss.min,lr", base="1", q="#3")
    assert text.index('class="is-base"') < text.index('data-number="3"')
    assert 'delta-good">▼ −0.02 better' in text
    assert "▲ +0.2</span>" in text
    assert "▲ +0.02 worse" in page(people, editor, columns="val_loss.min", base="3", q="#1")


@pytest.mark.parametrize("sort", ["", "-lr"])
def test_a_page_is_found_by_its_number(people: People, editor: Client, sort: str) -> None:
    filled(people, 102)
    numbers = {"1": 102, "2": 52, "3": 2, "9": 2, "": 102, "x": 102, "0": 2, "9" * 5000: 102}
    for asked, first in numbers.items():
        text = page(people, editor, page=asked, sort=sort)
        assert re.search(r'data-number="(\d+)"', text)[1] == str(first), asked  # type: ignore[index]
        assert "102 runs" in text


def test_a_wrong_filter_is_shown_with_its_wrong_part(people: People, editor: Client) -> None:
    filled(people, 1)
    text = page(people, editor, q="state:failed lrr<1 x")
    assert "state:failed <mark>lrr&lt;1</mark> x" in text
    assert "No run of this project has “lrr”" in text
    assert "<tr data-run" not in text


def test_a_filter_that_finds_nothing_says_which_clause_it_is(people: People, editor: Client) -> None:
    filled(people)
    text = page(people, editor, q="lr<0.15 state:failed")
    assert "Without <code>state:failed</code>: 1 run<" in text
    assert "Without <code>lr&lt;0.15</code>" not in text


def test_groups(people: People, editor: Client) -> None:
    filled(people)
    text = page(people, editor, group="hidden", columns="val_loss.min")
    assert "0.49 ± 0.01" in text
    assert "q=model.hidden%3A8" in text
    assert "Runs are not grouped by progress" in page(people, editor, group="progress")


def test_groups_show_what_decides_when_nobody_chose_a_number(people: People, editor: Client) -> None:
    filled(people)
    text = page(people, editor, group="hidden")
    assert "0.49 ± 0.01" in text
    assert "min, mean ± std" in text
    assert 'name="columns" value="val_loss.min"' in text, "columns are chosen here too"
    assert "None of these runs has a metric yet" in page(people, editor, group="hidden", q="val_loss.min<0")


def test_groups_are_sorted_by_a_click_on_a_mean_or_by_what_they_share(people: People, editor: Client) -> None:
    filled(people, 12)
    best_first = page(people, editor, group="lr", sort="val_loss.min")
    assert 'aria-sort="ascending"' in best_first
    assert "sort=-val_loss.min" in best_first
    assert best_first.index("<bdi>1.2</bdi>") < best_first.index("<bdi>0.2</bdi>")
    falling = page(people, editor, group="lr", sort="-lr")
    assert falling.index("<bdi>1.2</bdi>") < falling.index("<bdi>1</bdi>") < falling.index("<bdi>0.2</bdi>")
    largest_first = page(people, editor, group="lr")
    assert largest_first.index("<bdi>0.9</bdi>") < largest_first.index("<bdi>1.1</bdi>"), "by size, not by letters"


def test_best_is_sorted_by_the_metric_that_most_runs_of_the_page_are_told_by(people: People, editor: Client) -> None:
    filled(people)
    first = page(people, editor)
    assert 'sort=val_loss.min" title="Sort by val_loss.min"' in first
    sorted_page = page(people, editor, sort="val_loss.min")
    assert 'aria-sort="ascending"' in sorted_page
    assert sorted_page.index("#3<") < sorted_page.index("#2<") < sorted_page.index("#1<")


def test_what_is_better_is_said_only_where_a_name_or_the_run_tells(people: People, editor: Client) -> None:
    one, other = filled(people, 2)
    summaries = ({"lr-Adam": 0.1, "odd": 1.0}, {"lr-Adam": 0.2, "odd": 2.0})
    for run, values in zip((one, other), summaries, strict=True):
        told = {name: {"last": value, "min": value, "max": value, "count": 3} for name, value in values.items()}
        columns.write_metrics(run.pk, run.project_id, told)
    deltas = page(people, editor, columns="lr-Adam,odd.max", base="1")
    assert "▲ +0.1</span>" in deltas, "a learning rate is not better for being larger"
    assert "▲ +1</span>" in deltas
    one.spec["extras"] = {"monitor": "odd", "monitor_mode": "min"}
    one.save(update_fields=["spec"])
    columns.write_config(one)
    assert 'delta-bad">▲ +1 worse' in page(people, editor, columns="lr-Adam,odd.max", base="1")


def test_the_table_costs_the_same_for_one_and_for_many(
    people: People, editor: Client, django_assert_max_num_queries: Any
) -> None:
    filled(people, 12)
    query = {
        "columns": "val_loss.min,lr,state,best",
        "sort": "-val_loss.min,lr",
        "q": "lr<5 val_loss>0 model~m",
        "base": "1",
        "pin": "2,3",
    }
    with django_assert_max_num_queries(20):
        page(people, editor, **query)
    with django_assert_max_num_queries(12):
        page(people, editor, **{**query, "group": "hidden"})
    with django_assert_max_num_queries(10):
        editor.get(reverse("run-complete", args=[people.project.pk]), {"text": "val"})
    with django_assert_max_num_queries(12):
        "".join(map(str, editor.get(reverse("runs-export", args=[people.project.pk]), query).streaming_content))  # type: ignore[attr-defined]


def test_orders_to_ticked_runs(people: People, editor: Client) -> None:
    runs = filled(people)
    text = order(people, editor, action="tag", text="good, really good", run=[runs[0].pk, runs[1].pk])
    assert "2 runs tagged good, really good." in text
    assert sorted(RunTag.objects.values_list("run__number", "name")) == [
        (1, "good"),
        (1, "really good"),
        (2, "good"),
        (2, "really good"),
    ]
    assert "1 run no longer tagged good" in order(
        people, editor, action="untag", text="good", run=[runs[0].pk, runs[2].pk]
    )
    runs[0].refresh_from_db()
    assert runs[0].tags == ["really good"]
    order(people, editor, action="archive", run=[runs[0].pk])
    assert 'data-number="1"' not in page(people, editor)
    assert 'data-number="1"' in page(people, editor, q="is:archived")
    assert "No run is chosen" in order(people, editor, action="archive")
    assert "There is no action" in order(people, editor, action="explode", run=[runs[0].pk])


def test_the_enter_key_tags_or_compares_and_does_nothing_else(people: People, editor: Client) -> None:
    runs = filled(people)
    form = page(people, editor).split('<form id="bulk"', 1)[1]
    assert form.index('value="enter"') < form.index("</form>"), "the first button of a form is what Enter presses"
    assert "2 runs tagged x" in order(people, editor, action="enter", text="x", run=[r.pk for r in runs[:2]])
    assert "Compare 2 runs" in order(people, editor, action="enter", run=[r.pk for r in runs[:2]])


def test_an_order_to_all_says_for_how_many_before_it_happens(people: People, editor: Client) -> None:
    filled(people, 4)
    data = {"action": "trash", "scope": "all", "back": "q=lr<0.35"}
    text = order(people, editor, **data)
    assert "Move to the trash: 3 runs" in text
    assert "<code>lr&lt;0.35</code>" in text
    assert Run.objects.listed().count() == 4
    filled(people, 1)
    assert "Their number has changed" in order(people, editor, **data, expect="3")
    assert Run.objects.listed().count() == 5
    assert "4 runs moved to the trash" in order(people, editor, **data, expect="4")
    assert Run.objects.listed().count() == 1
    assert "4 runs taken out of the trash" in order(
        people, editor, action="restore", scope="all", back="q=is:trashed", expect="4"
    )


def test_what_is_in_the_trash_is_in_no_other_list_and_says_so(people: People, editor: Client) -> None:
    kept, gone = filled(people, 1, name="kept")[0], filled(people, 1, name="thrown away")[0]
    order(people, editor, action="trash", run=[gone.pk], expect="1")
    home = editor.get(reverse("home")).content.decode()
    assert kept.name in home
    assert gone.name not in home
    assert "is in the trash" in editor.get(reverse("run", args=[gone.pk])).content.decode()


def test_only_ended_runs_go_to_the_trash_and_only_open_ones_are_cancelled(people: People, editor: Client) -> None:
    done, waits = filled(people, 1)[0], make_run(people.project)
    both = {"run": [done.pk, waits.pk], "expect": "2"}
    assert "1 run moved to the trash (find by is:trashed). 1 run left as it is: not ended yet" in order(
        people, editor, action="trash", **both
    )
    assert "1 run asked to stop" in order(people, editor, action="cancel", **both)
    waits.refresh_from_db()
    assert waits.state == State.CANCELLED


def test_runs_of_another_project_are_left_alone(people: People, editor: Client) -> None:
    theirs = make_run(people.other_project, state=State.SUCCEEDED)
    order(people, editor, action="archive", run=[theirs.pk])
    theirs.refresh_from_db()
    assert theirs.archived_at is None


def test_running_again_makes_children(people: People, editor: Client) -> None:
    runs = filled(people, 2)
    assert "2 runs queued again" in order(people, editor, action="rerun", run=[r.pk for r in runs], expect="2")
    assert list(Run.objects.filter(state="queued").order_by("number").values_list("parent__number", flat=True)) == [
        1,
        2,
    ]


def test_stars_tags_and_notes(people: People, editor: Client) -> None:
    run = filled(people, 1)[0]
    editor.post(reverse("run-star", args=[run.pk]), {"star": "on", "back": "q=x"})
    assert 'value="off" aria-pressed="true"' in page(people, editor)
    assert 'aria-pressed="false"' in page(people, people.client("viewer"))
    form = reverse("run-labels", args=[run.pk])
    answer = editor.post(form, {"tags": "a, b,a", "note": " why \n", "back": "q=x&page=2&evil=1"})
    assert answer["Location"] == reverse("project", args=[people.project.pk]) + "?q=x&page=2"
    run.refresh_from_db()
    assert (run.tags, run.note) == (["a", "b"], "why")
    assert "has 41 letters" in editor.post(form, {"tags": "x" * 41}).content.decode()
    assert "<html" not in editor.get(form, headers={"HX-Request": "true"}).content.decode()


def test_views_are_kept_for_oneself_or_for_all(people: People, editor: Client) -> None:
    save = reverse("table-view-save", args=[people.project.pk])
    editor.post(save, {"name": "mine", "back": "q=cnn&sort=-lr&page=3&evil=1"})
    editor.post(save, {"name": "ours", "shared": "1", "back": "group=lr"})
    view = TableView.objects.get(name="mine")
    assert view.query == "q=cnn&sort=-lr"
    filled(people, 1)
    assert "mine" in page(people, editor)
    other = page(people, people.client("viewer"))
    assert "ours" in other
    assert "mine" not in other
    assert people.client("viewer").post(reverse("table-view-delete", args=[view.pk])).status_code == 404
    editor.post(reverse("table-view-delete", args=[view.pk]))
    assert not TableView.objects.filter(name="mine").exists()


def test_export_has_all_that_match_in_order(people: People, editor: Client) -> None:
    runs = filled(people)
    tags.label(runs[0], tags=["=cmd()"], note="@note")
    query = {"q": "lr<0.25", "columns": "val_loss.min,lr", "sort": "val_loss.min"}
    url = reverse("runs-export", args=[people.project.pk])
    text = b"".join(editor.get(url, query).streaming_content).decode()  # type: ignore[attr-defined]
    rows = list(csv.DictReader(io.StringIO(text)))
    assert [(r["number"], r["val_loss.min"], r["model.lr"]) for r in rows] == [
        ("2", "0.49", "0.2"),
        ("1", "0.5", "0.1"),
    ]
    assert (rows[1]["tags"], rows[1]["note"]) == ("'=cmd()", "'@note")
    found = json.loads(b"".join(editor.get(url, {**query, "format": "json"}).streaming_content))  # type: ignore[attr-defined]
    assert [row["val_loss.min"] for row in found] == [0.49, 0.5]
    assert editor.get(url, {"q": "nothing<1"}).status_code == 400


def test_export_has_the_best_number_where_the_table_shows_it(people: People, editor: Client) -> None:
    filled(people, 2)
    url = reverse("runs-export", args=[people.project.pk])
    rows = list(csv.DictReader(io.StringIO(b"".join(editor.get(url)).decode())))  # type: ignore[call-overload]
    assert [(row["best_metric"], row["best"]) for row in rows] == [("val_loss", "0.49"), ("val_loss", "0.5")]
    as_json = json.loads(b"".join(editor.get(url, {"format": "json", "columns": "lr"})))  # type: ignore[call-overload]
    assert "best" not in as_json[0], "it was not asked for"


def test_hostile_names_are_text(people: People, editor: Client) -> None:
    run = filled(people, 1, name=HOSTILE)[0]
    tags.change([run.pk], add=[HOSTILE[:40]])
    Run.objects.filter(pk=run.pk).update(note=HOSTILE)
    columns.write_metrics(run.pk, run.project_id, {HOSTILE: {"last": 1.0}})
    for query in (
        {"columns": f'"{HOSTILE.replace(chr(34), "")}",note,tags'},
        {"q": HOSTILE},
        {"group": HOSTILE},
        {"sort": HOSTILE},
    ):
        text = page(people, editor, **query)
        assert "<img src=x" not in text
    assert escape(HOSTILE) in page(people, editor, columns="note")
