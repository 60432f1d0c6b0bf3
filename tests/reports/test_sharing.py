"""Links for people without an account: what they open, to whom, until when, and that nothing else comes out."""

from __future__ import annotations

import asyncio
import hashlib
import json
import logging
import re
from datetime import timedelta
from typing import Any

import pytest
from django.core.cache import cache
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.urls import reverse
from django.utils import timezone

from studio.accounts.models import AuditEntry, Membership, User
from studio.core import download
from studio.core.masking import MaskAddresses
from studio.reports import sharing
from studio.reports.errors import ShareError
from studio.reports.models import ShareLink
from studio.reports.views.shared import MISSES_A_MINUTE
from studio.runs.models import Run, State
from studio.tracking.logs import append_log
from tests.access.people import People
from tests.access.test_matrix import release
from tests.access.walk import listed_routes, real_routes
from tests.factories import make_attempt, make_run, make_worker, write_checkpoint
from tests.reports.series import log_series

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("redis_server")]  # which counts who asks too often
ALL = ["show_config", "show_logs", "show_files", "show_author"]
# Each stands in a place from which a shared page takes words, or beside one.
CANARIES = [
    "/srv/canary/data.csv", "C:\\canary\\x", "canary@mail.example", "canary-host-7", "studio_canaryTOKEN0123456789",
    "CANARY_ENV", "canary-env-value", "10.9.8.7", "canary-password", "canary-worker", "canary-owner",
]  # fmt: skip


@pytest.fixture
def run(people: People) -> Run:
    run = make_run(people.project, state=State.RUNNING, name="wide", created_by=people.editor)
    make_attempt(run)
    log_series(run, {"val_loss": [0.9, 0.5, 0.25], "train_loss": [1.0, 0.6, 0.3]})
    return run


def share(people: People, target: Any, **given: Any) -> tuple[ShareLink, str]:
    link, token = sharing.share(target=target, by=people.editor, project=people.project, **given)
    return link, reverse("shared", args=[token])


def words(url: str, client: Client | None = None) -> str:
    response = (client or Client()).get(url)
    assert response.status_code == 200, response.content[:300]
    return response.content.decode()


def test_anybody_reads_a_run_and_is_not_known_afterwards(people: People, run: Run) -> None:
    link, url = share(people, run)
    response = Client().get(url)
    text = response.content.decode()
    assert "wide" in text and "val_loss" in text and "<path d=" in text and "Running" in text
    assert not response.cookies
    assert "csrf" not in text and "sidenav" not in text and f"/runs/{run.pk}/" not in text
    assert response.headers["X-Robots-Tag"] == "noindex, nofollow" and '"noindex, nofollow"' in text
    assert response.headers["Referrer-Policy"] == "no-referrer"
    assert response.headers["Cache-Control"] == "no-store"
    assert "frame-ancestors 'none'" in response.headers["Content-Security-Policy"]
    link.refresh_from_db()
    assert link.views == 1 and link.last_viewed_at is not None


def test_only_the_digest_of_a_token_is_kept(people: People, run: Run) -> None:
    link, url = share(people, run)
    token = url.split("/")[2]
    assert token not in repr([list(ShareLink.objects.values()), list(AuditEntry.objects.values())])
    assert len(token) >= 43


def test_parts_are_shown_that_were_chosen_only(people: People, run: Run) -> None:
    checkpoint = write_checkpoint(run)
    bare, full = share(people, run)[1], share(people, run, parts=ALL)[1]
    assert "max_epochs" not in words(bare) and "Download" not in words(bare) and "editor" not in words(bare)
    text = words(full)
    assert "max_epochs" in text and "shared by <bdi>editor</bdi>" in text
    file = Client().head(f"{full}files/{checkpoint.pk}/")
    assert (file.status_code, file.headers["ETag"]) == (200, f'"{hashlib.sha256(b"weights").hexdigest()}"')
    assert Client().get(f"{bare}files/{checkpoint.pk}/").status_code == 404


