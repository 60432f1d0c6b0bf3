"""Rules: what they would remove is said before they are saved, exactly that goes, and what people marked stays."""

from __future__ import annotations

import re
import zlib
from datetime import timedelta
from typing import Any

import pytest
from django.test import Client
from django.urls import reverse
from django.utils import timezone

from studio.reports import writing
from studio.reports.sharing import revoke, share
from studio.runs import promote
from studio.runs.models import Run, RunStar, State
from studio.storage import retention, trash
from studio.storage.models import Removal, RetentionRule
from studio.tracking.logs import read_log
from studio.tracking.models import LogChunk, MetricFrame
from tests.access.people import People
from tests.factories import make_attempt, make_media, make_run, write_checkpoint
from tests.storage.files import make_old, on_disk

pytestmark = pytest.mark.django_db
PIECE = zlib.compress(b"x" * 100)


def ended(people: People, *, days: int = 40, log: bytes = PIECE, **fields: Any) -> Run:
    """A run that ended so long ago, with a log in two pieces, a picture and a frame."""
    at = timezone.now() - timedelta(days=days)
    run = make_run(people.project, state=State.SUCCEEDED, **fields)
    Run.objects.filter(pk=run.pk).update(ended_at=at)
    make_attempt(run, ended_at=at, log_bytes=200)
    for offset in (0, 100):
        LogChunk.objects.create(run=run, fence=1, offset=offset, size=100, lines=1, data=log)
    MetricFrame.objects.create(run=run, fence=1, seq=1, step0=1, step1=1, n=1, names=["loss"], data=bytes(32))
    return run


def rule(people: People, kind: str = "logs", *, of_team: bool = False, **limits: int | None) -> RetentionRule:
    project = None if of_team else people.project
    return retention.save(team=people.team, project=project, user=people.owner, kind=kind, **limits)


def test_old_logs_go_and_the_run_says_so(people: People) -> None:
    old, new = ended(people), ended(people, days=3)
    made = rule(people, after_days=30)
    due = retention.due(people.project, made)
    assert (due.runs, due.size_bytes) == ([old.pk], 2 * len(PIECE))
    assert retention.apply_rules() == 1
    assert [run.log_chunks.count() for run in (old, new)] == [0, 2]
    assert read_log(old.pk, 1).text == "\n… 200 bytes are not kept …\n"
    assert Removal.objects.get().database_bytes == 2 * len(PIECE)
    page = people.client("viewer").get(reverse("run-logs", args=[old.pk])).content.decode()
    assert f"Logs with {2 * len(PIECE)} B" in page and "Logs go 30 days after the end of a run" in page
    assert (
        "Removed from this run" not in people.client("viewer").get(reverse("run-logs", args=[new.pk])).content.decode()
    )
    assert retention.apply_rules() == 0


def test_of_large_logs_the_newest_part_stays(people: People, monkeypatch: pytest.MonkeyPatch) -> None:
    run = ended(people, days=0)
    monkeypatch.setattr(retention, "MB", len(PIECE))
    made = rule(people, above_mb=1)
    assert retention.due(people.project, made).size_bytes == len(PIECE)
    assert retention.apply_rules() == 1
    assert [chunk.offset for chunk in run.log_chunks.all()] == [100]
    assert read_log(run.pk, 1, 0).text == "\n… 100 bytes are not kept …\n" + "x" * 100


def test_points_go_by_their_own_rule_alone(people: People) -> None:
    run = ended(people)
    for kind in ("logs", "media", "working", "trash"):
        rule(people, kind, after_days=1)
    retention.apply_rules()
    assert run.frames.count() == 1
    rule(people, "points", after_days=30)
    assert retention.apply_rules() == 1
    assert run.frames.count() == 0


def test_media_of_one_run_leave_the_files_that_another_names(people: People) -> None:
    old, new = ended(people), ended(people, days=1)
    for run in (old, new):
        make_media(run, b"both" * 10)
    make_media(old, b"own" * 10)
    make_old()
    made = rule(people, "media", after_days=30)
    assert retention.due(people.project, made).size_bytes == 30
    before = on_disk()
    retention.apply_rules()
    assert before - on_disk() == 30 == Removal.objects.get().files_bytes
    assert [run.media.count() for run in (old, new)] == [0, 1]


