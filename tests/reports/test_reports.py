"""Reports: written, previewed, saved as versions, frozen, discussed, shown to others and taken home as a file."""

from __future__ import annotations

import hashlib
import re
import time
from base64 import b64encode
from typing import Any

import pytest
from django.core.cache import cache
from django.db import IntegrityError, transaction
from django.test import Client
from django.urls import reverse

from studio.accounts.models import Activity, AuditEntry
from studio.reports import export, writing
from studio.reports.blocks import parse
from studio.reports.comments import comment
from studio.reports.curves import charts_of
from studio.reports.errors import ReportError, ReviewError
from studio.reports.models import Comment, Report
from studio.reports.sharing import share
from studio.reports.svg import picture, ticks
from studio.runs.models import Run, State
from tests.access.people import People
from tests.core.test_accessible_pages import Page
from tests.core.test_markdown import HOSTILE
from tests.factories import make_attempt, make_media, make_run, write_checkpoint
from tests.reports.series import log_series
from tests.reports.test_sharing import CANARIES, hide_canaries

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("redis_server")]
FENCE = "```"


@pytest.fixture
def run(people: People) -> Run:
    run = make_run(people.project, state=State.RUNNING, name="wide", created_by=people.editor)
    make_attempt(run)
    log_series(run, {"val_loss": [0.9, 0.5, 0.25], "lr": [0.1, 0.1, 0.1]})
    return run


def block(kind: str, *lines: str) -> str:
    return "\n".join([FENCE + kind, *lines, FENCE, ""])


def write(people: People, body: str, title: str = "Findings") -> Report:
    return writing.create(project=people.project, by=people.editor, title=title, body=body)


def words(people: People, report: Report, who: str = "viewer", query: str = "") -> str:
    response = people.client(who).get(reverse("report", args=[report.pk]) + query)
    assert response.status_code == 200
    return response.content.decode()


def test_every_kind_of_panel_is_shown(people: People, run: Run) -> None:
    write_checkpoint(run, metrics={"val_loss": 0.25}, is_best=True)
    make_media(run, key="samples", caption="a grey pixel")
    number = f"run: {run.number}"
    body = "\n".join(
        [
            "# Result\n\nIt is **good**.\n",
            block("chart", f"runs: {run.number}", "metrics: val_loss", "title: The loss"),
            block("table", f"runs: {run.number}"),
            block("runs", "filter: state:running"),
            block("image", number, "key: samples"),
            block("checkpoint", number, "step: best"),
            block("python", "print(1)"),
        ]
    )
    text = words(people, write(people, body))
    for part in (
        "<strong>good</strong>",
        "The loss",
        "<path d=",
        "0.25",
        "a grey pixel",
        'src="data:image/png;base64,',
    ):
        assert part in text
    assert text.count(f'href="/runs/{run.pk}/"') == 2 and "print(1)" in text and "best of its run" in text
    assert "panel-missing" not in text


@pytest.mark.parametrize(
    ("lines", "said"),
    [
        (["metrics: loss"], "Line 3: the chart lacks runs."),
        (["runs: a"], "Line 4: runs: got 'a', allowed are numbers of runs, as in 12, 14."),
        (["runs: 1", "metrcs: loss"], "Line 5: 'metrcs' is no parameter of a chart. Known are: runs, metrics, title, frozen."),
        (["runs: 1", "runs: 2"], "Line 5: runs is there twice."),
        (["runs: 1", "just words"], "Line 5: “just words” is no parameter."),
        (["runs: 1", "frozen: maybe"], "Line 5: frozen: got 'maybe', allowed is yes or no."),
        (["runs: " + ",".join(map(str, range(51)))], "got 51 runs, allowed are 50."),
    ],
)  # fmt: skip
def test_a_wrong_block_is_named_with_its_line_and_the_text_is_kept(people: People, lines: list[str], said: str) -> None:
    body = "Words.\n\n" + block("chart", *lines)
    with pytest.raises(ReportError) as caught:
        parse(body)
    assert said in str(caught.value)
    url = reverse("report-create", args=[people.project.pk])
    for more in ({}, {"preview": "1"}):
        response = people.client("editor").post(url, {"title": "T", "body": body, "base": "0", **more})
        assert response.status_code == 400
        assert response.context["form"].errors["body"] and "Words." in response.content.decode()
    assert not Report.objects.exists()


