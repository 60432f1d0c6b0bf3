"""Files of the server and of https addresses become datasets like uploads; what is not allowed is refused in words."""

from __future__ import annotations

import os
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler
from pathlib import Path
from typing import Any

import pytest
from django.urls import reverse

from studio.core import blobs
from studio.registry.errors import RegistryError
from studio.registry.files import create_dataset_from_address
from studio.registry.models import DatasetVersion
from studio.registry.publish import version_with_other_choices
from studio.registry.references import checked_address
from studio.registry.refs import data_ref
from tests.access.people import People
from tests.https import Server, https_server
from tests.registry.conftest import ControlQueue
from tests.registry.files import pets, zipped
from trainer_core.errors import DataChangedError
from trainer_core.launching.build import check_unchanged
from trainer_core.launching.explain import explain

CSV = "size,kind\n" + "".join(f"{i % 7},{'ab'[i % 2]}\n" for i in range(40))


@pytest.fixture
def root(settings: Any, tmp_path: Path) -> Path:
    """The allowed folder, with a table and images."""
    folder = tmp_path / "shared"
    folder.mkdir()
    (folder / "table.csv").write_text(CSV)
    (folder / "pets.zip").write_bytes(zipped(pets()))
    settings.DATA_ROOTS, settings.DATA_DIR = [folder], tmp_path / "shared" / "studio"
    return folder


def made(people: People, control: ControlQueue, address: str, kind: str = "table", **wanted: Any) -> DatasetVersion:
    given: dict[str, Any] = {"project": people.project, "user": people.editor, "name": "", "wanted": wanted}
    version = create_dataset_from_address(kind=kind, address=address, **given)
    control.work()
    version.refresh_from_db()
    return version


@pytest.mark.parametrize(
    ("name", "kind", "wanted"), [("table.csv", "table", {"target": "kind"}), ("pets.zip", "images", {"image_size": 16})]
)
def test_a_file_of_the_server_stays_where_it_is(
    people: People, control: ControlQueue, root: Path, name: str, kind: str, wanted: dict[str, Any]
) -> None:
    version = made(people, control, str(root / name), kind, **wanted)
    assert (version.state, version.dataset.name) == ("ready", name[:-4]), version.reason
    digest, size = blobs.digest_of(root / name)
    assert (version.blobs, version.size_bytes) == ({"path": digest}, size)
    assert not blobs.exists(digest)
    ref = data_ref(version, {})
    assert ref.files == {"path": str(root / name)}
    assert ref.marks["path"] == {"size_bytes": size, "mtime_ns": (root / name).stat().st_mtime_ns, "sha256": digest}
    again = version_with_other_choices(version=version, user=people.editor)
    assert again.info["server_file"] == version.info["server_file"]
    page = people.client("viewer").get(reverse("dataset-version", args=[version.pk])).content.decode()
    assert str(root / name) in page


def test_a_file_that_changed_is_an_outcome_and_one_that_was_only_touched_is_none(
    people: People, control: ControlQueue, root: Path
) -> None:
    path = root / "table.csv"
    ref = data_ref(made(people, control, str(path), target="kind"), {})
    os.utime(path, ns=(1, 1))
    check_unchanged(ref)
    path.write_text(CSV.replace("0,a", "9,a"))  # as long as it was
    with pytest.raises(DataChangedError, match="has changed") as raised:
        check_unchanged(ref)
    assert explain(raised.value, [])[0] == "data_changed"
    path.unlink()
    with pytest.raises(DataChangedError, match="is gone"):
        check_unchanged(ref)
    with pytest.raises(RegistryError, match="is gone"):
        data_ref(DatasetVersion.objects.get(), {})


@pytest.mark.parametrize(
    ("address", "words"),
    [
        ("/etc/passwd", "not below an allowed folder"),
        ("table.csv", "not below an allowed folder"),
        ("", "not below an allowed folder"),
        ("ROOT/../outside.csv", "not below an allowed folder"),
        ("ROOT-beside/table.csv", "not below an allowed folder"),
        ("ROOT/\0", "not below an allowed folder"),
        ("ROOT/nothing.csv", "not there"),
        ("ROOT/table.csv/x", "not there"),
        ("ROOT/" + "x" * 300, "not there"),
        ("ROOT/loop", "not there"),
        ("ROOT", "is no file"),
        ("ROOT/pipe", "is no file"),
        ("ROOT/link.csv", "leads out"),
        ("ROOT/folder/outside.csv", "leads out"),
        ("ROOT/studio/secret_key", "leads out"),
        ("http://example.org/a.csv", "begins with https://"),
        ("file:///etc/passwd", "begins with https://"),
        ("s3://bucket/key.csv", "begins with https://"),
        ("https://me:word@example.org/a.csv", "password"),
        ("https://169.254.169.254/latest", "own network"),
        ("https://localhost/a.csv", "own network"),
    ],
)
def test_an_address_that_may_not_be_read_is_refused_at_its_field(root: Path, address: str, words: str) -> None:
    (root.parent / "outside.csv").write_text(CSV)
    (root / "link.csv").symlink_to(root.parent / "outside.csv")
    (root / "folder").symlink_to(root.parent)
    (root / "loop").symlink_to(root / "loop")
    os.mkfifo(root / "pipe")
    (root / "studio").mkdir()
    (root / "studio" / "secret_key").write_text("secret")
    with pytest.raises(RegistryError, match=words) as raised:
        checked_address(address.replace("ROOT", str(root)))
    assert raised.value.field == "address"


