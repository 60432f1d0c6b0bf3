"""Where the time of a run goes, on its page: shares that add up, from whatever a trainer wrote."""

from __future__ import annotations

import re
from typing import Any

import pytest
from django.urls import reverse

from studio.runs import breakdown
from studio.runs.models import Run, State
from studio.runs.publish import facts_of
from tests.access.people import People
from tests.factories import make_run

TOLD = {"data": 3.0, "copy": 0.0, "compute": 6.0, "validation": 0.5, "save": 0.496, "other": 0.004}


def parts(told: Any) -> dict[str, breakdown.Part]:
    return {part.name: part for part in breakdown.parts_of(Run(progress={"breakdown": told}))}


def test_the_shares_add_up_and_lie_side_by_side() -> None:
    found = list(parts(TOLD).values())
    assert [p.share for p in found] == [30.0, 0.0, 60.0, 5.0, 4.96, 0.04]
    assert [p.start for p in found] == [0.0, 30.0, 30.0, 90.0, 95.0, 99.96]


@pytest.mark.parametrize(
    "told", [None, [], "x", {"data": "1"}, {"data": float("nan")}, {"data": -1}, {"data": True}, {"data": 1e300}]
)
def test_what_is_no_breakdown_shows_nothing(told: Any) -> None:
    assert all(part.seconds == part.share == 0 for part in parts(told).values())
    assert breakdown.shown(Run(progress={"breakdown": told})) is None


@pytest.mark.parametrize(
    ("part", "word"),
    [("data", "data workers"), ("save", "Checkpoints"), ("validation", "Validation"), ("other", "logging")],
)
def test_the_advice_names_what_takes_the_time(part: str, word: str) -> None:
    told = {**TOLD, "data": 1.0, part: 20.0}
    assert word in breakdown.advice_on(list(parts(told).values()))
    early = {name: seconds / 100 for name, seconds in told.items()}
    assert breakdown.advice_on(list(parts(early).values())) == ""


def test_a_run_that_computes_gets_no_advice() -> None:
    assert breakdown.advice_on(list(parts({**TOLD, "compute": 90.0}).values())) == ""


@pytest.mark.django_db
def test_the_page_and_the_live_message_show_the_same(people: People) -> None:
    run = make_run(people.project, state=State.RUNNING, progress={"step": 4, "breakdown": TOLD})
    text = people.client("viewer").get(reverse("run", args=[run.pk])).content.decode()
    card = text[text.index("data-breakdown") : text.index("data-advice")]
    numbers = re.findall(r'data-row="(\w+)"( hidden)?>.*?data-share>([^<]+)<', card, flags=re.S)
    assert numbers == [
        ("data", "", "30 %"), ("copy", " hidden", "0 %"), ("compute", "", "60 %"), ("validation", "", "5.0 %"),
        ("save", "", "5.0 %"), ("other", "", "&lt; 0.1 %"),
    ]  # fmt: skip
    assert "data workers" in text
    message = facts_of(run)["shown"]["breakdown"]
    assert [p["share"] for p in message["parts"]] == [30.0, 0.0, 60.0, 5.0, 4.96, 0.04]
    assert "data workers" in message["advice"]


@pytest.mark.parametrize(
    ("told", "words"),
    [
        ({"calls": 100, "s": 0.002}, "Logging took < 0.1 % of it, 20 µs each time."),
        ({"calls": 10, "s": 0.5}, "Logging took 5.0 % of it, 50.0 ms each time."),
        ({"calls": 0, "s": 0.0}, ""),
        ({"calls": "many", "s": []}, ""),
        (None, ""),
    ],
)
def test_what_logging_costs_is_told_in_words(told: Any, words: str) -> None:
    assert breakdown.logging_words(Run(progress={"breakdown": TOLD, "logging": told})) == words


@pytest.mark.django_db
def test_the_page_shows_what_logging_costs(people: People) -> None:
    told = {"breakdown": TOLD, "logging": {"calls": 100, "s": 0.002, "beside_s": 0.1}}
    run = make_run(people.project, state=State.RUNNING, progress=told)
    text = people.client("viewer").get(reverse("run", args=[run.pk])).content.decode()
    assert "data-logging>Logging took &lt; 0.1 % of it, 20 µs each time." in text


@pytest.mark.django_db
def test_a_run_that_has_told_nothing_shows_no_bar(people: People) -> None:
    run = make_run(people.project, state=State.QUEUED)
    text = people.client("viewer").get(reverse("run", args=[run.pk])).content.decode()
    assert re.search(r"data-breakdown hidden>", text)