def test_what_a_panel_is_about_may_be_missing(people: People, run: Run) -> None:
    text = words(
        people,
        write(people, block("chart", "runs: 999") + "\n" + block("image", f"run: {run.number}", "key: no") + "\n"
              + block("checkpoint", f"run: {run.number}") + "\n" + block("runs", "filter: nonsense:x")),
    )  # fmt: skip
    assert "There is no run #999 in this project." in text and text.count("panel-missing") == 4
    other = make_run(people.other_project, number=777, name="foreign")
    assert "foreign" not in words(people, write(people, block("table", f"runs: {other.number}")))


def test_a_preview_saves_nothing(people: People, run: Run) -> None:
    body = block("table", f"runs: {run.number}")
    url = reverse("report-create", args=[people.project.pk])
    response = people.client("editor").post(url, {"title": "T", "body": body, "base": "0", "preview": "1"})
    assert response.status_code == 200 and b"Preview, not saved" in response.content and b"wide" in response.content
    assert not Report.objects.exists()


def test_each_save_is_a_version_and_frozen_panels_keep_their_numbers(people: People, run: Run) -> None:
    frozen, live = block("table", f"runs: {run.number}", "frozen: yes"), block("table", f"runs: {run.number}")
    report = write(people, frozen)
    log_series(run, {"val_loss": [0.0625]}, first=4)
    assert "0.25" in words(people, report) and "0.0625" not in words(people, report)
    url = reverse("report-edit", args=[report.pk])
    people.client("owner").post(url, {"title": "Later", "body": f"More.\n\n{frozen}", "base": "1"})
    assert "0.0625" not in words(people, report), "what stays frozen is not taken anew"
    people.client("owner").post(url, {"title": "Later", "body": live, "base": "2"})
    assert "0.0625" in words(people, report)
    assert "0.0625" not in words(people, report, query="?version=1") and "earlier version" in words(
        people, report, query="?version=1"
    )
    text = people.client("viewer").get(reverse("report-versions", args=[report.pk]) + "?from=2&to=3").content.decode()
    assert '<span class="diff-removed">-frozen: yes</span>' in text and "by owner" not in text
    assert people.client("viewer").get(reverse("report-versions", args=[report.pk]) + "?from=9").status_code == 404
    assert people.client("viewer").get(reverse("report", args=[report.pk]) + "?version=x").status_code == 404
    actions = AuditEntry.objects.filter(object_type="reports.report").values_list("action", flat=True)
    assert sorted(actions) == ["report.create", "report.save", "report.save"]


def test_who_saves_over_somebody_is_told_and_loses_nothing(people: People) -> None:
    report = write(people, "First.")
    url = reverse("report-edit", args=[report.pk])
    people.client("owner").post(url, {"title": "T", "body": "Owner's.", "base": "1"})
    response = people.client("editor").post(url, {"title": "T", "body": "Editor's.", "base": "1"})
    text = response.content.decode()
    assert response.status_code == 409 and "Changed by owner" in text and "Editor&#x27;s." in text
    assert report.versions.count() == 2
    base = re.search(r'name="base" value="(\d+)"', text)[1]  # type: ignore[index]
    assert people.client("editor").post(url, {"title": "T", "body": "Editor's.", "base": base}).status_code == 302
    assert list(report.versions.values_list("body", flat=True)) == ["Editor's.", "Owner's.", "First."]


def test_a_report_begins_with_a_comparison_or_a_run(people: People, run: Run) -> None:
    second = make_run(people.project, state=State.SUCCEEDED)
    query = f"?runs={run.number},{second.number}"
    page = people.client("editor").get(reverse("run-compare", args=[people.project.pk]) + query).content.decode()
    url = reverse("report-create", args=[people.project.pk]) + query
    assert url.replace("&", "&amp;") in page
    for asked, kinds in (
        (url, ["table", "chart", "chart"]),
        (url.split(",")[0], ["table", "chart", "chart", "checkpoint"]),
    ):
        form = people.client("editor").get(asked).context["form"]
        assert [found.kind for found in parse(form["body"].value()) if found.kind] == kinds
        assert f"metrics: val_loss" in form["body"].value()  # noqa: F541
        report = write(people, form["body"].value(), form["title"].value())
        assert "<path d=" in words(people, report)


