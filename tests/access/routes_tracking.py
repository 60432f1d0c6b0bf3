"""Who may see the charts and logs of a run."""

from typing import Any

from tests.access.matrix import reads
from tests.access.people import People
from tests.factories import make_media, make_run


def of_run(people: People) -> dict[str, Any]:
    return {"pk": make_run(people.project).pk}


def of_media(people: People) -> dict[str, Any]:
    made = make_media(make_run(people.project))
    return {"pk": made.run_id, "seq": made.seq}


def with_media(people: People) -> dict[str, Any]:
    return {"pk": of_media(people)["pk"]}


ROUTES = [
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
    reads("run-log-text", of_run),
    reads("run-metrics-csv", of_run),
]
