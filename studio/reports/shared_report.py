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
        else:
            part["data"] = _data(part["data"], machines, people)
    return {
        "kind": "report",
        "heading": redact.text(version.title, machines),
        "saved": f"{version.created_at:%Y-%m-%d}",
        "parts": parts,
        "author": "",
        "pending": False,
    }


def _data(data: dict[str, Any], machines: list[str], people: list[str]) -> dict[str, Any]:
    """What a panel shows. An image's bytes are no words; what was chosen may be a secret, as its name tells."""
    shown: dict[str, Any] = redact.tree({k: v for k, v in data.items() if k not in ("source", "choices")}, machines)
    if "source" in data:
        shown["source"] = data["source"]
    if "choices" in data:
        hidden = [*machines, *people]
        shown["choices"] = [
            [redact.text(name, machines), [redact.option(name, value, hidden) for value in values]]
            for name, values in data["choices"]
        ]
    return shown
