"""People and webhooks are told what happens: each event once, whom it concerns, and nobody who has left."""

from __future__ import annotations

import hashlib
import hmac
import json
import socket
import threading
from collections.abc import Iterator
from datetime import timedelta
from http.server import BaseHTTPRequestHandler, HTTPServer
from typing import Any

import pytest
from django.core import mail
from django.test import Client
from django.urls import reverse
from django.utils import timezone

from studio.accounts.models import Activity, Membership
from studio.notifications import deliver, tell, webhooks
from studio.notifications.models import Cursor, Delivery, MailChoice, Notification, RunWatch
from studio.reports.comments import comment
from studio.runs.models import Run, RunEvent, State
from studio.runs.states import transition
from tests.access.people import People
from tests.factories import make_run

pytestmark = pytest.mark.django_db
ALL = ["run", "rule", "comment", "review"]


@pytest.fixture(autouse=True)
def _no_hints(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("studio.runs.publish._add", lambda *args: None)


@pytest.fixture
def run(people: People) -> Run:
    return make_run(people.project, state=State.RUNNING, created_by=people.editor, name="wide")


class Receiver(BaseHTTPRequestHandler):
    got: list[tuple[dict[str, str], bytes]] = []
    status = 204

    def do_POST(self) -> None:
        self.got.append((dict(self.headers), self.rfile.read(int(self.headers["Content-Length"]))))
        self.send_response(self.status)
        self.end_headers()

    def log_message(self, *args: Any) -> None:
        pass


@pytest.fixture
def receiver(settings: Any) -> Iterator[str]:
    settings.OUTBOUND_HOSTS = {"127.0.0.1"}
    Receiver.got, Receiver.status = [], 204
    server = HTTPServer(("127.0.0.1", 0), Receiver)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield f"http://127.0.0.1:{server.server_port}/hook"
    server.shutdown()
    server.server_close()


def hook(people: People, url: str, style: str = "json", kinds: Any = ALL) -> Any:
    return webhooks.create_webhook(team=people.team, by=people.owner, name="Chat", url=url, style=style, kinds=kinds)


def told(who: Any) -> list[str]:
    return list(Notification.objects.filter(user=who).order_by("pk").values_list("title", flat=True))


def test_the_end_of_a_run_is_told_once_to_who_started_it_and_who_watches(people: People, run: Run) -> None:
    RunWatch.objects.create(run=run, user=people.viewer)
    transition(run, State.SUCCEEDED, by="worker", reason="Finished 2 epochs.")
    for _ in range(3):
        tell.tell_new()
    assert told(people.editor) == told(people.viewer) == [f"{run} has finished"]
    assert told(people.owner) == []
    assert Notification.objects.first().text == "Finished 2 epochs."  # type: ignore[union-attr]


def test_who_ends_a_run_is_not_told_that_it_ended(people: People, run: Run) -> None:
    transition(run, State.CANCELLING, by=str(people.editor))
    transition(run, State.CANCELLED, by=str(people.editor))
    tell.tell_new()
    assert told(people.editor) == []


def test_comments_are_told_and_the_author_is_not(people: People, run: Run) -> None:
    comment(run=run, author=people.viewer, text="@owner look")
    tell.tell_new()
    assert told(people.owner) == told(people.editor) == [f"viewer wrote about {run}"]
    assert told(people.viewer) == []


def test_who_has_left_the_team_is_not_told_and_sees_nothing_any_more(people: People, run: Run) -> None:
    comment(run=run, author=people.viewer, text="@owner look")
    Membership.objects.filter(user=people.editor).delete()
    tell.tell_new()
    assert told(people.editor) == []
    Membership.objects.filter(user=people.owner).delete()
    assert "wrote about" not in people.client("owner").get(reverse("notification-list")).content.decode()
    assert people.client("owner").get(reverse("notification-count")).json() == {"unread": 0}


def test_a_row_that_becomes_visible_late_is_told_and_history_is_not(people: People, run: Run) -> None:
    old = RunEvent.objects.create(run=run, kind="state", to_state=State.FAILED, by="worker")
    RunEvent.objects.filter(pk=old.pk).update(at=timezone.now() - timedelta(hours=1))
    tell.tell_new()
    assert told(people.editor) == []
    late = RunEvent.objects.create(run=run, kind="state", to_state=State.SUCCEEDED, by="worker")
    cursor = Cursor.objects.get()
    RunEvent.objects.filter(pk=late.pk).update(at=cursor.at - timedelta(seconds=30))
    tell.tell_new()
    assert told(people.editor) == [f"{run} has finished"]


def test_more_events_than_fit_in_a_scan_are_told_by_the_next_ones(
    people: People, run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tell, "MOST", 5)
    monkeypatch.setattr(tell, "OVERLAP", timedelta(0))
    Cursor.objects.create(name=tell.NAME, at=timezone.now() - timedelta(hours=1))
    for number in range(12):
        made = comment(run=run, author=people.viewer, text=f"number {number}")
        at = timezone.now() - timedelta(minutes=30 - number)
        Activity.objects.filter(url__endswith=f"comment-{made.pk}").update(at=at)
    for _ in range(6):
        tell.tell_new()
    texts = Notification.objects.filter(user=people.editor).order_by("at").values_list("text", flat=True)
    assert list(texts) == [f"number {n}" for n in range(12)]


def test_notifications_are_read_one_by_one_or_all(people: People, run: Run) -> None:
    for text in ("one", "two", "three"):
        comment(run=run, author=people.viewer, text=text)
    tell.tell_new()
    client = people.client("editor")
    assert client.get(reverse("notification-count")).json() == {"unread": 3}
    first = Notification.objects.filter(user=people.editor).latest("pk")
    response = client.post(reverse("notification-open", args=[first.pk]))
    assert response["Location"] == first.url
    assert client.get(reverse("notification-count")).json() == {"unread": 2}
    page = client.get(reverse("notification-list")).content.decode()
    assert page.count("is-new") == 2
    client.post(reverse("notification-read"))
    assert client.get(reverse("notification-count")).json() == {"unread": 0}


def test_nobody_opens_what_somebody_else_was_told(people: People, run: Run) -> None:
    comment(run=run, author=people.viewer, text="x")
    tell.tell_new()
    theirs = Notification.objects.get(user=people.editor)
    response = people.client("owner").post(reverse("notification-open", args=[theirs.pk]))
    assert response["Location"] == reverse("notification-list")
    theirs.refresh_from_db()
    assert theirs.read_at is None


def test_the_list_costs_few_queries(people: People, run: Run, django_assert_max_num_queries: Any) -> None:
    for number in range(60):
        comment(run=run, author=people.viewer, text=f"number {number}")
    tell.tell_new()
    client = people.client("editor")
    with django_assert_max_num_queries(8):
        page = client.get(reverse("notification-list")).content.decode()
    assert page.count("is-new") == 50


def test_a_webhook_gets_each_event_once_and_signed(people: People, run: Run, receiver: str) -> None:
    made = hook(people, receiver)
    transition(run, State.FAILED, by="worker", reason="ValueError: no")
    for _ in range(2):
        tell.tell_new()
        deliver.deliver_due()
    ((headers, body),) = Receiver.got
    facts = json.loads(body)
    assert (facts["kind"], facts["state"], facts["title"]) == ("run", "failed", f"{run} has failed")
    assert facts["url"].endswith(reverse("run", args=[run.pk]))
    stamp, given = (part.split("=", 1)[1] for part in headers["X-Studio-Signature"].split(","))
    assert given == hmac.new(made.secret.encode(), f"{stamp}.".encode() + body, hashlib.sha256).hexdigest()
    assert Delivery.objects.get().state == "sent"


def test_a_webhook_gets_only_what_it_asked_for_and_nothing_from_before(people: People, run: Run, receiver: str) -> None:
    comment(run=run, author=people.viewer, text="before")
    made = hook(people, receiver, kinds=["comment"])
    type(made).objects.filter(pk=made.pk).update(created_at=timezone.now())
    Activity.objects.update(at=timezone.now() - timedelta(seconds=5))
    transition(run, State.SUCCEEDED, by="worker")
    comment(run=run, author=people.viewer, text="after")
    Activity.objects.filter(text="after").update(at=timezone.now() + timedelta(seconds=1))
    tell.tell_new()
    assert [d.body["text"] for d in Delivery.objects.all()] == ["after"]


def test_slack_gets_text_in_which_nothing_is_markup(people: People, run: Run, receiver: str) -> None:
    hook(people, receiver, style="slack")
    comment(run=run, author=people.viewer, text="`<!channel|x> & <b>`")
    tell.tell_new()
    deliver.deliver_due()
    text = json.loads(Receiver.got[0][1])["text"]
    assert text.splitlines()[1] == "&lt;!channel¦x&gt; &amp; &lt;b&gt;"


def test_what_does_not_arrive_is_tried_again_with_pauses_and_then_given_up(
    people: People, run: Run, receiver: str
) -> None:
    hook(people, receiver)
    Receiver.status = 500
    comment(run=run, author=people.viewer, text="x")
    tell.tell_new()
    for number in range(len(deliver.PAUSES_S) + 1):
        assert deliver.deliver_due() == 0
        row = Delivery.objects.get()
        assert len(Receiver.got) == row.tries == number + 1
        deliver.deliver_due()  # not due yet, or given up
        assert len(Receiver.got) == number + 1
        Delivery.objects.update(next_at=timezone.now())
    assert (row.state, row.error) == ("failed", "The answer was 500; 2xx is what counts as arrived.")


def test_what_arrives_at_last_is_sent_once(people: People, run: Run, receiver: str) -> None:
    hook(people, receiver)
    Receiver.status = 503
    comment(run=run, author=people.viewer, text="x")
    tell.tell_new()
    deliver.deliver_due()
    Receiver.status = 200
    Delivery.objects.update(next_at=timezone.now())
    assert deliver.deliver_due() == 1
    assert deliver.deliver_due() == 0
    assert Delivery.objects.get().error == ""


def test_two_schedulers_do_not_send_the_same(
    people: People, run: Run, receiver: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    made = hook(people, receiver)
    for _ in range(2):
        webhooks.try_webhook(webhook=made, by=people.owner)
    Receiver.status, real = 500, deliver._send

    def send(delivery: Delivery) -> None:
        monkeypatch.setattr(deliver, "_send", real)
        deliver.deliver_due()  # another scheduler, while this one sends the first of the two that it has read
        real(delivery)

    monkeypatch.setattr(deliver, "_send", send)
    deliver.deliver_due()
    assert len(Receiver.got) == 2
    assert list(Delivery.objects.values_list("tries", flat=True)) == [1, 1]


def test_a_webhook_does_not_lead_into_the_own_network(people: People, run: Run, receiver: str, settings: Any) -> None:
    settings.OUTBOUND_HOSTS = set()
    hook(people, receiver)
    comment(run=run, author=people.viewer, text="x")
    tell.tell_new()
    deliver.deliver_due()
    assert Receiver.got == []
    page = people.client("owner").get(reverse("team-webhooks", args=[people.team.pk])).content.decode()
    assert "own network" in page


def test_a_webhook_is_tried_out(people: People, receiver: str) -> None:
    made = hook(people, receiver)
    people.client("owner").post(reverse("webhook-try", args=[made.pk]))
    deliver.deliver_due()
    assert json.loads(Receiver.got[0][1])["title"] == "owner tries out the webhook Chat"


@pytest.mark.parametrize("url", ["ftp://a.example", "javascript:alert(1)", "https://me:pw@a.example", "chat"])
def test_what_is_no_address_is_refused(people: People, url: str) -> None:
    data = {"name": "Chat", "url": url, "style": "json", "kinds": ["run"]}
    response = people.client("owner").post(reverse("team-webhooks", args=[people.team.pk]), data)
    assert response.status_code == 400


def test_an_email_goes_to_who_wants_it(people: People, run: Run, settings: Any) -> None:
    settings.EMAIL_HOST = "mail.example"
    MailChoice.objects.create(user=people.editor, kinds=["comment"])
    MailChoice.objects.create(user=people.owner, kinds=["run"])
    comment(run=run, author=people.viewer, text="@owner see\nthis")
    for _ in range(2):
        tell.tell_new()
        deliver.deliver_due()
    (sent,) = mail.outbox
    assert sent.to == [people.editor.email]
    assert sent.subject == f"viewer wrote about {run}"
    assert settings.PUBLIC_URL + Notification.objects.get(user=people.editor).url in sent.body


def test_without_a_mail_server_no_email_waits(people: People, run: Run) -> None:
    MailChoice.objects.create(user=people.editor, kinds=["comment"])
    comment(run=run, author=people.viewer, text="x")
    tell.tell_new()
    assert not Delivery.objects.exists()
    assert "sends no e-mail" in people.client("editor").get(reverse("notification-list")).content.decode()


def test_a_mail_server_that_is_away_is_tried_again(people: People, run: Run, settings: Any) -> None:
    with socket.socket() as closed:
        closed.bind(("127.0.0.1", 0))
        settings.EMAIL_HOST, settings.EMAIL_PORT = "127.0.0.1", closed.getsockname()[1]
        settings.EMAIL_BACKEND = "django.core.mail.backends.smtp.EmailBackend"
        MailChoice.objects.create(user=people.editor, kinds=["comment"])
        comment(run=run, author=people.viewer, text="x")
        tell.tell_new()
        deliver.deliver_due()
    row = Delivery.objects.get()
    assert (row.state, row.tries) == ("waiting", 1) and "refused" in row.error


def test_people_choose_what_comes_by_email(people: People, settings: Any) -> None:
    settings.EMAIL_HOST = "mail.example"
    client: Client = people.client("editor")
    client.post(reverse("mail-choice"), {"kinds": ["run", "rule"]})
    assert MailChoice.objects.get(user=people.editor).kinds == ["run", "rule"]
    page = client.get(reverse("notification-list")).content.decode()
    assert page.count("checked") == 2