def test_a_frozen_link_shows_what_there_was(people: People, run: Run) -> None:
    frozen, live = share(people, run, frozen=True)[1], share(people, run)[1]
    Run.objects.filter(pk=run.pk).update(name="renamed")
    log_series(run, {"val_loss": [0.125]}, first=4)
    assert "wide" in words(frozen) and "renamed" not in words(frozen) and "0.125" not in words(frozen)
    assert "renamed" in words(live) and "0.125" in words(live)
    assert "shared-live" not in words(frozen)


def test_a_live_page_asks_for_what_changed_only(people: People, run: Run) -> None:
    url = share(people, run)[1]
    cursor = re.search(r'data-cursor="(\w+)"', words(url))[1]  # type: ignore[index]
    assert Client().get(f"{url}live/", {"cursor": cursor}).status_code == 204
    log_series(run, {"val_loss": [0.0625]}, first=4)
    fresh = Client().get(f"{url}live/", {"cursor": cursor})
    assert fresh.status_code == 200 and b"0.0625" in fresh.content and b"<html" not in fresh.content


def test_the_series_are_those_of_the_target_whatever_is_asked(people: People, run: Run) -> None:
    other = make_run(people.project, state=State.RUNNING)
    make_attempt(other)
    log_series(other, {"secret_metric": [1.0]})
    url = share(people, run)[1] + "series.json"
    plain = Client().get(url).json()
    assert {line["name"] for chart in plain["charts"] for line in chart["lines"]} == {"val_loss", "train_loss"}
    assert plain["charts"][0]["lines"][0]["y"] == [0.9, 0.5, 0.25]
    for query in ({"run": other.pk}, {"metrics": "secret_metric"}, {"project": 1, "x": "';--"}, {"run__project": "x"}):
        assert Client().get(url, query).json() == plain


def test_a_comparison_and_a_checkpoint_are_shared(people: People, run: Run) -> None:
    second = make_run(people.project, name="deep", state=State.SUCCEEDED, summary={"val_loss": {"min": 0.125}})
    text = words(share(people, [run, second], parts=["show_config"])[1])
    assert "wide" in text and "deep" in text and "0.125" in text
    checkpoint = write_checkpoint(second, metrics={"val_loss": 0.125})
    link, url = share(people, checkpoint)
    assert "0.125" in words(url) and "Download" in words(url)
    checkpoint.refresh_from_db()
    assert checkpoint.pinned, "retention would take it away"
    assert Client().head(f"{url}files/{checkpoint.pk}/", headers={"Range": "bytes=0-2"}).status_code == 206


@pytest.mark.parametrize("end", ["revoked", "expired", "trashed"])
def test_a_link_that_ended_opens_nothing_at_once(people: People, run: Run, end: str) -> None:
    link, url = share(people, run, parts=ALL)
    checkpoint = write_checkpoint(run)
    assert "wide" in words(url)
    if end == "revoked":
        people.client("editor").post(reverse("share-revoke", args=[link.pk]))
    elif end == "expired":
        ShareLink.objects.update(expires_at=timezone.now() - timedelta(seconds=1))
    else:
        Run.objects.filter(pk=run.pk).update(deleted_at=timezone.now())
    unknown = Client().get(reverse("shared", args=["A" * 43]))
    for part in ("", "live/", "series.json", f"files/{checkpoint.pk}/"):
        response = Client().get(url + part)
        assert response.status_code == 404
        assert response.content == unknown.content and response.headers.items() == unknown.headers.items()
        assert "wide" not in response.content.decode()


@pytest.mark.parametrize("token", ["A" * 43, "x", "é" * 43, "%00" * 5, ":key", "token", "A" * 5000, "a%2Fb"])
def test_wrong_tokens_are_answered_alike(db: None, token: str, django_assert_max_num_queries: Any) -> None:
    with django_assert_max_num_queries(1):
        response = Client().get(f"/s/{token}/")
    assert response.status_code == 404


def test_finding_costs_the_same_for_every_token(people: People, run: Run, django_assert_num_queries: Any) -> None:
    link, url = share(people, run)
    sharing.revoke(link=link, by=people.editor)
    for token in (url.split("/")[2], "A" * 43, "short", "\0"):
        with django_assert_num_queries(1):
            assert sharing.find(token) is None


