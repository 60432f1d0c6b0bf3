"""A report as one HTML file that opens anywhere without a network: no script, its pictures and its style inside."""

from __future__ import annotations

import base64
import hashlib
from functools import cache
from pathlib import Path

from django.conf import settings
from django.template.loader import render_to_string

from studio.accounts.models import Project
from studio.reports.models import ReportVersion
from studio.reports.shared_report import view_of_report

STYLE_PLACE = "<!-- style -->"  # no text of people can hold it: theirs is escaped


def html_of(project: Project, version: ReportVersion) -> str:
    """The file; the same words are left out as on a shared page."""
    style, digest = _style()
    context = {"view": view_of_report(project, version), "style_digest": digest, "exported": True}
    page = render_to_string("reports/export.html", context)
    return page.replace(STYLE_PLACE, f"<style>{style}</style>", 1)


@cache
def _style() -> tuple[str, str]:
    """The style sheet, and its digest as a content policy names it."""
    folder = Path(settings.BASE_DIR) / "static" / "css"
    sheets = ("report_file.css", "shared.css", "discussion.css", "report.css", "paper.css")
    text = "\n".join((folder / name).read_text(encoding="utf-8") for name in sheets)
    return text, base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()
