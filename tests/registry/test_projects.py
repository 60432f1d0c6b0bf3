"""Projects of several files, zipped or from a repository, become versions whose class runs as its authors import it."""

from __future__ import annotations

import json
import subprocess
from http.server import BaseHTTPRequestHandler
from pathlib import Path
from typing import Any

import pytest

from studio.registry import inspect
from studio.registry.difference import file_differences, option_differences
from studio.registry.errors import CodeRightMissing, RegistryError
from studio.registry.git import checked_repository, checked_revision, fetch_commit
from studio.registry.models import ModelVersion
from studio.registry.projects import files_of, project_text
from studio.registry.publish import (
    choose_class,
    create_model_from_code,
    create_model_from_git,
    create_model_from_project,
)
from tests.access.people import People
from tests.factories import make_model_version
from tests.https import https_server
from tests.registry.conftest import ControlQueue
from tests.registry.files import HOSTILE, link, zipped

NET = """
from typing import Annotated

import lightning as L
import torch
from annotated_types import Ge, Le
from torch import nn
from utils import bend

from .layers import Block


class Net(L.LightningModule):
    def __init__(self, width: Annotated[int, Ge(1), Le(99)] = 8):
        super().__init__()
        self.save_hyperparameters()
        self.example_input_array = torch.zeros(2, 4)
        self.body = nn.Sequential(nn.Linear(4, width), bend(), Block(width))
        self.head = nn.Linear(width, 3)

    def forward(self, x):
        return self.head(self.body(x))

    def training_step(self, batch, batch_idx):
        loss = nn.functional.cross_entropy(self(batch[0]), batch[1])
        self.log("train_loss", loss)
        return loss

    def configure_optimizers(self):
        return torch.optim.Adam(self.parameters())
"""
DATA = """
import lightning as L
import torch
from torch.utils.data import DataLoader, TensorDataset


class Points(L.LightningDataModule):
    def __init__(self, count: int = 32):
        super().__init__()
        self.count = count

    def train_dataloader(self):
        return DataLoader(TensorDataset(torch.randn(self.count, 4), torch.randint(0, 3, (self.count,))), 8)
"""
PROJECT = {
    "repo-3f2a/README.md": "A project.",
    "repo-3f2a/train.py": "from net.model import Net\n\nif __name__ == '__main__':\n    Net()\n",
    "repo-3f2a/utils.py": "import torch\n\nbend = torch.nn.ReLU\n",
    "repo-3f2a/net/__init__.py": "",
    "repo-3f2a/net/layers.py": "from torch import nn\n\n\nclass Block(nn.Linear):\n    def __init__(self, width):\n"
    "        super().__init__(width, width)\n",
    "repo-3f2a/net/model.py": NET,
    "repo-3f2a/data.py": DATA,
    "repo-3f2a/weights.bin": "\0",
}


def zipped_project(**changed: str) -> bytes:
    return zipped({name: text.encode() for name, text in {**PROJECT, **changed}.items()})


def model(people: People, control: ControlQueue, data: bytes, **given: Any) -> ModelVersion:
    version = create_model_from_project(project=people.project, user=people.owner, name="Net", data=data, **given)
    control.work()
    version.refresh_from_db()
    return version


def test_a_zipped_project_gives_its_class_with_layers_and_bounds(people: People, control: ControlQueue) -> None:
    version = model(people, control, zipped_project(), filename="repo.zip")
    assert (version.state, version.ref) == ("ready", "net/model.py:Net"), version.reason
    width = version.option_specs["width"]
    assert (width.kind, width.default, width.minimum, width.maximum) == ("int", 8, 1, 99)
    assert (version.info["parameters"], version.info["example"], version.info["left_out"]) == (139, "2 x 4", 1)
    assert ["head", "Linear", 27, 96, "2 x 8", "2 x 3"] in version.info["layers"]
    assert set(files_of(version.code)) == {n.removeprefix("repo-3f2a/") for n in PROJECT} - {"weights.bin"}
    assert model(people, control, zipped_project()).pk == version.pk