def test_publishing_is_told_to_the_project(people: People) -> None:
    report = write(people, "Words.")
    assert "draft" in words(people, report)
    url = reverse("report-publish", args=[report.pk])
    people.client("editor").post(url)
    people.client("editor").post(url)
    assert Activity.objects.get(kind="report.publish").url == reverse("report", args=[report.pk])
    people.client("editor").post(url, {"draft": "1"})
    report.refresh_from_db()
    assert report.is_draft


def test_what_is_told_of_a_published_report_are_its_words_not_its_blocks(people: People, run: Run) -> None:
    report = write(people, f"A *width* of 64.\n\n```chart\nruns: {run.number}\nmetrics: loss\n```\n\nNo more.")
    people.client("editor").post(reverse("report-publish", args=[report.pk]))
    assert Activity.objects.get(kind="report.publish").text == "A width of 64. No more."


def test_comments_stand_at_the_part_that_they_are_about(people: People) -> None:
    report = write(people, "One.\n\nTwo.\n\nTwo.")
    parts = [found.key for found in parse("One.\n\nTwo.\n\nTwo.")]
    assert len(set(parts)) == 3
    client = people.client("viewer")
    client.post(reverse("report-comment", args=[report.pk]), {"text": "About two, @owner.", "block": parts[2]})
    made = Comment.objects.get()
    client.post(reverse("report-comment", args=[report.pk]), {"text": "Answered.", "parent": made.pk})
    assert Comment.objects.latest("pk").block == parts[2]
    text = words(people, report)
    section = text.split(f'id="part-{parts[2]}"')[1].split('id="comments"')[0]
    assert (
        "About two" in section and "Answered." in section and "About two" not in text.split(f'id="part-{parts[2]}"')[0]
    )
    told = Activity.objects.filter(kind="comment.add").earliest("pk")
    assert told.people == {str(people.owner.pk): "named", str(people.editor.pk): "yours"}
    assert told.url == f"{reverse('report', args=[report.pk])}#comment-{made.pk}"
    writing.save(report=report, by=people.editor, title="T", body="One.", base=1)
    assert "On a part that was changed since" in words(people, report) and "About two" in words(people, report)
    people.client("viewer").post(reverse("comment-edit", args=[made.pk]), {"text": "Changed."})
    assert people.client("viewer").post(reverse("comment-delete", args=[made.pk])).status_code == 302
    for data in ({"text": ""}, {"text": "x", "block": "<b>"}, {"text": "x", "parent": 10**9}):
        assert client.post(reverse("report-comment", args=[report.pk]), data).status_code == 400


def test_a_comment_is_about_a_run_or_a_report_and_never_both(people: People, run: Run) -> None:
    report = write(people, "Words.")
    for about in (
        {},
        {"run": run, "report": report},
        {"run": run, "block": "0" * 12},
        {"report": report, "metric": "x"},
    ):
        with pytest.raises(IntegrityError), transaction.atomic():
            Comment.objects.create(author=people.owner, text="x", **about)
    first = comment(run=run, author=people.owner, text="x")
    with pytest.raises(ReviewError):
        comment(report=report, author=people.owner, text="y", parent=first)


def hostile(people: People, run: Run) -> Report:
    Run.objects.filter(pk=run.pk).update(name=HOSTILE[0])
    log_series(run, {text: [1.0, 2.0] for text in HOSTILE[:8]}, first=10)
    charts = (
        block("chart", f"runs: {run.number}", f"title: {HOSTILE[1]}") + "\n" + block("table", f"runs: {run.number}")
    )
    return write(people, "\n\n".join([*HOSTILE, charts]), HOSTILE[1])


