"""Who may see the charts and logs of a run."""

from typing import Any

from studio.tracking.export import FORMS
from tests.access.matrix import Route, edits, nothing, reads
from tests.access.people import People
from tests.factories import make_media, make_run


def of_run(people: People) -> dict[str, Any]:
    return {"pk": make_run(people.project).pk}


def of_media(people: People) -> dict[str, Any]:
    made = make_media(make_run(people.project))
    return {"pk": made.run_id, "seq": made.seq}


def with_media(people: People) -> dict[str, Any]:
    return {"pk": of_media(people)["pk"]}


def a_project(people: People) -> dict[str, Any]:
    return {"pk": people.project.pk}


def runs_of_the_project(people: People, kwargs: dict[str, Any]) -> str:
    return "&".join(f"run={make_run(people.project).pk}" for _ in range(2)) + "&metrics=loss"


def a_layout(people: People, kwargs: dict[str, Any]) -> dict[str, Any]:
    return {"smoothing": 0.5}


def changes_own_layout(method: str) -> Route:
    """Every member arranges charts as they like."""
    expect = {"owner": 200, "editor": 200, "viewer": 200, "stranger": 404, "anonymous": 401}
    return Route("chart-layout", a_project, method, expect, data=a_layout, json=True)


def with_two_runs(people: People) -> dict[str, Any]:
    for _ in range(2):
        make_run(people.project, state="succeeded", summary={"val_loss": {"last": 1.0, "min": 1.0, "max": 2.0}})
    return {"pk": people.project.pk}


ROUTES = [
    reads("run-compare", lambda people: {"pk": people.project.pk}),
    reads("run-compare", with_two_runs, query=lambda people, kwargs: "runs=1,2"),
    reads("run-changed", lambda people: {"pk": people.project.pk}),
    reads("run-changed", with_two_runs, query=lambda people, kwargs: "a=1&b=2"),
    edits("run-bisect", with_two_runs, data=lambda people, kwargs: {"a": "1", "b": "2"}),
    edits("run-winner", with_two_runs, data=lambda people, kwargs: {"runs": "1,2", "winner": "2"}),
    reads("project-sparks", lambda people: {"pk": people.project.pk}),
    reads("run-media", of_run),
    reads("run-media", with_media),
    reads("run-media-items", of_run),
    reads("run-media-file", of_media),
    reads("run-charts", of_run),
    reads("run-results", of_run),
    reads("run-system", of_run),
    reads("run-system-charts", of_run),
    reads("run-logs", of_run),
    reads("run-series", of_run),
    Route(
        "series",
        nothing,
        "GET",
        {"owner": 200, "editor": 200, "viewer": 200, "stranger": 404, "anonymous": 302},
        query=runs_of_the_project,
    ),
    reads("chart-layout", a_project),
    changes_own_layout("PUT"),
    changes_own_layout("DELETE"),
    edits("chart-layout-shared", a_project, ok=200, method="PUT", data=a_layout, json=True),
    edits("chart-layout-shared", a_project, ok=200, method="DELETE"),
    reads("run-log-text", of_run),
    *(reads("run-metrics", lambda people, form=form: {**of_run(people), "form": form}) for form in FORMS),
    *(reads("project-metrics", lambda people, form=form: {"pk": people.project.pk, "form": form}) for form in FORMS),
]