def test_a_password_is_asked_for_and_tries_are_counted(people: People, run: Run) -> None:
    link, url = share(people, run, password="open sesame")
    client = Client(enforce_csrf_checks=True)
    for part in ("", "live/", "series.json", "files/1/"):
        response = client.get(url + part)
        assert response.status_code == 401 and "wide" not in response.content.decode() and not response.cookies
    wrong = client.post(f"{url}password/", {"password": "open simsim"})
    assert wrong.status_code == 400 and "not right" in wrong.content.decode()
    right = client.post(f"{url}password/", {"password": "open sesame"})
    cookie = right.cookies[f"shared_{link.pk}"]
    assert right.status_code == 302 and cookie["path"] == url and cookie["httponly"] and cookie["samesite"] == "Lax"
    assert "wide" in words(url, client)
    other_link, other = share(people, run, password="open sesame")
    client.cookies[f"shared_{other_link.pk}"] = cookie.value
    assert client.get(other).status_code == 401, "one link's password opens no other"
    ShareLink.objects.filter(pk=link.pk).update(password="")  # as if another one were set
    sharing.revoke(link=link, by=people.editor)
    assert client.get(url).status_code == 404
    for _ in range(5):
        last = Client().post(f"{other}password/", {"password": "guess-guess"})
    assert last.status_code == 400
    refused = Client().post(f"{other}password/", {"password": "open sesame"})
    assert refused.status_code == 429 and int(refused.headers["Retry-After"]) > 0


def test_who_guesses_is_slowed_down(people: People, run: Run) -> None:
    url = share(people, run)[1]
    answers = [Client().get(f"/s/{'B' * 43}/").status_code for _ in range(MISSES_A_MINUTE + 1)]
    assert answers == [404] * MISSES_A_MINUTE + [429]
    assert "wide" in words(url), "who has a link still reads it"


def hide_canaries(people: People) -> Run:
    """A run in whose every field there is something that must not come out."""
    people.owner.username, people.owner.email = "canary-owner", "canary@mail.example"
    people.owner.save()
    host = {"hostname": "canary-host-7", "environment": {"CANARY_ENV": "canary-env-value"}, "versions": {"torch": "2"}}
    run = make_run(people.project, state=State.RUNNING, worker=make_worker("canary-worker"), created_by=people.owner)
    make_attempt(run, host=host, detail="File /srv/canary/data.csv", reason="canary-host-7 went away")
    everything = " ".join([*CANARIES[:5], "CANARY_ENV=canary-env-value", "10.9.8.7:80", "canary-worker"])
    run.name = "canary-host-7 /srv/canary/data.csv"
    run.note = run.reason = everything
    run.tags = ["canary-host-7"]
    run.spec["data"]["files"] = {"path": "/srv/canary/data.csv"}
    run.spec["data"]["args"] = {"path": "/srv/canary/data.csv", "api_key": "canary-password", "who": "canary-owner"}
    run.spec["trainer"] |= {"note": everything, "root": "C:\\canary\\x"}
    run.progress = {"step": 3, "phase": everything, "fraction": 0.5}
    run.save()
    log = (
        f"{everything}\nmachine canary-host-7\npassword=canary-password\nby canary-owner\n'/srv/my canary/x'\n".encode()
    )
    run.refresh_from_db()
    Run.objects.filter(pk=run.pk).update(lease_until=timezone.now() + timedelta(minutes=5))
    append_log(run.pk, 1, 0, log)
    log_series(run, {"val_loss": [0.5], "/srv/canary/data.csv": [1.0], "loss on canary-host-7": [2.0]})
    write_checkpoint(run, metrics={"canary-host-7": 1.0})
    return run


@pytest.mark.parametrize("frozen", [False, True])
def test_nothing_of_machines_people_and_secrets_comes_out(people: People, frozen: bool) -> None:
    run = hide_canaries(people)
    second = make_run(people.project, state=State.SUCCEEDED)
    targets: list[tuple[Any, list[str]]] = [
        (run, ALL), ([run, second], ["show_config", "show_author"]), (run.checkpoints.get(), ["show_config"]),
    ]  # fmt: skip
    for target, parts in targets:
        sites = {"embed_on": ["https://wiki.example"]}
        url = share(people, target, parts=parts, frozen=frozen, title="of canary-host-7", **sites)[1]
        for part in ("", "embed/", "live/", "series.json"):
            response = Client().get(url + part)
            text = response.content.decode() + repr(response.headers)
            assert response.status_code == 200
            assert not [canary for canary in CANARIES if canary in text], part
            assert "my canary" not in text
    assert "machine •••" in words(share(people, run, parts=ALL)[1])