def test_nothing_that_runs_comes_through_any_page(people: People, run: Run) -> None:
    report = hostile(people, run)
    comment(report=report, author=people.viewer, text=HOSTILE[1])
    _, token = share(target=report, by=people.editor, project=people.project, title=HOSTILE[0])
    pages = [reverse("report", args=[report.pk]), reverse("report-list", args=[people.project.pk]),
             reverse("report-versions", args=[report.pk]), reverse("report-edit", args=[report.pk]),
             reverse("report-export", args=[report.pk]), reverse("share-links", args=[people.project.pk]),
             reverse("shared", args=[token])]  # fmt: skip
    for url in pages:
        page = Page(people.client("owner").get(url).content.decode())
        for element in page.elements:
            assert not [name for name in element.attrs if name.startswith("on") or name in ("style", "srcdoc")], element
            assert element.tag not in ("iframe", "object", "embed", "base"), url
            is_ours = element.attrs.get("src", "").startswith("/static/")
            assert element.tag != "script" or is_ours or element.attrs["type"] == "application/json", url
            assert not element.attrs.get("href", "").lower().startswith(("javascript:", "data:text")), url
            assert element.tag != "img" or element.attrs["src"].startswith("data:image/"), url


def test_a_file_needs_nothing_but_itself(people: People, run: Run) -> None:
    make_media(run, key="samples")
    body = block("chart", f"runs: {run.number}") + "\n" + block("image", f"run: {run.number}", "key: samples")
    report = write(people, body)
    response = people.client("viewer").get(reverse("report-export", args=[report.pk]))
    text = response.content.decode()
    assert response.headers["Content-Disposition"] == 'attachment; filename="Findings.html"'
    assert "<path d=" in text and "data:image/png" in text and "wide" not in text.split("</style>")[0]
    assert not re.search(r"<script|<link|src=\"(?!data:)|href=\"/|url\(", text)
    style = re.search(r"<style>(.*?)</style>", text, re.S)[1]  # type: ignore[index]
    digest = b64encode(hashlib.sha256(style.encode()).digest()).decode()
    assert f"default-src 'none'; img-src data:; style-src 'sha256-{digest}'" in text.replace("&#x27;", "'")


def test_nothing_of_machines_people_and_secrets_is_in_a_shared_report_or_a_file(people: People) -> None:
    run = hide_canaries(people)
    write_checkpoint(run, step=200, metrics={"canary-host-7": 1.0}, is_best=True)
    other = make_run(people.project, state=State.SUCCEEDED)
    other.spec["data"]["args"] = {"path": "plain", "api_key": "canary-password-2", "who": "nobody"}
    other.save(update_fields=["spec"])
    both = f"runs: {run.number}, {other.number}"
    make_media(run, key="samples", caption="/srv/canary/data.csv on canary-host-7")
    frozen = "frozen: yes"
    body = "\n".join(
        [
            f"Words for @canary-owner: {' '.join(CANARIES[:5])} CANARY_ENV=canary-env-value 10.9.8.7 canary-worker\n",
            block("chart", f"runs: {run.number}"), block("chart", f"runs: {run.number}", frozen),
            block("table", f"runs: {run.number}", "title: at /srv/canary/data.csv"), block("runs", "filter: state:running"),
            block("table", both), block("table", both, frozen),
            block("image", f"run: {run.number}", "key: samples"), block("checkpoint", f"run: {run.number}"),
        ]
    )  # fmt: skip
    report = write(people, body, "Of canary-host-7")
    of_report = {"target": report, "by": people.editor, "project": people.project, "embed_on": ["https://wiki.example"]}
    tokens = [share(**of_report)[1], share(**of_report, frozen=True)[1]]
    pages = [reverse(name, args=[token]) for name in ("shared", "shared-embed") for token in tokens]
    texts = [Client().get(url).content.decode() for url in pages]
    for name in ("report-export", "api:export_report"):
        texts.append(people.client("owner").get(reverse(name, args=[report.pk])).content.decode())
    for text in texts:
        assert "Words for" in text and "<circle" in text and text.count("api_key") == 2
        assert not re.findall(r"panel-missing\">[^<]*", text)
        assert not [canary for canary in CANARIES if canary in text]