@pytest.mark.usefixtures("own_lightning")
def test_it_runs_unchanged_with_its_own_data(tmp_path: Path) -> None:
    from trainer_core import Trainer
    from trainer_core.launching import build
    from trainer_core.projects import files_with
    from trainer_core.spec import DataRef, ModelRef

    code, _ = project_text(zipped_project())
    data = build.data(DataRef("project", "data.py:Points", {"count": 16}, code, "1" * 64), tmp_path)
    module = build.model(ModelRef("project", "net/model.py:Net", {"width": 5}, code, "1" * 64), data, tmp_path)
    options = {"logger": False, "enable_checkpointing": False, "enable_progress_bar": False, "accelerator": "cpu"}
    trainer = Trainer(max_epochs=1, enable_model_summary=False, **options)
    trainer.fit(module, datamodule=data)
    assert trainer.global_step == 2
    assert module.hparams.width == 5
    assert files_with(tmp_path, "data") == [f"project-{'1' * 16}/data.py"]


def test_one_of_several_classes_is_chosen_by_its_file(people: People, control: ControlQueue, tmp_path: Path) -> None:
    data = zipped_project(**{"repo-3f2a/other.py": NET.replace("from .layers", "from net.layers")})
    version = model(people, control, data)
    assert [c["name"] for c in version.info["classes"]] == ["net/model.py:Net", "other.py:Net"]
    choose_class(version=version, user=people.owner, class_name="other.py:Net")
    version.refresh_from_db()
    assert version.state == "inspecting"
    assert json.loads(Path(inspect._order(version, tmp_path)).read_text())["class"] == "other.py:Net"


def test_an_error_names_its_file_and_line(people: People, control: ControlQueue) -> None:
    version = model(people, control, zipped_project(**{"repo-3f2a/utils.py": "import torch\nbend = 1 / 0\n"}))
    assert version.state == "rejected"
    assert "ZeroDivisionError" in version.reason
    assert (version.info["file"], version.info["line"]) == ("utils.py", 2)


