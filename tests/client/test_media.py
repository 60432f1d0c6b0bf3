"""Images, histograms, tables, texts, sounds and figures of programs elsewhere: on this disk first, in the studio once."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import textwrap
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from studio.client import StudioLogger, media_files
from studio.client.__main__ import main
from studio.client.connection import Connection
from studio.client.external import ExternalRun
from studio.client.folder import RunFolder
from studio.core import blobs
from studio.runs.models import Run
from studio.tracking.media import visible_media
from tests.client.relay import Relay
from tests.client.test_external import begin, eventually, quick, token

REPOSITORY = Path(__file__).parents[2]
__all__ = ["begin", "quick", "token"]


def kept(run: ExternalRun | int) -> list[tuple[str, str, int]]:
    """(kind, key, step) in order."""
    pk = run if isinstance(run, int) else run.id
    return [(m.kind, m.key, m.step) for m in visible_media(pk)] if pk else []


def picture(k: int) -> Any:
    return np.full((4, 5, 3), k, dtype=np.uint8)


def log_all(run: Any) -> None:
    run.log_image("samples", [picture(1), picture(2)], caption=["one", "two"])
    run.log_histogram("weights", np.arange(100.0))
    run.log_table("rows", ["a", "b"], [[1, "x"], [2, "y"]])
    run.log_text("said", "hello")
    run.log_audio("tone", np.sin(np.arange(800) / 9).astype(np.float32), 8000)
    run.log_confusion_matrix("confusion", [[3, 1], [0, 4]], ["cat", "dog"])
    run.log_figure("chart", _Figure())


class _Figure:
    """As plotly's."""

    def to_plotly_json(self) -> dict[str, Any]:
        return {"data": [{"type": "scatter", "x": [1, 2], "y": [3, 4]}], "layout": {}}

    def to_json(self) -> str:
        return json.dumps(self.to_plotly_json())


ALL = ["image", "image", "histogram", "table", "text", "audio", "matrix", "figure"]


def test_every_kind_is_there_with_its_step_and_its_bytes(begin: Callable[..., ExternalRun]) -> None:
    with begin() as run:
        run.log({"loss": 1.0}, 7)
        log_all(run)
        run.log_text("said", "later", step=3)
    rows = list(visible_media(run.id))
    assert [m.kind for m in rows] == [*ALL, "text"]
    assert [m.step for m in rows] == [7] * 8 + [3]
    assert [m.at_step for m in rows] == [7] * 9
    assert rows[0].caption == "one"
    assert all(blobs.verify(m.sha256) for m in rows)
    assert blobs.path_of(rows[4].sha256).read_bytes() == b"hello"
    assert Run.objects.get(pk=run.id).outcome == "ok"


def test_a_wrong_argument_is_said_at_the_call_and_the_run_goes_on(begin: Callable[..., ExternalRun]) -> None:
    with begin() as run:
        with pytest.raises(ValueError, match="shape"):
            run.log_image("odd", np.zeros((2, 3, 4, 5, 6)))
        with pytest.raises(ValueError, match="1 to 1000 characters"):
            run.log_text("", "x")
        run.log_image("empty", np.zeros((0, 3)))  # data are told on the page
        run.log_text("good", "x")
    assert kept(run) == [("text", "good", 0)]
    texts = Run.objects.get(pk=run.id).events.filter(kind="notice").values_list("text", flat=True)
    assert ["nothing to show" in text for text in texts] == [True]


def test_offline_media_are_sent_later_and_sending_again_changes_nothing(
    begin: Callable[..., ExternalRun], server: str, token: str, tmp_path: Path
) -> None:
    run = begin(offline=True)
    log_all(run)
    log_all(run)  # the same bytes
    run.finish()
    words = ["sync", str(tmp_path / "runs"), "--url", server, "--token", token]
    assert main(words) == 0
    assert main(words) == 0
    pk = int(RunFolder(run.folder).told["id"])
    assert [kind for kind, _, _ in kept(pk)] == ALL * 2