def test_every_page_of_a_link_is_among_those_that_are_looked_through() -> None:
    """A new one has to be looked through for what must not come out, here and in test_reports."""
    known = {"shared", "shared-embed", "shared-live", "shared-series", "shared-file", "shared-unlock"}
    assert {name for name, path in real_routes().items() if path.startswith("s/")} == known
    public = {route.name for route in listed_routes() if route.expect["anonymous"] == 200 and route.method == "GET"}
    assert public - known == {"login", "login-link", "join", "health", "api:openapi-json", "api:openapi-view"}


def test_names_of_people_are_hidden_also_full_ones_and_of_who_has_left(people: People, run: Run) -> None:
    User.objects.filter(pk=people.viewer.pk).update(first_name="Ada", last_name="Canary")
    User.objects.filter(pk=people.editor.pk).update(username="canary-editor")  # who made the run
    Membership.objects.filter(user=people.editor).delete()
    Run.objects.filter(pk=run.pk).update(lease_until=timezone.now() + timedelta(minutes=5))
    append_log(run.pk, 1, 0, b"by Ada Canary, by canary-editor, by viewer\n")
    text = words(share(people, run, parts=ALL)[1])
    assert "by •••, by •••, by •••" in text and "anary" not in text.partition("shared by")[0]


def test_a_download_ends_with_its_link(people: People, run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(download, "ASK_EVERY_S", 0.0)
    checkpoint = write_checkpoint(run)
    link, url = share(people, run, parts=ALL)
    response: Any = Client().get(f"{url}files/{checkpoint.pk}/")
    sharing.revoke(link=link, by=people.editor)

    async def collect() -> list[bytes]:
        return [part async for part in response]

    with pytest.raises(download.BrokenOff):
        asyncio.run(collect())
    release(response)


def test_a_token_of_one_team_opens_nothing_of_another(people: People, run: Run) -> None:
    theirs = make_run(people.other_project, state=State.SUCCEEDED, name="foreign secret")
    checkpoint = write_checkpoint(theirs)
    _, token = sharing.share(target=theirs, by=people.stranger, project=people.other_project, parts=ALL)
    ours = write_checkpoint(run)
    link, url = share(people, run, parts=ALL)
    assert Client().get(reverse("shared-file", args=[token, ours.pk])).status_code == 404
    assert Client().get(f"{url}files/{checkpoint.pk}/").status_code == 404
    assert "foreign secret" not in words(url)


@pytest.mark.parametrize("query", ["run={run}", "checkpoint={checkpoint}", "runs={number}"])
def test_what_is_not_of_the_project_cannot_be_shared(people: People, query: str) -> None:
    theirs = make_run(people.other_project, state=State.SUCCEEDED, number=999)
    query = query.format(run=theirs.pk, checkpoint=write_checkpoint(theirs).pk, number=f"{theirs.number},998")
    url = f"{reverse('share-create', args=[people.project.pk])}?{query}"
    assert people.client("owner").get(url).status_code == 404
    assert people.client("owner").post(url, {"days": "14", "freeze": "live"}).status_code == 404
    assert not ShareLink.objects.exists()


def test_an_editor_makes_a_link_sees_its_views_and_takes_it_back(people: People, run: Run) -> None:
    client = people.client("editor")
    page = f"{reverse('share-create', args=[people.project.pk])}?run={run.pk}"
    assert page in client.get(reverse("run", args=[run.pk])).content.decode()
    form = {"days": "3", "freeze": "live", "show_config": "on", "title": "<b>Mine</b>", "password": ""}
    text = client.post(page, form).content.decode()
    url = re.search(r"https?://[^/]+(/s/[\w-]{43}/)", text)[1]  # type: ignore[index]
    assert "&lt;b&gt;Mine&lt;/b&gt;" in words(url)
    listed = client.get(reverse("share-links", args=[people.project.pk])).content.decode()
    assert url not in listed and "live, choices" in listed
    link = ShareLink.objects.get()
    assert timedelta(days=2.9) < link.expires_at - timezone.now() <= timedelta(days=3)
    client.post(reverse("share-revoke", args=[link.pk]))
    assert Client().get(url).status_code == 404
    entries = AuditEntry.objects.filter(action__startswith="share.").values_list("action", "actor__username")
    assert sorted(entries) == [("share.create", "editor"), ("share.revoke", "editor")]


@pytest.mark.parametrize(
    ("data", "said"),
    [({"days": "0"}, "greater than or equal to 1"), ({"days": "366"}, "365"), ({"password": "short"}, "at least 8")],
)
def test_a_form_that_is_wrong_says_so(people: People, run: Run, data: dict[str, str], said: str) -> None:
    page = f"{reverse('share-create', args=[people.project.pk])}?run={run.pk}"
    response = people.client("editor").post(page, {"days": "14", "freeze": "live", **data})
    assert response.status_code == 400 and said in response.content.decode()
    assert not ShareLink.objects.exists()


def test_what_cannot_be_shared_is_refused(people: People, run: Run) -> None:
    gone = write_checkpoint(run)
    gone.deleted_at = timezone.now()
    for target, given in ((run, {"days": 0}), ([run], {}), (gone, {})):
        with pytest.raises(ShareError):
            share(people, target, **given)


def test_pages_cost_few_queries(people: People, run: Run, django_assert_max_num_queries: Any) -> None:
    runs = [make_run(people.project) for _ in range(20)]
    for one in runs:
        share(people, one)
    client = people.client("viewer")
    with django_assert_max_num_queries(12):
        client.get(reverse("share-links", args=[people.project.pk]))
    for target in (run, runs):
        url = share(people, target)[1]
        words(url)
        with django_assert_max_num_queries(6):
            words(url)
        cache.clear()
        with django_assert_max_num_queries(45 if target is run else 210):
            words(url)


def test_tokens_are_masked_in_the_log() -> None:
    token = "c" * 43
    record = logging.LogRecord("django.request", 30, "", 0, "%s: %s", ("Not Found", f"/s/{token}/live/"), None)
    assert MaskAddresses().filter(record)
    assert record.getMessage() == "Not Found: /s/•••/live/"


def test_who_asks_without_end_is_slowed_down(people: People, run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("studio.reports.views.shared.REQUESTS_A_MINUTE", 3)
    url = share(people, run)[1]
    answers = [Client().get(url + part) for part in ("", "live/", "series.json", "live/")]
    assert [answer.status_code for answer in answers] == [200, 200, 200, 429]
    assert int(answers[-1].headers["Retry-After"]) > 0


def test_a_token_is_no_key_to_any_other_page(people: People, run: Run) -> None:
    """Every page and call that members of the team have, by every method, with the token of another team's link in all
    places: the answer is that to nobody, and nothing is changed.
    """
    theirs = make_run(people.other_project, state=State.SUCCEEDED)
    _, token = sharing.share(
        target=theirs, by=people.stranger, project=people.other_project, parts=ALL, password="open sesame"
    )
    client = Client()
    client.post(reverse("shared-unlock", args=[token]), {"password": "open sesame"})
    assert client.get(reverse("shared", args=[token])).status_code == 200
    asked = 0
    for route in listed_routes():
        nobody = route.expect["anonymous"]
        if nobody not in (302, 401) or route.name in ("login", "login-link", "join"):
            continue
        kwargs = route.make(people)
        url = f"{reverse(route.name, kwargs=kwargs)}?token={token}&s={token}"
        data = route.data(people, kwargs) if route.data and route.method != "GET" else None
        headers = {**route.headers, "Authorization": f"Bearer {token}"}
        kind = "application/json" if route.json else "application/octet-stream"
        with CaptureQueriesContext(connection) as queries:
            response = client.generic(route.method, url, json.dumps(data) if route.json else b"", kind, headers=headers)
        # The API counts keys that are wrong, and refuses further ones for a while.
        assert response.status_code in {nobody, 429 if nobody == 401 else 0}, f"{route}: {response.status_code}"
        assert not [query["sql"] for query in queries if query["sql"].startswith(("INSERT", "UPDATE", "DELETE"))], route
        asked += 1
    assert asked > 200
