"""Downloads are resumable by ranges, verifiable, and never shown as a page."""

import asyncio
import contextlib
import hashlib
from pathlib import Path
from typing import Any

import pytest
from django.db import OperationalError
from django.http import Http404, HttpResponseBase
from django.test import AsyncRequestFactory
from hypothesis import given
from hypothesis import strategies as st

from studio.core import download
from studio.core.download import CHUNK_BYTES, BrokenOff, safe_name, stream_file, stream_parts

pytestmark = pytest.mark.django_db  # closing an answer looks after the connections
DATA = bytes(range(256)) * 3000  # three chunks
DIGEST = hashlib.sha256(DATA).hexdigest()


@pytest.fixture(scope="module")
def file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("download") / "blob"
    path.write_bytes(DATA)
    return path


def ask(file: Path, method: str = "GET", name: str = "model.ckpt", **headers: str) -> HttpResponseBase:
    request = AsyncRequestFactory().generic(method, "/", headers={k.replace("_", "-"): v for k, v in headers.items()})
    return stream_file(request, file, name, sha256=DIGEST, still=None)


def body(response: Any) -> bytes:
    async def collect() -> bytes:
        return b"".join([chunk async for chunk in response])

    try:
        return asyncio.run(collect()) if response.streaming else response.content
    finally:
        response.close()


def open_files() -> list[str]:
    found = []
    for link in Path("/proc/self/fd").iterdir():
        with contextlib.suppress(FileNotFoundError):  # the one that listed the folder
            found.append(str(link.readlink()))
    return found


def test_a_whole_file_comes_in_chunks_with_its_digest(file: Path) -> None:
    response = ask(file)
    assert response.is_async
    assert response.status_code == 200
    assert response["Content-Length"] == str(len(DATA))
    assert response["ETag"] == f'"{DIGEST}"'
    assert response["Repr-Digest"].startswith("sha-256=:")
    assert len(DATA) > CHUNK_BYTES
    assert body(response) == DATA


@pytest.mark.parametrize(
    ("wanted", "start", "end"),
    [
        ("bytes=0-0", 0, 1),
        ("bytes=100-199", 100, 200),
        ("bytes=-10", len(DATA) - 10, len(DATA)),
        (f"bytes={len(DATA) - 1}-", len(DATA) - 1, len(DATA)),
        ("bytes=5-99999999999", 5, len(DATA)),
        ("bytes=-99999999999", 0, len(DATA)),
    ],
)
def test_a_range_gives_that_piece(file: Path, wanted: str, start: int, end: int) -> None:
    response = ask(file, Range=wanted)
    assert response.status_code == 206
    assert response["Content-Range"] == f"bytes {start}-{end - 1}/{len(DATA)}"
    assert response["Content-Length"] == str(end - start)
    assert body(response) == DATA[start:end]


@pytest.mark.parametrize("wanted", ["bytes=", "bytes=-", "bytes=9-3", "rows=0-1", "bytes=0-1,5-6", "bytes=a-b", "x"])
def test_a_range_that_cannot_be_read_means_all(file: Path, wanted: str) -> None:
    response = ask(file, Range=wanted)
    assert response.status_code == 200
    assert body(response) == DATA


@pytest.mark.parametrize("wanted", [f"bytes={len(DATA)}-", "bytes=-0", "bytes=9999999999999999999-"])
def test_a_range_outside_of_the_file_is_refused(file: Path, wanted: str) -> None:
    response = ask(file, Range=wanted)
    assert response.status_code == 416
    assert response["Content-Range"] == f"bytes */{len(DATA)}"


def test_a_changed_file_is_not_continued(file: Path) -> None:
    assert ask(file, Range="bytes=5-", If_Range=f'"{DIGEST}"').status_code == 206
    response = ask(file, Range="bytes=5-", If_Range='"other"')
    assert response.status_code == 200
    assert body(response) == DATA
    assert ask(file, If_None_Match=f'"{DIGEST}"').status_code == 304


def test_head_has_the_size_and_no_body(file: Path) -> None:
    response = ask(file, "HEAD")
    assert response["Content-Length"] == str(len(DATA))
    assert body(response) == b""


def test_an_answer_that_ends_early_closes_its_file(file: Path) -> None:
    kept = ask(file)
    assert open_files().count(str(file)) == 1
    for response in (kept, ask(file), ask(file, "HEAD"), ask(file, Range="bytes=-0")):
        response.close()
    assert str(file) not in open_files()


def test_it_is_never_shown_as_a_page(file: Path) -> None:
    response = ask(file, name='../../<b>"x\r\nSet-Cookie: a=b.html')
    response.close()
    assert response["Content-Type"] == "application/octet-stream"
    assert response["X-Content-Type-Options"] == "nosniff"
    assert response["Content-Security-Policy"] == "sandbox; default-src 'none'"
    assert response["Content-Disposition"].startswith("attachment; filename=")
    assert "/" not in response["Content-Disposition"]
    assert "/" not in response["Content-Disposition"]


@given(st.text())
def test_any_name_becomes_a_harmless_one(name: str) -> None:
    assert not set(safe_name(name)) & set('/\\"\r\n\0')
    assert 0 < len(safe_name(name)) <= 150


def test_a_missing_file_or_a_link_is_not_found(file: Path, tmp_path: Path) -> None:
    with pytest.raises(Http404):
        ask(tmp_path / "none")
    (tmp_path / "link").symlink_to(file)
    with pytest.raises(Http404):
        ask(tmp_path / "link")


@pytest.mark.parametrize("kind", ["file", "parts"])
def test_what_may_not_be_read_any_more_is_broken_off(file: Path, kind: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(download, "ASK_EVERY_S", 0.0)
    answers = iter([True, OperationalError("away"), False])

    def still() -> bool:
        answer = next(answers)
        if isinstance(answer, Exception):
            raise answer
        return answer

    request = AsyncRequestFactory().get("/")
    made: dict[str, Any] = {
        "file": lambda: stream_file(request, file, "a.ckpt", still=still),
        "parts": lambda: stream_parts(iter([b"1"] * 9), "a.zip", "application/zip", still=still),
    }
    got: list[bytes] = []

    async def collect(response: Any) -> None:
        async for chunk in response:
            got.append(chunk)

    response = made[kind]()
    with pytest.raises(BrokenOff):
        asyncio.run(collect(response))
    response.close()
    assert len(got) == 2, "a database that is away for a moment breaks nothing off"
    assert str(file) not in open_files()


def test_the_right_is_not_asked_for_at_each_piece(file: Path) -> None:
    asked: list[int] = []
    response = stream_file(AsyncRequestFactory().get("/"), file, "a.ckpt", still=lambda: asked.append(1) is None)
    assert body(response) == DATA
    assert not asked and download.ASK_EVERY_S < 5.0
