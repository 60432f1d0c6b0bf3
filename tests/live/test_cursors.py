"""A page gets each frame once and in order, whatever breaks between it and the store."""

from __future__ import annotations

import json
import math
from typing import Any

import pytest

from studio.live.channels import MOST_FRAMES
from studio.runs import publish as runs_publish
from studio.runs.models import Run
from studio.tracking import publish
from studio.tracking.compact import compact_run
from studio.tracking.ingest import ingest
from tests.live.frames import add, numbers, up_to
from trainer_core.events import MetricBlock, Position

pytestmark = pytest.mark.stack


def test_a_page_gets_what_is_stored_and_then_what_comes(run: Run, open_tab: Any) -> None:
    add(run, 1, 3)
    tab = open_tab()
    tab.subscribe(f"run:{run.pk}")
    heard = tab.hear_until(up_to(3))
    add(run, 4, 6)
    heard += tab.hear_until(up_to(6))
    assert numbers(heard) == [1, 2, 3, 4, 5, 6]


def test_after_a_break_a_page_gets_only_what_it_missed(run: Run, open_tab: Any) -> None:
    tab = open_tab()
    tab.subscribe(f"run:{run.pk}")
    add(run, 1, 5)
    assert numbers(tab.hear_until(up_to(5))) == [1, 2, 3, 4, 5]
    tab.socket.close()
    add(run, 6, 8)
    again = open_tab()
    again.subscribe(f"run:{run.pk}", cursor=5)
    heard = again.hear_until(up_to(8))
    add(run, 9, 9)
    assert numbers(heard + again.hear_until(up_to(9))) == [6, 7, 8, 9]


def test_frames_that_never_reached_the_stream_come_from_the_store(
    run: Run, open_tab: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    tab = open_tab()
    tab.subscribe(f"run:{run.pk}")
    add(run, 1, 2)
    heard = tab.hear_until(up_to(2))
    with monkeypatch.context() as away:
        away.setattr(publish, "metrics", lambda *args: None)
        add(run, 3, 6)
    add(run, 7, 7)
    assert numbers(heard + tab.hear_until(up_to(7))) == [1, 2, 3, 4, 5, 6, 7]


def test_a_broken_connection_to_the_queue_server_loses_nothing(run: Run, open_tab: Any, redis_server: Any) -> None:
    tab = open_tab()
    tab.subscribe(f"run:{run.pk}")
    add(run, 1, 2)
    heard = tab.hear_until(up_to(2))
    for client in redis_server.client_list():
        if "xread" in client["cmd"]:
            redis_server.client_kill(client["addr"])
    add(run, 3, 4)
    heard += tab.hear_until(up_to(4))
    add(run, 5, 5)
    assert numbers(heard + tab.hear_until(up_to(5))) == [1, 2, 3, 4, 5]


def test_what_is_not_finite_is_said_in_words_by_the_store_and_by_the_stream(run: Run, open_tab: Any) -> None:
    def no_number(word: str) -> None:
        raise AssertionError(f"{word} is no JSON: a browser refuses the whole message")

    def said(tab: Any) -> list[Any]:
        text = tab.socket.recv(60.0)
        while '"frames"' not in text:
            text = tab.socket.recv(60.0)
        (frame,) = json.loads(text, parse_constant=no_number)["frames"]
        return [frame["epochs"], *frame["values"]]

    odd = MetricBlock.from_rows(["a", "b"], [(1, math.nan, 1.0, [math.nan, 1.0]), (2, 0.0, 1.0, [math.inf, -math.inf])])
    early = open_tab()
    early.subscribe(f"run:{run.pk}")
    assert early.hear()["t"] == "s"
    ingest(run.pk, 1, [odd], Position(1, 1))
    late = open_tab()
    late.subscribe(f"run:{run.pk}")
    assert said(early) == said(late) == [["NaN", 0.0], ["NaN", "Infinity"], [1.0, "-Infinity"]]


def test_a_page_far_behind_loads_its_series_again_once_and_goes_on(run: Run, open_tab: Any) -> None:
    newest = MOST_FRAMES + 50
    add(run, 1, newest)
    tab = open_tab()
    tab.subscribe(f"run:{run.pk}", cursor=1)
    heard = tab.hear_until(lambda message: message.get("op") == "reset")
    add(run, newest + 1, newest + 2)
    heard += tab.hear_until(up_to(newest + 2))
    assert [m["op"] for m in heard if "op" in m] == ["reset"]
    assert numbers(heard) == [newest + 1, newest + 2]


def test_a_page_behind_what_was_compacted_loads_its_series_again_and_a_nearer_one_does_not(
    run: Run, open_tab: Any
) -> None:
    add(run, 1, 20)
    compact_run(run.pk, keep=5)
    behind, near = open_tab(), open_tab()
    behind.subscribe(f"run:{run.pk}", cursor=14)
    near.subscribe(f"run:{run.pk}", cursor=15)
    heard = behind.hear_until(lambda message: message.get("op") == "reset")
    assert numbers(near.hear_until(up_to(20))) == [16, 17, 18, 19, 20]
    add(run, 21, 21)
    heard += behind.hear_until(up_to(21))
    assert numbers(heard) == [21]
    compact_run(run.pk)
    late = open_tab()
    late.subscribe(f"run:{run.pk}", cursor=20)
    late.hear_until(lambda message: message.get("op") == "reset")


def test_somebody_of_another_team_hears_nothing(run: Run, open_tab: Any) -> None:
    tab = open_tab("stranger")
    tab.subscribe(f"run:{run.pk}")
    tab.subscribe(f"project:{run.project_id}")
    add(run, 1, 1)
    tab.say(op="ping")
    refused = [
        {"ch": f"{kind}:{pk}", "op": "error", "code": 404}
        for kind, pk in (("run", run.pk), ("project", run.project_id))
    ]
    assert tab.hear_until(lambda message: message.get("op") == "pong") == [*refused, {"op": "pong"}]


def test_everybody_hears_that_the_queue_has_changed_and_nothing_of_it(run: Run, open_tab: Any) -> None:
    tab = open_tab("stranger")
    tab.subscribe("queue:0")
    hint = {"ch": "queue:0", "t": "s", "d": {"run": 0}}
    assert tab.hear() == hint  # what came before the page listened
    runs_publish.queue()
    assert tab.hear() == hint