def test_what_people_marked_is_exempt(people: People) -> None:
    runs = [ended(people) for _ in range(7)]
    starred, pinned, promoted, shared, told, taken_back, plain = runs
    RunStar.objects.create(run=starred, user=people.viewer)
    write_checkpoint(pinned, pinned=True)
    promote.promote(checkpoint=write_checkpoint(promoted), user=people.owner, name="digits")
    share(target=shared, by=people.owner, project=people.project)
    link, _ = share(target=taken_back, by=people.owner, project=people.project)
    revoke(link=link, by=people.owner)
    body = f"```chart\nruns: {told.number}\n```\n"
    writing.create(project=people.project, by=people.owner, title="Told", body=body)
    due = retention.due(people.project, rule(people, after_days=30))
    assert due.runs == sorted([taken_back.pk, plain.pk])
    assert due.left == 5 and len(due.reasons) == 5
    retention.apply_rules()
    assert [run.log_chunks.count() for run in runs] == [2, 2, 2, 2, 2, 0, 0]


def test_a_project_has_its_own_rule_or_the_default_of_its_team(people: People) -> None:
    run = ended(people)
    rule(people, of_team=True, after_days=30)
    own = rule(people, after_days=None)
    assert own.words == "Logs stay for ever"
    assert retention.apply_rules() == 0
    retention.forget(rule=own, user=people.owner)
    assert retention.apply_rules() == 1
    assert run.log_chunks.count() == 0


def test_a_rule_is_saved_only_with_the_numbers_that_were_shown(people: People) -> None:
    client, url = people.client("owner"), reverse("storage-rules", args=[people.project.pk])
    ended(people)
    given = {"kind": "logs", "after_days": "30", "above_mb": ""}
    shown = client.post(url, given).content.decode()
    assert "<strong>1 run</strong>" in shown and f"{2 * len(PIECE)} bytes" in shown
    mark = re.search(r'name="confirm" value="([^"]+)"', shown)
    assert mark and not RetentionRule.objects.exists()
    ended(people)
    assert "have changed" in client.post(url, {**given, "confirm": mark[1]}).content.decode()
    assert not RetentionRule.objects.exists()
    assert client.post(url, {**given, "confirm": f"2-{4 * len(PIECE)}"}).status_code == 302
    assert RetentionRule.objects.get().after_days == 30


@pytest.mark.parametrize(
    ("given", "words"),
    [
        ({"kind": "media", "above_mb": "5"}, "a size is for logs alone"),
        ({"kind": "logs", "after_days": "0"}, "greater than or equal to 1"),
        ({"kind": "weights"}, "not one of the available choices"),
    ],
)
def test_a_rule_that_cannot_be_says_why(people: People, given: dict[str, str], words: str) -> None:
    answer = people.client("owner").post(reverse("storage-rules", args=[people.project.pk]), given)
    assert answer.status_code == 400 and words in answer.content.decode()


def test_the_trash_keeps_for_thirty_days_or_as_its_rule_says(people: People) -> None:
    run = ended(people)
    Run.objects.filter(pk=run.pk).update(deleted_at=timezone.now() - timedelta(days=29))
    assert trash.purge_old() == 0
    rule(people, "trash", after_days=None)
    Run.objects.filter(pk=run.pk).update(deleted_at=timezone.now() - timedelta(days=31))
    assert trash.purge_old() == 0
    assert retention.due(people.project, RetentionRule(kind="trash", after_days=20)).count == 1
    rule(people, "trash", after_days=30)
    assert trash.purge_old() == 1
    assert not Run.objects.filter(pk=run.pk).exists()


def test_viewers_read_the_rules_and_cannot_change_them(people: People) -> None:
    rule(people, of_team=True, after_days=30)
    client: Client = people.client("viewer")
    page = client.get(reverse("storage-rules", args=[people.project.pk])).content.decode()
    assert "Logs go 30 days after the end of a run" in page and "default of the team" in page
    assert "Show what it would remove" not in page