def test_no_folder_is_open_unless_an_administrator_names_one(root: Path, settings: Any) -> None:
    settings.DATA_ROOTS = []
    with pytest.raises(RegistryError, match="STUDIO_DATA_ROOTS"):
        checked_address(str(root / "table.csv"))


def test_a_link_that_changes_after_the_form_is_refused_by_the_worker(
    people: People, control: ControlQueue, root: Path
) -> None:
    given: dict[str, Any] = {"project": people.project, "user": people.editor, "name": "D"}
    version = create_dataset_from_address(kind="table", address=str(root / "table.csv"), **given)
    (root.parent / "outside.csv").write_text(CSV)
    (root / "table.csv").unlink()
    (root / "table.csv").symlink_to(root.parent / "outside.csv")
    control.work()
    version.refresh_from_db()
    assert (version.state, version.blobs) == ("rejected", {})
    assert "leads out" in version.reason


class Serves(BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        body = {"/pets.zip": zipped(pets())}.get(self.path, CSV.encode())
        moved = {
            "/moved": "/table.csv",
            "/round": "/round",
            "/down": "http://example.org/",
            "/in": "https://127.0.0.1/",
        }
        self.send_response(302 if self.path in moved else 404 if self.path == "/none" else 200)
        self.send_header("ETag", '"v1"')
        if self.path in moved:
            self.send_header("Location", moved[self.path])
        if self.path != "/unsaid":
            self.send_header("Content-Length", str(len(body) + (self.path == "/short")))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *args: Any) -> None:
        pass


@pytest.fixture
def server(settings: Any, tmp_path: Path) -> Iterator[Server]:
    with https_server(tmp_path, Serves) as found:
        settings.OUTBOUND_HOSTS, settings.CA_FILE = {"localhost"}, str(found.certificate)
        yield found


@pytest.mark.parametrize(
    ("path", "kind", "wanted"),
    [
        ("table.csv", "table", {"target": "kind"}),
        ("moved", "table", {"target": "kind"}),
        ("unsaid", "table", {"target": "kind"}),
        ("pets.zip", "images", {"image_size": 16}),
    ],
)
def test_what_lies_at_an_address_is_fetched_once_and_kept(
    people: People, control: ControlQueue, server: Server, settings: Any, path: str, kind: str, wanted: dict[str, Any]
) -> None:
    version = made(people, control, f"{server.url}/{path}", kind, **wanted)
    assert version.state == "ready", version.reason
    assert version.info["fetched"] == {"url": f"{server.url}/{path}", "etag": '"v1"'}
    assert blobs.verify(version.blobs["path"])
    assert data_ref(version, {}).marks == {}
    assert list(Path(settings.UPLOADS_DIR).iterdir()) == []


@pytest.mark.parametrize(
    ("path", "words"),
    [
        ("none", "answered 404"),
        ("short", "broke off with 1 bytes"),
        ("round", "redirected more than"),
        ("down", "begins with https://"),
        ("in", "own network"),
        ("large", "more than the 100 bytes"),
        ("unsaid", "more than the 100 bytes"),
    ],
)
def test_what_cannot_be_fetched_is_a_reason_and_leaves_nothing(
    people: People, control: ControlQueue, server: Server, settings: Any, path: str, words: str
) -> None:
    settings.MAX_UPLOAD_BYTES = 100 if "100" in words else settings.MAX_UPLOAD_BYTES
    version = made(people, control, f"{server.url}/{path}", target="kind")
    assert version.state == "rejected"
    assert words in version.reason
    assert list(Path(settings.UPLOADS_DIR).iterdir()) == []
    assert version.blobs == {}


def test_a_server_that_is_not_trusted_is_a_reason(
    people: People, control: ControlQueue, server: Server, settings: Any
) -> None:
    settings.CA_FILE = ""
    assert "certificate" in made(people, control, f"{server.url}/table.csv").reason


def test_the_page_takes_an_address_in_the_place_of_a_file(people: People, control: ControlQueue, root: Path) -> None:
    url = reverse("dataset-create", args=[people.project.pk])
    editor = people.client("editor")
    assert str(root) in editor.get(url).content.decode()
    both = editor.post(url, {"address": str(root / "table.csv"), "text": "a,b"})
    assert both.status_code == 422
    assert "not two of them" in both.content.decode()
    assert "not below an allowed folder" in editor.post(url, {"address": "/etc/passwd"}).content.decode()
    assert editor.post(url, {"address": str(root / "table.csv")}).status_code == 302
    control.work()
    assert DatasetVersion.objects.get(dataset__name="table").state == "choosing"
