"""What people without an account see of a report, and what its exported file holds."""

from __future__ import annotations

from typing import Any

from studio.accounts.models import Project
from studio.reports import redact
from studio.reports.known_names import names_of
from studio.reports.models import ReportVersion
from studio.reports.writing import shown


def view_of_report(project: Project, version: ReportVersion) -> dict[str, Any]:
    """JSON without paths, addresses, secrets and names of machines; people who are spoken to lose their names."""
    seen: set[int] = set()
    parts = shown(project, version, seen)
    machines, people = names_of(project, sorted(seen))
    spoken_to = [f"@{name}" for name in people]
    for part in parts:
        if "text" in part:
            part["text"] = redact.text(part["text"], [*machines, *spoken_to])
        elif source := part["data"].pop("source", None):  # an image's bytes are no words
            part["data"] = redact.tree(part["data"], machines) | {"source": source}
        else:
            part["data"] = redact.tree(part["data"], machines)
    return {
        "kind": "report",
        "heading": redact.text(version.title, machines),
        "saved": f"{version.created_at:%Y-%m-%d}",
        "parts": parts,
        "author": "",
        "pending": False,
    }