def test_answers_that_are_lost_send_nothing_twice_and_each_file_travels_once(
    begin: Callable[..., ExternalRun], server: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(media_files, "MOST_BYTES", 200)  # many portions
    with Relay(server) as relay:
        relay.swallow = 3
        with begin(url=relay.url) as run:
            for step in range(12):
                run.log({"loss": step}, step)
                run.log_image("samples", picture(step % 4))
        assert relay.swallowed > 3
    assert kept(run) == [("image", "samples", step) for step in range(12)]


def test_only_files_that_the_studio_has_not_got_are_sent(
    begin: Callable[..., ExternalRun], monkeypatch: pytest.MonkeyPatch
) -> None:
    sent: Counter[str] = Counter()
    put = Connection.put

    def counted(self: Connection, path: str, data: bytes, **more: Any) -> Any:
        sent[path.rpartition("/")[2]] += "/media/" in path
        return put(self, path, data, **more)

    monkeypatch.setattr(Connection, "put", counted)
    with begin() as run:
        for step in range(6):
            run.log_image("samples", picture(step % 2), step=step)
    assert sorted(n for name, n in sent.items() if name != "spool") == [1, 1]
    assert len(kept(run)) == 6


PROGRAM = """
    import numpy as np, time
    import studio.client
    run = studio.client.init({project}, url={url!r}, token={token!r}, folder={folder!r}, offline={offline})
    for step in range(10_000):
        run.log({{"loss": step}}, step)
        run.log_image("samples", np.full((40, 40), step % 256, dtype=np.uint8))
        if step == 30:
            run._media.drain()
            print("ready", flush=True)
        time.sleep(0.002)
"""


@pytest.mark.parametrize("offline", [False, True])
def test_of_a_program_that_is_killed_the_media_that_were_written_arrive_once(
    offline: bool, server: str, token: str, people: Any, tmp_path: Path
) -> None:
    given = {"project": people.project.pk, "url": server, "token": token, "folder": str(tmp_path), "offline": offline}
    code = textwrap.dedent(PROGRAM).format(**given)
    process = subprocess.Popen([sys.executable, "-c", code], cwd=REPOSITORY, stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    try:
        assert process.stdout.readline() == "ready\n"
    finally:
        os.kill(process.pid, signal.SIGKILL)
        process.wait(20)
        process.stdout.close()
    words = ["sync", str(tmp_path), "--url", server, "--token", token]
    assert main(words) == 0
    assert main(words) == 0
    (where,) = (RunFolder(path) for path in tmp_path.iterdir())
    steps = [step for _, _, step in kept(int(where.told["id"]))]
    assert steps == list(range(len(steps)))
    assert len(steps) > 30


def test_what_a_resume_abandons_shows_no_media(begin: Callable[..., ExternalRun]) -> None:
    with begin() as run:
        for step in range(6):
            run.log({"loss": step}, step)
            run.log_text("said", f"first {step}")
        run.finish("user_error", "stopped")
    with begin(resume=run.folder, resume_step=2) as again:
        again.log({"loss": 3}, 3)
        again.log_text("said", "second 3")
    assert [step for _, _, step in kept(again)] == [0, 1, 2, 3]
    assert [blobs.path_of(m.sha256).read_bytes() for m in visible_media(again.id)][-1] == b"second 3"


def test_a_file_that_is_gone_from_this_disk_is_told_and_the_rest_arrives(begin: Callable[..., ExternalRun]) -> None:
    run = begin(offline=True)
    run.log_text("lost", "x")
    run.log_text("said", "y")
    run._media.drain()
    (first,) = {json.loads(r)["items"][0]["sha256"] for r in _records(run.folder) if b"lost" in r}
    (run.folder / "a1" / "media" / first).unlink()
    run.finish()
    with begin(resume=run.folder) as again:
        pass
    assert [key for _, key, _ in kept(again)] == ["said"]
    notices = Run.objects.get(pk=again.id).events.filter(kind="notice").values_list("text", flat=True)
    assert ["its file is not there" in text for text in notices] == [True]


def _records(folder: Path) -> list[bytes]:
    from trainer_core.events import MEDIA, read_spool

    return [f.payload for f in read_spool(folder / "a1" / "spool", limit_bytes=1 << 30) if f.type == MEDIA]


def test_a_logger_of_the_engine_hands_media_on(server: str, token: str, people: Any, tmp_path: Path) -> None:
    logger = StudioLogger(people.project.pk, url=server, token=token, folder=tmp_path)
    logger.log_metrics({"loss": 1.0}, 4)
    logger.log_image("samples", picture(3))
    logger.experiment.finish()
    run: Any = logger.experiment
    assert kept(run) == [("image", "samples", 5)]


def test_media_need_no_torch() -> None:
    code = (
        "import sys, numpy as np, studio.client, tempfile\n"
        "with studio.client.init(1, offline=True, folder=tempfile.mkdtemp()) as run:\n"
        "    run.log_image('a', np.zeros((3, 3), dtype=np.uint8)); run.log_histogram('h', [1, 2]); run.log_table('t', ['a'], [[1]])\n"
        "print('torch' in sys.modules)"
    )
    answer = subprocess.run([sys.executable, "-c", code], cwd=REPOSITORY, capture_output=True, text=True, timeout=100)
    assert (answer.stdout, answer.returncode) == ("False\n", 0), answer.stderr


def test_media_after_the_end_are_left_out(begin: Callable[..., ExternalRun]) -> None:
    run = begin()
    run.log({"loss": 1.0})
    run.finish()
    run.log_text("late", "x")
    eventually(lambda: run.id, "the run")
    assert kept(run) == []
