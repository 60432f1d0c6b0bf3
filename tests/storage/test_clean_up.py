"""Offers hold exactly what they say, and what they free is what the disk gets back."""

from __future__ import annotations

import re
from datetime import timedelta
from typing import Any

import pytest
from django.urls import reverse
from django.utils import timezone

from studio.runs.checkpoints import path_of
from studio.runs.models import Run, RunStar, State
from studio.storage.disk import size_of
from studio.storage.errors import StorageError
from studio.storage.offers import clean_up, offers_of
from tests.access.people import People
from tests.factories import make_media, make_run, write_checkpoint
from tests.storage.files import make_old, on_disk
from tests.storage.test_trash import full_run

pytestmark = pytest.mark.django_db


@pytest.fixture
def runs(people: People) -> dict[str, Run]:
    """One of each kind that an offer is about."""
    found = {
        "old": full_run(people),
        "failed": full_run(people),
        "trashed": full_run(people),
        "starred": full_run(people),
    }
    for step in (2, 3, 4):
        write_checkpoint(found["old"], bytes(step * 100), step=step, is_best=step == 2)
    then = timezone.now() - timedelta(days=50)
    Run.objects.filter(pk=found["old"].pk).update(ended_at=then, archived_at=then)
    Run.objects.filter(pk=found["failed"].pk).update(state=State.FAILED)
    Run.objects.filter(pk=found["starred"].pk).update(state=State.FAILED)
    RunStar.objects.create(run=found["starred"], user=people.viewer)
    Run.objects.filter(pk=found["trashed"].pk).update(deleted_at=then)
    return found


def test_each_offer_says_what_it_is_about(people: People, runs: dict[str, Run]) -> None:
    offers = {offer.key: offer for offer in offers_of(people.project)}
    assert set(offers) == {"checkpoints", "working", "media", "failed", "archived", "trash"}
    old = runs["old"].checkpoints
    going = [old.get(step=1), old.get(step=3)]
    assert offers["checkpoints"].size_bytes == sum(size_of(path_of(c).parent) for c in going)
    assert (offers["checkpoints"].count, offers["checkpoints"].runs) == (2, (runs["old"].pk,))
    assert offers["failed"].runs == (runs["failed"].pk,) and offers["failed"].left == 1
    assert offers["archived"].runs == (runs["old"].pk,)
    assert offers["media"].runs == (runs["old"].pk,)
    assert offers["trash"].runs == (runs["trashed"].pk,)
    assert offers["working"].count == 3


@pytest.mark.parametrize("key", ["checkpoints", "working", "media", "trash"])
def test_what_is_freed_is_what_was_offered_and_what_the_disk_says(
    people: People, runs: dict[str, Run], key: str
) -> None:
    offer = next(offer for offer in offers_of(people.project) if offer.key == key)
    before = on_disk()
    done = clean_up(project=people.project, marks={key: offer.mark}, user=people.owner)
    assert before - on_disk() == done.freed.files_bytes > 0
    assert done.freed.size_bytes == offer.size_bytes and done.later_bytes == 0
    assert key not in {offer.key for offer in offers_of(people.project)}


def test_files_that_are_young_are_said_to_follow(people: People) -> None:
    run = full_run(people)
    Run.objects.filter(pk=run.pk).update(ended_at=timezone.now() - timedelta(days=50))
    make_media(run, b"just now")
    offer = next(offer for offer in offers_of(people.project) if offer.key == "media")
    done = clean_up(project=people.project, marks={"media": offer.mark}, user=people.owner)
    assert done.later_bytes == len(b"just now")


def test_runs_go_to_the_trash_first(people: People, runs: dict[str, Run]) -> None:
    marks = {
        offer.key: offer.mark for offer in offers_of(people.project) if offer.key in ("failed", "archived", "trash")
    }
    done = clean_up(project=people.project, marks=marks, user=people.owner)
    assert done.moved == 2 and done.freed.count == 1
    assert Run.objects.filter(deleted_at__isnull=False).count() == 2


def test_nothing_goes_that_was_not_shown(people: People, runs: dict[str, Run]) -> None:
    client, url = people.client("editor"), reverse("storage-clean-up", args=[people.project.pk])
    shown = client.post(url, {"offer": ["checkpoints", "working"]}).content.decode()
    marks = re.findall(r'name="mark" value="([^"]+)"', shown)
    assert len(marks) == 2 and "2 of them go for good" in shown
    write_checkpoint(runs["old"], bytes(10), step=5)
    before = on_disk()
    again = client.post(url, {"confirm": "1", "mark": marks}).content.decode()
    assert "Something has changed" in again and on_disk() == before
    assert "3 of them go for good" in again
    answer = client.post(url, {"confirm": "1", "mark": re.findall(r'name="mark" value="([^"]+)"', again)}, follow=True)
    assert "Freed" in answer.content.decode() and on_disk() < before


@pytest.mark.parametrize(
    "given", [{}, {"offer": "everything"}, {"confirm": "1"}, {"confirm": "1", "mark": "trash:1-2-3"}]
)
def test_choosing_nothing_does_nothing(people: People, runs: dict[str, Run], given: dict[str, Any]) -> None:
    before = on_disk()
    answer = people.client("editor").post(reverse("storage-clean-up", args=[people.project.pk]), given)
    assert 'role="alert"' in answer.content.decode() and on_disk() == before
    with pytest.raises(StorageError, match="Nothing is chosen"):
        clean_up(project=people.project, marks={}, user=people.owner)


def test_a_checkpoint_that_another_run_began_with_is_not_offered(people: People) -> None:
    run = make_run(people.project, state=State.SUCCEEDED)
    first = write_checkpoint(run, b"1", step=1)
    write_checkpoint(run, b"2", step=2)
    assert [offer.count for offer in offers_of(people.project)] == [1]
    make_run(people.project, start_checkpoint=first)
    assert offers_of(people.project) == []


def test_the_pages_show_the_numbers(people: People, runs: dict[str, Run], django_assert_max_num_queries: Any) -> None:
    client = people.client("viewer")
    make_old()
    with django_assert_max_num_queries(32):
        page = client.get(reverse("project-storage", args=[people.project.pk])).content.decode()
    assert "Checkpoints" in page and runs["old"].name in page and "in the trash" in page
    with django_assert_max_num_queries(30):
        page = client.get(reverse("team-storage", args=[people.team.pk])).content.decode()
    assert people.project.name in page
    with django_assert_max_num_queries(40):
        client.get(reverse("project-trash", args=[people.project.pk]))
    with django_assert_max_num_queries(70):
        people.client("editor").get(reverse("storage-clean-up", args=[people.project.pk]))
    with django_assert_max_num_queries(40):
        told = client.get(f"/api/v1/projects/{people.project.pk}/storage", {"limit": 2}).json()
    assert told["total_bytes"] == told["files_bytes"] + told["database_bytes"] == sum(told["kinds"].values())
    assert len(told["runs"]) == 2 and told["runs"][0]["id"] == runs["old"].pk