def test_a_frozen_link_to_a_report_stays_and_a_live_one_follows(people: People) -> None:
    report = write(people, "First words.")
    live = share(target=report, by=people.editor, project=people.project)[1]
    kept = share(target=report, by=people.editor, project=people.project, frozen=True)[1]
    writing.save(report=report, by=people.editor, title="T", body="Other words.", base=1)
    assert b"Other words." in Client().get(reverse("shared", args=[live])).content
    assert b"First words." in Client().get(reverse("shared", args=[kept])).content
    people.client("editor").post(reverse("report-delete", args=[report.pk]))
    assert Client().get(reverse("shared", args=[live])).status_code == 404


def test_twenty_panels_are_quick_and_small(people: People, run: Run) -> None:
    log_series(run, {f"metric {k}": [float(k % 7) / (1 + i) for i in range(500)] for k in range(12)}, first=10)
    body = "\n".join(block("chart", f"runs: {run.number}", f"metrics: metric {k % 12}") for k in range(20))
    report = write(people, body)
    began = time.process_time()
    text = words(people, report)
    assert text.count("<figure") == 20
    assert time.process_time() - began < 1.5 * 2, "processor seconds; the bar is 1.5"
    assert len(export.html_of(report.project, writing.version_of(report)).encode()) < 6 << 20


def test_charts_of_the_same_runs_are_read_at_once_and_each_shows_its_own(
    people: People, run: Run, django_assert_max_num_queries: Any
) -> None:
    log_series(run, {f"metric {k}": [float(k + i) for i in range(5)] for k in range(12)}, first=10)
    charts = [block("chart", f"runs: {run.number}", f"metrics: metric {k}, metric {11 - k}") for k in range(12)]
    report = write(people, "\n".join(charts))
    with django_assert_max_num_queries(45):
        parts = writing.shown(report.project, writing.version_of(report))
    run.refresh_from_db()
    for k, part in enumerate(part for part in parts if part["kind"]):
        assert part["data"]["charts"] == charts_of([run], [f"metric {k}", f"metric {11 - k}"])


def test_lists_and_reports_cost_few_queries(people: People, run: Run, django_assert_max_num_queries: Any) -> None:
    for number in range(12):
        report = write(people, "Words.\n\n" + block("table", f"runs: {run.number}"), f"Report {number}")
    for _ in range(20):
        comment(report=report, author=people.owner, text="Words.")
    client = people.client("viewer")
    cache.clear()
    with django_assert_max_num_queries(12):
        client.get(reverse("report-list", args=[people.project.pk]))
    with django_assert_max_num_queries(20):
        client.get(reverse("report", args=[report.pk]))
    with django_assert_max_num_queries(12):
        client.get(reverse("report-versions", args=[report.pk]))


@pytest.mark.parametrize(
    "values",
    [[], [1.0], [None, None], [5.0, 5.0], [1e308, -1e308], [1e-300, 2e-300], [0.0], [None, 1.0, None, 2.0, 3.0]],
)
def test_any_values_are_drawn(values: list[float | None]) -> None:
    drawn = picture({"title": "t", "lines": [{"name": "a", "x": list(range(len(values))), "y": values}]})
    numbers = [float(n) for n in re.findall(r"-?\d+(?:\.\d+)?", drawn.lines[0].path)]
    assert all(0 <= n <= drawn.width for n in numbers)
    assert 1 <= len(drawn.y_ticks) <= 12 and 1 <= len(drawn.x_ticks) <= 12


def test_a_spike_in_a_long_line_is_drawn(people: People) -> None:
    run = make_run(people.project, state=State.RUNNING)
    make_attempt(run)
    log_series(run, {"loss": [9.0 if i == 1234 else 1.0 + (i % 7) / 100 for i in range(3000)]})
    run.refresh_from_db()
    (chart,) = charts_of([run])
    (line,) = chart["lines"]
    assert max(line["high"]) == 9.0
    assert max(line["y"]) < 2
    (drawn,) = picture(chart).lines
    heights = [float(y) for _, y in re.findall(r"[ML](\S+) (-?\d+(?:\.\d+)?)", drawn.span)]
    assert min(heights) < 30, "it reaches to the top of the picture"
    assert drawn.last == "1.03"


def test_ticks_are_round_numbers() -> None:
    assert ticks(0, 1, 5) == [0, 0.2, 0.4, 0.6, 0.8, 1.0]
    assert ticks(3, 997, 6) == [200, 400, 600, 800]
