"""Chunks arrive in order, once each, whole; what does not fit is refused and says where to go on."""

from __future__ import annotations

import base64
import hashlib
import os
import random
import threading
import uuid
from datetime import timedelta
from typing import Any

import pytest
from django.db import connection
from django.test import Client
from django.urls import reverse
from django.utils import timezone

from studio.core import blobs
from studio.registry.models import Upload
from studio.registry.uploads import (
    UploadError,
    adopt_upload,
    begin_upload,
    clear_stale_uploads,
    drop_upload,
    path_of,
    receive_chunk,
)
from tests.access.people import People

DATA = bytes(random.Random(1).randbytes(10_000))


def begin(people: People, **given: Any) -> Upload:
    values = {"filename": "a.csv", "size_bytes": len(DATA), **given}
    return begin_upload(project=people.project, user=people.editor, **values)


def refused(upload: Upload, **given: Any) -> UploadError:
    with pytest.raises(UploadError) as raised:
        receive_chunk(upload, **given)
    return raised.value


def test_chunks_become_a_blob(people: People) -> None:
    upload = begin(people, sha256=hashlib.sha256(DATA).hexdigest())
    for at in range(0, len(DATA), 3000):
        receive_chunk(upload, offset=at, data=DATA[at : at + 3000])
    assert upload.finished_at is not None
    digest, size = adopt_upload(upload)
    assert (digest, size) == (hashlib.sha256(DATA).hexdigest(), len(DATA))
    assert blobs.path_of(digest).read_bytes() == DATA
    drop_upload(upload)
    assert not path_of(upload).exists()
    assert not Upload.objects.exists()


@pytest.mark.parametrize("seed", range(10))
def test_a_sender_that_is_cut_off_anywhere_resumes(people: People, seed: int) -> None:
    """Chunks that were cut, sent twice, or whose answer got lost: the file is right in the end."""
    chance, upload, refusals = random.Random(seed), begin(people), []
    while not upload.finished_at:
        offset = chance.choice([upload.received_bytes, max(0, upload.received_bytes - 500), upload.received_bytes + 7])
        try:
            receive_chunk(upload, offset=offset, data=DATA[offset : offset + chance.randint(1, 2500)])
        except UploadError as error:
            refusals.append((error.status in (409, 413), error.received == upload.received_bytes))
        upload = Upload.objects.get(pk=upload.pk)
    assert set(refusals) == {(True, True)}
    assert adopt_upload(upload)[0] == hashlib.sha256(DATA).hexdigest()


def test_bytes_of_a_chunk_whose_row_was_not_written_are_written_again(people: People) -> None:
    upload = begin(people)
    path_of(upload).write_bytes(b"\xff" * 5000)
    receive_chunk(upload, offset=0, data=DATA)
    assert path_of(upload).read_bytes() == DATA


def test_a_chunk_at_the_wrong_place_says_where_to_go_on(people: People) -> None:
    upload = begin(people)
    receive_chunk(upload, offset=0, data=DATA[:100])
    error = refused(upload, offset=200, data=DATA[200:300])
    assert (error.status, error.received) == (409, 100)
    assert "next byte to send is 100" in error.text
    assert refused(upload, offset=50, data=DATA[50:300]).received == 100


def test_more_than_was_announced_is_refused(people: People) -> None:
    upload = begin(people, size_bytes=100)
    assert refused(upload, offset=0, data=DATA[:101]).status == 413
    assert path_of(upload).stat().st_size == 0


def test_a_damaged_chunk_is_refused(people: People) -> None:
    upload = begin(people)
    error = refused(upload, offset=0, data=DATA[:100], digest=hashlib.sha256(DATA[:99]).hexdigest())
    assert (error.status, error.received) == (422, 0)


def test_another_file_than_announced_is_refused_and_removed(people: People) -> None:
    upload = begin(people, sha256="0" * 64)
    receive_chunk(upload, offset=0, data=DATA)
    with pytest.raises(UploadError, match="not the file that was announced"):
        adopt_upload(upload)
    assert not path_of(upload).exists()


def test_an_unfinished_upload_is_not_adopted(people: People) -> None:
    upload = begin(people)
    receive_chunk(upload, offset=0, data=DATA[:100])
    with pytest.raises(UploadError, match="100 of 10,000 bytes"):
        adopt_upload(upload)


@pytest.mark.parametrize(
    ("given", "status", "words"),
    [
        ({"size_bytes": 0}, 400, "0 bytes"),
        ({"size_bytes": 11 << 30}, 413, "at most"),
        ({"sha256": "xyz"}, 400, "64 hexadecimal"),
    ],
)
def test_what_cannot_begin_says_why(people: People, given: dict[str, Any], status: int, words: str) -> None:
    with pytest.raises(UploadError) as raised:
        begin(people, **given)
    assert raised.value.status == status
    assert words in raised.value.text
    assert not Upload.objects.exists()


