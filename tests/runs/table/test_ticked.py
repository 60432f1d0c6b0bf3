"""What is ticked in the table of runs stands in its address, and `best` sorts as the head of its column does."""

from __future__ import annotations

import re
from typing import Any

import pytest
from django.test import Client
from django.urls import reverse
from django.utils import timezone

from studio.runs.models import Run, State
from studio.runs.table.select import MOST_TICKED
from tests.access.people import People
from tests.factories import make_run
from tests.runs.table.test_page import _no_queue, editor, filled, page

__all__ = ["_no_queue", "editor"]
pytestmark = pytest.mark.django_db


def ticked_rows(html: str) -> list[int]:
    return [
        int(n) for n in re.findall(r'data-number="(\d+)"[^>]*> <td class="run-tick"><label><input [^>]*checked', html)
    ]


def away(html: str) -> list[int]:
    inside = re.search(r"<span data-elsewhere>(.*?)</span>", html)
    assert inside
    return [int(n) for n in re.findall(r'data-number="(\d+)"', inside[1])]


def test_rows_that_the_address_names_are_ticked(people: People, editor: Client) -> None:
    filled(people)
    html = page(people, editor, ticked="3,1,3,x,-2")
    assert ticked_rows(html) == [3, 1] and away(html) == []
    assert ">2 chosen<" in html
    assert ticked_rows(page(people, editor)) == []


def test_what_is_ticked_survives_paging_and_orders_reach_it(people: People, editor: Client) -> None:
    runs = filled(people, 60)
    first = page(people, editor, ticked="60,2")
    assert ticked_rows(first) == [60] and away(first) == [2]
    leads = re.search(r'rel="next" href="([^"]*)"', first)
    assert leads and leads[1].replace("&amp;", "&") == "?ticked=60%2C2&page=2"
    second = page(people, editor, ticked="60,2", page="2")
    assert ticked_rows(second) == [2] and away(second) == [60]
    sent = re.findall(r'form="bulk" name="run" value="(\d+)"(?: data-| checked)', second)
    assert {int(pk) for pk in sent} == {runs[1].pk, runs[59].pk}
    data = {"action": "tag", "text": "kept", "run": sent, "back": "page=2&ticked=60,2&evil=1"}
    answer = editor.post(reverse("runs-bulk", args=[people.project.pk]), data)
    assert answer["Location"].endswith("?page=2&ticked=60,2")
    assert {r.number for r in Run.objects.all() if "kept" in r.tags} == {2, 60}


def test_what_is_ticked_outlives_another_filter_but_not_the_trash(people: People, editor: Client) -> None:
    filled(people)
    assert away(page(people, editor, ticked="1,2", q="#3")) == [1, 2]
    Run.objects.filter(number=1).update(deleted_at=timezone.now())
    assert away(page(people, editor, ticked="1,2", q="#3")) == [2]


def test_runs_of_other_projects_are_never_among_them(people: People, editor: Client) -> None:
    filled(people, 1)
    for _ in range(3):
        make_run(people.other_project)
    html = page(people, editor, ticked="1,2,3", q="#1")
    assert ticked_rows(html) == [1] and away(html) == []


def test_an_address_ticks_no_more_than_an_order_takes(people: People, editor: Client) -> None:
    filled(people, MOST_TICKED + 5)
    html = page(people, editor, ticked=",".join(map(str, range(1, MOST_TICKED + 6))))
    assert len(ticked_rows(html)) + len(away(html)) == MOST_TICKED


def test_ticked_rows_cost_one_query(people: People, editor: Client, django_assert_max_num_queries: Any) -> None:
    from django.db import connection
    from django.test.utils import CaptureQueriesContext

    filled(people, 60)
    page(people, editor)
    with CaptureQueriesContext(
        connection,
    ) as without:
        page(people, editor)
    with django_assert_max_num_queries(len(without) + 1):
        page(people, editor, ticked="60,1,2,3,4,5,6,7")


def test_a_kept_view_holds_no_ticks(people: People, editor: Client) -> None:
    filled(people, 1)
    editor.post(reverse("table-view-save", args=[people.project.pk]), {"name": "mine", "back": "q=lr<1&ticked=1"})
    assert people.project.table_views.get().query == "q=lr%3C1"


def numbers(html: str) -> list[int]:
    return [int(n) for n in re.findall(r'<tr data-run="\d+" data-state="\w+" data-number="(\d+)"', html)]


def test_best_typed_in_the_address_sorts_as_its_head_does(people: People, editor: Client) -> None:
    filled(people)
    by_head = page(people, editor, sort="val_loss.min")
    typed = page(people, editor, sort="best")
    assert numbers(typed) == numbers(by_head) == [3, 2, 1]
    assert 'aria-sort="ascending"' in typed and 'sort=-val_loss.min" title="Sort by val_loss.min"' in typed
    assert numbers(page(people, editor, sort="-best")) == [1, 2, 3]
    assert "Rows are not sorted by" not in typed


def test_best_is_largest_first_where_more_is_better(people: People, editor: Client) -> None:
    from studio.runs import columns

    for run, value in zip(filled(people), (0.2, 0.9, 0.5), strict=True):
        run.spec["extras"] = {"monitor": "val_acc", "monitor_mode": "max"}
        summary = {"val_acc": {"last": value, "min": 0.1, "max": value, "count": 2}}
        Run.objects.filter(pk=run.pk).update(spec=run.spec, summary=summary)
        run.refresh_from_db()
        columns.write_config(run)
        columns.write_metrics(run.pk, run.project_id, summary)
    assert numbers(page(people, editor, sort="best")) == [2, 3, 1]
    rows = editor.get(reverse("runs-export", args=[people.project.pk]), {"sort": "best", "columns": "val_acc.max"})
    text = b"".join(rows.streaming_content).decode()  # type: ignore[attr-defined]
    assert [line.split(",")[0] for line in text.splitlines()[1:]] == ["2", "3", "1"]


def test_without_a_number_best_says_so_and_sorts_by_nothing(people: People, editor: Client) -> None:
    for _ in range(2):
        make_run(people.project, state=State.QUEUED)
    html = page(people, editor, sort="best")
    assert "No run here has a best value yet" in html and numbers(html) == [2, 1]
    assert "No run here has a best value yet" in page(people, editor, sort="best", q="state:failed")


def test_best_costs_few_queries(people: People, editor: Client, django_assert_max_num_queries: Any) -> None:
    filled(people, 60)
    with django_assert_max_num_queries(26):
        page(people, editor, sort="best")


def test_best_is_offered_to_sort_by(people: People, editor: Client) -> None:
    answer = editor.get(reverse("run-complete", args=[people.project.pk]), {"kind": "sort", "text": "-be"})
    assert answer.json()["found"][0]["text"] == "-best"
