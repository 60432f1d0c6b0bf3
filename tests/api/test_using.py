"""Checkpoints tried and handed out by REST: what is asked of a worker, what is refused before, and the files."""

from __future__ import annotations

import base64
from typing import Any

import pytest

from studio.runs import packs, preflight
from studio.runs.models import Checkpoint, CheckpointFile, Preflight, State
from studio.runs.try_forms import MOST_IMAGE_BYTES, MOST_LETTERS
from tests import factories
from tests.access.people import People
from tests.api.program import Api, error_of
from tests.runs.test_folder import body

pytestmark = pytest.mark.django_db
SCHEMA = {"kind": "array", "shape": [2]}


@pytest.fixture(autouse=True)
def _no_queue(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("studio.runs.queue._ring", lambda *args: None)


@pytest.fixture
def checkpoint(people: People) -> Checkpoint:
    return factories.write_checkpoint(factories.make_run(people.project, state=State.SUCCEEDED))


def test_a_question_is_asked_once_for_a_key_and_answered_later(api: Api, checkpoint: Checkpoint) -> None:
    path, given = f"/checkpoints/{checkpoint.pk}/try", {"array": [[1, 2.5], [float("nan"), 4]]}
    first = api("POST", path, given, Idempotency_Key="a")
    assert first.status_code == 201, first.content
    told = first.json()
    assert (told["stage"], told["reason"], told["kind"]) == ("waiting", "No worker is online.", "try")
    assert api("POST", path, given, Idempotency_Key="a").json()["id"] == told["id"]
    asked = Preflight.objects.get()
    assert asked.given == {"kind": "array", "what": "[[1,2.5],[NaN,4]]"}
    taken = preflight.take_next(factories.make_worker(), asked.pool)
    assert taken is not None
    preflight.settle(taken, {"schema": SCHEMA, "prediction": {"label": "7", "classes": []}})
    answer = api.get(f"/answers/{asked.pk}")
    assert (answer["stage"], answer["takes"], answer["prediction"]["label"]) == ("done", SCHEMA, "7")
    assert answer["reason"] == ""


@pytest.mark.parametrize(
    ("given", "what"),
    [
        ({}, {}),
        ({"row": {"size": 3, "kind": None, "big": True, "x": float("nan")}},
         {"kind": "row", "what": {"size": "3", "kind": "", "big": "True", "x": "nan"}}),
        ({"image": base64.b64encode(b"pixels").decode()}, {"kind": "image", "what": {"base64": "cGl4ZWxz"}}),
        ({"text": "Once", "length": 5}, {"kind": "text", "what": "Once", "length": 5}),
    ],
)  # fmt: skip
def test_what_is_given_becomes_what_a_trainer_is_asked(api: Api, checkpoint: Checkpoint, given: Any, what: Any) -> None:
    assert api("POST", f"/checkpoints/{checkpoint.pk}/try", given).status_code == 201
    assert Preflight.objects.get().given == what


def nested(depth: int) -> Any:
    found: Any = 1
    for _ in range(depth):
        found = [found]
    return found


@pytest.mark.parametrize(
    ("given", "field", "words"),
    [
        ({"row": {"a": 1}, "text": "b"}, "text", "give one of"),
        ({"text": "zero\0byte"}, "text", "zero byte"),
        ({"row": {"a": "\0"}}, "row", "zero byte"),
        ({"row": {"a\0": 1}}, "row", "zero byte"),
        ({"row": {"a": [1]}}, None, "row"),
        ({"row": {str(i): 1 for i in range(1001)}}, "row", "allowed are 1,000"),
        ({"row": {"a": "x" * (MOST_LETTERS + 1)}}, "row", "characters in all"),
        ({"text": "x" * (MOST_LETTERS + 1)}, "text", "characters; allowed are"),
        ({"text": "\ud800"}, "text", "half a character"),
        ({"image": "not base64!"}, "image", "no base64"),
        ({"image": "A" * (MOST_IMAGE_BYTES * 4 // 3 + 8)}, "image", "allowed are 4 MB"),
        ({"array": [1, "two"]}, "array", "nested lists of numbers"),
        ({"array": nested(9)}, "array", "at most 8 deep"),
        ({"array": nested(500)}, "array", "at most 8 deep"),
        ({"array": [0.123456789012345] * 300_000}, "array", "allowed are 4 MB"),
        ({"text": "a", "length": 1001}, "length", "1000"),
        ({"file": "/etc/passwd"}, "file", "Extra inputs"),
    ],
)  # fmt: skip
def test_what_no_model_could_take_is_refused_in_words(
    api: Api, checkpoint: Checkpoint, given: Any, field: str | None, words: str
) -> None:
    response = api("POST", f"/checkpoints/{checkpoint.pk}/try", given)
    assert response.status_code == 422, response.content
    error = error_of(response)
    assert words in error["message"]
    assert field is None or field in error["fields"]
    assert not Preflight.objects.exists()


def test_lists_that_are_too_deep_to_read_are_no_fault_of_ours(api: Api, checkpoint: Checkpoint) -> None:
    deep = '{"array": ' + "[" * 100_000 + "]" * 100_000 + "}"
    assert api("POST", f"/checkpoints/{checkpoint.pk}/try", deep).status_code in (400, 422)


def test_a_checkpoint_that_is_gone_and_questions_without_end_are_refused(api: Api, people: People) -> None:
    gone = factories.make_checkpoint(factories.make_run(people.project, state=State.SUCCEEDED))
    for path in ("try", "files"):
        response = api("POST", f"/checkpoints/{gone.pk}/{path}", {})
        assert (response.status_code, "are gone" in error_of(response)["message"]) == (409, True)
    there = factories.write_checkpoint(factories.make_run(people.project, state=State.SUCCEEDED))
    for _ in range(preflight.MOST_OPEN):
        assert api("POST", f"/checkpoints/{there.pk}/files").status_code == 201
    assert "wait already" in error_of(api("POST", f"/checkpoints/{there.pk}/try", {}))["message"]


def test_a_question_before_a_run_is_no_answer_about_a_checkpoint(api: Api, people: People) -> None:
    other = Preflight.objects.create(project=people.project, kind="check")
    assert api("GET", f"/answers/{other.pk}").status_code == 404


def make_file(checkpoint: Checkpoint, data: bytes = b"0123456789") -> CheckpointFile:
    import hashlib

    made = CheckpointFile.objects.create(
        project=checkpoint.run.project, checkpoint=checkpoint, kind="safetensors", size_bytes=len(data),
        sha256=hashlib.sha256(data).hexdigest(),
    )  # fmt: skip
    packs.place_of(made).write_bytes(data)
    return made


def test_files_are_listed_and_come_in_ranges(api: Api, checkpoint: Checkpoint) -> None:
    made = make_file(checkpoint)
    (told,) = api.get(f"/checkpoints/{checkpoint.pk}/files")["items"]
    assert (told["kind"], told["sha256"], told["name"]) == ("safetensors", made.sha256, packs.file_name(made))
    part = api("GET", f"/checkpoint-files/{made.pk}/download", Range="bytes=2-4")
    assert (part.status_code, body(part)) == (206, b"234")
    assert "sha-256=:" in part["Repr-Digest"]
    assert api("HEAD", f"/checkpoint-files/{made.pk}/download")["Content-Length"] == "10"
    Checkpoint.objects.filter(pk=checkpoint.pk).update(deleted_at="2026-01-01T00:00Z")
    assert api.get(f"/checkpoints/{checkpoint.pk}/files")["items"] == []