def test_a_full_disk_is_noticed_before_the_first_byte(people: People, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("studio.registry.uploads.FREE_MARGIN_BYTES", 1 << 60)
    with pytest.raises(UploadError, match="no room") as raised:
        begin(people)
    assert raised.value.status == 507


def test_nobody_keeps_many_unfinished_uploads(people: People, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("studio.registry.uploads.MAX_OPEN", 2)
    begin(people)
    begin(people)
    with pytest.raises(UploadError, match="2 unfinished"):
        begin(people)


def test_stale_uploads_and_stray_files_are_cleared(people: People, settings: Any) -> None:
    fresh, stale = begin(people), begin(people)
    Upload.objects.filter(pk=stale.pk).update(created_at=timezone.now() - timedelta(days=3))
    stray = settings.UPLOADS_DIR / uuid.uuid4().hex
    stray.write_bytes(b"x")
    os.utime(stray, (0, 0))
    assert clear_stale_uploads() == 2
    assert path_of(fresh).exists()
    assert [u.pk for u in Upload.objects.all()] == [fresh.pk]
    assert not stray.exists()


@pytest.mark.django_db(transaction=True)
def test_two_senders_of_the_same_file_do_not_harm_it(people: People) -> None:
    upload, errors = begin(people), []

    def send() -> None:
        own = Upload.objects.get(pk=upload.pk)
        while not own.finished_at:
            at = own.received_bytes
            try:
                receive_chunk(own, offset=at, data=DATA[at : at + 700])
            except UploadError as error:
                errors.append(error.status)
            own = Upload.objects.get(pk=upload.pk)
        connection.close()

    threads = [threading.Thread(target=send) for _ in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(30)
    assert set(errors) <= {409, 413}
    assert adopt_upload(Upload.objects.get(pk=upload.pk))[0] == hashlib.sha256(DATA).hexdigest()


@pytest.mark.django_db(transaction=True)
def test_a_chunk_waits_while_another_one_is_written(people: People, monkeypatch: pytest.MonkeyPatch) -> None:
    """Two senders at the same byte with different data: the second comes in while the first writes."""
    upload, real, seen = begin(people), os.pwrite, []

    def second() -> None:
        try:
            seen.append(receive_chunk(Upload.objects.get(pk=upload.pk), offset=0, data=b"x" * 90))
        except UploadError as error:
            seen.append(error.status)
        connection.close()

    thread = threading.Thread(target=second)

    def pwrite(fd: int, data: bytes, offset: int) -> int:
        if not thread.ident:
            thread.start()
            thread.join(0.5)
        return real(fd, data, offset)

    monkeypatch.setattr(os, "pwrite", pwrite)
    receive_chunk(upload, offset=0, data=DATA[:100])
    thread.join(30)
    assert seen == [100]
    assert path_of(upload).read_bytes() == DATA[:100]


class TestOverHttp:
    def begin(self, client: Client, people: People, **given: Any) -> Any:
        url = reverse("upload-create", args=[people.project.pk])
        return client.post(url, {"filename": "a.csv", "size_bytes": len(DATA), **given})

    def put(self, client: Client, url: str, offset: object, data: bytes, **headers: str) -> Any:
        headers = {"Upload-Offset": str(offset), **headers}
        return client.put(url, data, content_type="application/octet-stream", headers=headers)

    def test_a_file_in_two_chunks(self, people: People) -> None:
        client = people.client("editor")
        state = self.begin(client, people).json()
        digest = base64.b64encode(hashlib.sha256(DATA[:6000]).digest()).decode()
        first = self.put(client, state["url"], 0, DATA[:6000], **{"Content-Digest": f"sha-256=:{digest}:"})
        assert (first.status_code, first.json()["received"], first.json()["finished"]) == (200, 6000, False)
        assert client.get(state["url"]).json()["received"] == 6000
        assert self.put(client, state["url"], 6000, DATA[6000:]).json()["finished"]

    @pytest.mark.parametrize("offset", ["", "-1", "x", "1e3", "٣", "9" * 30])
    def test_a_bad_offset_is_a_bad_request(self, people: People, offset: str) -> None:
        client = people.client("editor")
        url = self.begin(client, people).json()["url"]
        assert self.put(client, url, offset, DATA[:10]).status_code == 400

    @pytest.mark.parametrize("digest", ["sha-256=x", "sha-256=:%%%:", "md5=:AA==:"])
    def test_a_bad_digest_is_a_bad_request(self, people: People, digest: str) -> None:
        client = people.client("editor")
        url = self.begin(client, people).json()["url"]
        assert self.put(client, url, 0, DATA[:10], **{"Content-Digest": digest}).status_code == 400

    def test_a_chunk_larger_than_agreed_is_refused_without_being_kept(self, people: People, settings: Any) -> None:
        settings.UPLOAD_CHUNK_BYTES = 1000
        client = people.client("editor")
        url = self.begin(client, people).json()["url"]
        answer = self.put(client, url, 0, DATA[:1001])
        assert (answer.status_code, answer.json()["received"]) == (413, 0)
        assert Upload.objects.get().received_bytes == 0

    def test_a_wrong_offset_is_a_conflict_that_tells_the_right_one(self, people: People) -> None:
        client = people.client("editor")
        url = self.begin(client, people).json()["url"]
        answer = self.put(client, url, 5, DATA[:10])
        assert (answer.status_code, answer.json()["received"]) == (409, 0)

    def test_cancelling_removes_the_file(self, people: People) -> None:
        client = people.client("editor")
        url = self.begin(client, people).json()["url"]
        path = path_of(Upload.objects.get())
        assert client.delete(url).status_code == 204
        assert not path.exists()
        assert client.get(url).status_code == 404

    def test_nobody_else_sees_an_upload(self, people: People) -> None:
        url = self.begin(people.client("editor"), people).json()["url"]
        for person in ("owner", "viewer", "stranger"):
            assert self.put(people.client(person), url, 0, DATA[:10]).status_code == 404

    def test_whoever_left_the_team_sends_no_more(self, people: People) -> None:
        client = people.client("editor")
        url = self.begin(client, people).json()["url"]
        people.editor.memberships.all().delete()
        assert self.put(client, url, 0, DATA[:10]).status_code == 404

    def test_names_are_made_safe(self, people: People) -> None:
        self.begin(people.client("editor"), people, filename='../../etc/pass\nwd"x.csv')
        assert Upload.objects.get().filename == "_.._etc_pass_wd_x.csv"