@pytest.mark.parametrize(
    ("data", "words"),
    [
        (HOSTILE["a path that climbs out"][1], "leads out"),
        (HOSTILE["a bomb"][1], "would grow"),
        (zipped([link("net.py", "/etc/passwd")]), "a link"),
        (zipped({"a.txt": b"x"}), "no Python file"),
        (zipped({"a.py": b"\xff\xfe"}), "not text in UTF-8"),
        (zipped({"a.py": b"#" * (5 << 20)}), "at most"),
        (zipped({f"m{n}.py": b"" for n in range(600)}), "at most 500"),
        (b"nothing", "not a zip"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_what_is_no_project_is_refused_at_its_field(data: bytes, words: str) -> None:
    with pytest.raises(RegistryError, match=words) as raised:
        project_text(data)
    assert raised.value.field == "file"


def test_a_project_needs_the_right_to_run_code(people: People, control: ControlQueue) -> None:
    with pytest.raises(CodeRightMissing):
        create_model_from_project(project=people.project, user=people.editor, name="N", data=zipped_project())
    with pytest.raises(CodeRightMissing):
        create_model_from_git(project=people.project, user=people.editor, name="N", url="https://example.org/a.git")


def test_the_engine_writes_nothing_outside_of_its_folder(tmp_path: Path) -> None:
    from trainer_core.errors import SpecError
    from trainer_core.projects import write_project

    for name in ("../evil.py", "/tmp/evil.py", "a/../../evil.py", "..\\evil.py"):
        with pytest.raises(SpecError, match="no path inside"):
            write_project(json.dumps({name: "x = 1"}), tmp_path / "project")
    assert not list(tmp_path.rglob("*.py"))


@pytest.fixture
def repository(tmp_path: Path) -> Path:
    """A repository with a project, a hook, a link and a submodule; what it holds is committed as the tag v1."""
    folder = tmp_path / "repository"
    for name, text in PROJECT.items():
        path = folder / name.removeprefix("repo-3f2a/")
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    (folder / "passwd.py").symlink_to("/etc/passwd")
    (folder / ".gitattributes").write_text("*.py filter=evil\n")
    (folder / ".gitmodules").write_text('[submodule "x"]\n\tpath = x\n\turl = file:///nowhere\n')
    author = ["-c", "user.name=a", "-c", "user.email=a@example.org"]
    for arguments in (["init", "-q"], ["add", "-A"], [*author, "commit", "-qm", "first"], ["tag", "v1"]):
        subprocess.run(["git", *arguments], cwd=folder, check=True)
    return folder


def test_a_commit_is_fetched_and_kept(people: People, control: ControlQueue, repository: Path, settings: Any) -> None:
    settings.ALLOW_FILE_REPOSITORIES = True
    version = create_model_from_git(
        project=people.project, user=people.owner, name="Net", url=repository.as_uri(), revision="v1"
    )
    inspect._fetch(version)
    version.refresh_from_db()
    head = subprocess.run(["git", "rev-parse", "HEAD"], cwd=repository, check=True, capture_output=True, text=True)
    assert version.info["git"] == {"url": repository.as_uri(), "revision": "v1", "commit": head.stdout.strip()}
    assert set(files_of(version.code)) == {n.removeprefix("repo-3f2a/") for n in PROJECT} - {"weights.bin"}


def test_a_revision_that_is_not_there_is_a_reason(repository: Path, settings: Any) -> None:
    settings.ALLOW_FILE_REPOSITORIES = True
    with pytest.raises(RegistryError, match="cannot be fetched"):
        fetch_commit(repository.as_uri(), "nosuch")


@pytest.mark.parametrize(
    "url",
    [
        "file:///etc",
        "http://example.org/a.git",
        "ssh://git@example.org/a.git",
        "git@example.org:a.git",
        "ext::sh -c touch% /tmp/x",
        "--upload-pack=touch /tmp/x",
        "https://-oProxyCommand=x/a.git",
        "https://user:secret@example.org/a.git",
        "https://127.0.0.1/a.git",
        "https://localhost/a.git",
        "https://[::1]/a.git",
        "https://[::ffff:10.0.0.1]/a.git",
        "https://[64:ff9b::a00:1]/a.git",
        "https://169.254.169.254/latest",
        "https://0.0.0.0/a.git",
        "https://2130706433/a.git",
        "https://0177.0.0.1/a.git",
        "https://10.1.2.3/a.git",
        "https://exam ple.org/a.git",
        "https://example.org\\@127.0.0.1/a.git",
        "https:///a.git",
    ],
)
def test_an_address_that_may_not_be_reached_is_refused(url: str) -> None:
    with pytest.raises(RegistryError) as raised:
        checked_repository(url)
    assert raised.value.field == "url"


def test_a_name_that_has_one_private_address_is_refused(monkeypatch: pytest.MonkeyPatch, settings: Any) -> None:
    """Also if another one is public; and what was checked is what git connects to, whatever the name says later."""
    from studio.core import outbound
    from studio.registry import git

    answers = [(2, 1, 6, "", ("93.184.216.34", 443)), (2, 1, 6, "", ("10.0.0.7", 443))]
    monkeypatch.setattr(outbound.socket, "getaddrinfo", lambda *a, **k: answers)
    with pytest.raises(RegistryError, match="own network") as refused:
        checked_repository("https://example.org/a.git")
    assert "10.0.0.7" not in str(refused.value)
    answers.pop()
    assert "http.curloptResolve=example.org:443:93.184.216.34" in git._connection("https://example.org/a.git")
    settings.OUTBOUND_HOSTS = {"example.org"}
    answers.append((2, 1, 6, "", ("10.0.0.7", 443)))
    assert checked_repository("https://example.org/a.git")


@pytest.mark.parametrize("revision", ["--upload-pack=x", "a..b", "a b", "x.lock", "-x", "a" * 300, "a\nb", "HEAD~1"])
def test_a_revision_that_is_none_is_refused(revision: str) -> None:
    with pytest.raises(RegistryError):
        checked_revision(revision)


def test_two_versions_are_compared_line_by_line(people: People) -> None:
    changed = NET.replace("width: Annotated[int, Ge(1), Le(99)] = 8", "width: int = 9, depth: int = 2")
    both = {"repo-3f2a/net/model.py": changed, "repo-3f2a/new.py": "x = 1\n"}
    width, depth = ({"name": name, "kind": "int", "default": 8} for name in ("width", "depth"))
    old, new = (
        make_model_version(source="project", code=project_text(data)[0], params=params)
        for data, params in (
            (zipped_project(), [width]),
            (zipped_project(**both), [{**width, "default": 9}, depth]),
        )
    )
    files = file_differences(old, new)
    assert [(f.name, f.added, f.removed) for f in files] == [("net/model.py", 1, 1), ("new.py", 1, 0)]
    kinds = [(line.kind, line.old, line.new) for line in files[0].lines if line.kind in ("added", "removed")]
    assert kinds == [("removed", 14, 0), ("added", 0, 14)]
    assert {o.name: bool(o.old) for o in option_differences(old, new)} == {"width": True, "depth": False}
    assert file_differences(old, old) == []


def test_one_file_that_was_renamed_is_compared(people: People, control: ControlQueue) -> None:
    made = [
        create_model_from_code(project=people.project, user=people.owner, name="A", code=code, filename=name)
        for code, name in (("x = 1\ny = 2\n", "a.py"), ("x = 1\ny = 3\n", "b.py"))
    ]
    assert [(f.name, f.added, f.removed) for f in file_differences(*made)] == [("b.py", 1, 1)]


def test_a_commit_is_fetched_over_https_from_a_server_that_is_trusted(
    repository: Path, settings: Any, tmp_path: Path
) -> None:
    """By git's own protocol of plain files, from a host of the own network that the settings allow."""
    subprocess.run(["git", "clone", "-q", "--bare", repository, tmp_path / "served.git"], check=True)
    backend = Path(subprocess.check_output(["git", "--exec-path"], text=True).strip()) / "git-http-backend"

    class Serves(BaseHTTPRequestHandler):
        def run(self, method: str) -> None:
            path, _, query = self.path.partition("?")
            size = int(self.headers.get("Content-Length") or 0)
            environment = {
                "GIT_PROJECT_ROOT": str(tmp_path),
                "GIT_HTTP_EXPORT_ALL": "1",
                "PATH_INFO": path,
                "QUERY_STRING": query,
                "REQUEST_METHOD": method,
                "CONTENT_TYPE": self.headers.get("Content-Type") or "",
                "CONTENT_LENGTH": str(size),
                "HTTP_CONTENT_ENCODING": self.headers.get("Content-Encoding") or "",
                "GIT_PROTOCOL": self.headers.get("Git-Protocol") or "",
            }
            done = subprocess.run([backend], input=self.rfile.read(size), env=environment, capture_output=True)
            head, _, body = done.stdout.partition(b"\r\n\r\n")
            self.send_response(200)
            for line in head.decode().splitlines():
                self.send_header(*line.split(": ", 1))
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def do_GET(self) -> None:
            self.run("GET")

        def do_POST(self) -> None:
            self.run("POST")

        def log_message(self, *args: Any) -> None:
            pass

    with https_server(tmp_path, Serves) as server:
        url = f"{server.url}/served.git"
        with pytest.raises(RegistryError, match="own network"):
            fetch_commit(url, "v1")
        settings.OUTBOUND_HOSTS = {"localhost"}
        with pytest.raises(RegistryError, match="certificate"):
            fetch_commit(url, "v1")
        settings.CA_FILE = str(server.certificate)
        found = fetch_commit(url, "v1")
    assert set(found.files) >= {n.removeprefix("repo-3f2a/") for n in PROJECT} - {"weights.bin"}
