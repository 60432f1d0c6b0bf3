"""Links to one thing of a project for people without an account: made, found, unlocked, counted, taken back."""

from __future__ import annotations

import re
from collections.abc import Sequence
from datetime import timedelta

from django.contrib.auth.hashers import check_password, make_password
from django.db import transaction
from django.db.models import F
from django.utils import timezone

from studio.accounts import tries
from studio.accounts.audit import record
from studio.accounts.models import Project, User
from studio.core.tokens import new_token, token_digest
from studio.reports import embedding
from studio.reports.errors import ShareError
from studio.reports.models import Report, ShareLink
from studio.reports.shared import view_of
from studio.runs import checkpoints
from studio.runs.models import Checkpoint, Run

DAYS, MOST_DAYS, MOST_RUNS, MOST_LINKS = 14, 365, 50, 500
PARTS = ("show_config", "show_logs", "show_files", "show_author")
TOKEN = re.compile(r"[A-Za-z0-9_-]{43}")
Target = Run | Checkpoint | Report | Sequence[Run]


def share(
    *,
    target: Target,
    by: User,
    project: Project,
    title: str = "",
    days: int = DAYS,
    password: str = "",
    frozen: bool = False,
    parts: Sequence[str] = (),
    embed_on: Sequence[str] = (),
) -> tuple[ShareLink, str]:
    """The link and its token, which is known this once. `target` is inside `project`; several runs are a comparison.

    A shared checkpoint is pinned, so that it stays while the link is given around. Sites in `embed_on` (origins) may show
    it in a frame, where a browser keeps no cookie that could remember a password. ShareError for what cannot be shared.
    """
    if not 1 <= days <= MOST_DAYS:
        raise ShareError(f"A link may open for 1 to {MOST_DAYS} days; {days} were asked for.")
    origins = embedding.origins_of(embed_on)
    if origins and password:
        raise ShareError("A link with a password cannot be embedded. Leave out the one or the other.")
    now = timezone.now()
    if ShareLink.objects.filter(project=project).open().count() >= MOST_LINKS:
        raise ShareError(f"This project has {MOST_LINKS} open links. Take back some that are no longer needed.")
    token, digest = new_token()
    link = ShareLink(project=project, title=title.strip(), digest=digest, created_by=by, created_at=now)
    link.embed_on = origins
    link.expires_at = now + timedelta(days=days)
    link.password = make_password(password) if password else ""  # slow on purpose, so before the transaction
    _aim(link, target)
    for part in parts:
        setattr(link, part, True)
    if frozen:
        link.frozen = True
        link.snapshot = view_of(link)
    with transaction.atomic():
        link.save(force_insert=True)
        if link.checkpoint is not None:
            checkpoints.pin(link.checkpoint, True)
        shown = [part.removeprefix("show_") for part in parts]
        given = {"days": days, "parts": shown, "password": bool(password), "embed_on": origins}
        record(by, "share.create", link, kind=link.kind, **given)
    return link, token


def revoke(*, link: ShareLink, by: User) -> bool:
    """From now on the link opens nothing; False when it was taken back already."""
    with transaction.atomic():
        rows = ShareLink.objects.filter(pk=link.pk, revoked_at=None)
        if not rows.update(revoked_at=timezone.now(), revoked_by=by):
            return False
        record(by, "share.revoke", link)
    return True


def find(token: str) -> ShareLink | None:
    """The link that this token opens; None when it is unknown, expired, taken back, or what it showed is in the trash.

    One query whatever the token is, so that the time tells nothing.
    """
    digest = token_digest(token) if TOKEN.fullmatch(token) else ""
    wanted = ("project", "run", "checkpoint__run", "report", "created_by")
    link = ShareLink.objects.filter(digest=digest).select_related(*wanted).first()
    if link is None or not link.is_open:
        return None
    run = link.run or (link.checkpoint.run if link.checkpoint else None)
    return None if run is not None and run.deleted_at is not None else link


def unlock(link: ShareLink, password: str, address: str) -> timedelta | bool:
    """Whether the password is right, or how long to wait before the next try: counted before anything is hashed."""
    name = f"share link {link.pk}"
    if wait := tries.wait_for(name, address):
        return wait
    if not check_password(password, link.password):
        return False
    tries.forget(name, address)
    return True


def count_view(link: ShareLink) -> None:
    ShareLink.objects.filter(pk=link.pk).update(views=F("views") + 1, last_viewed_at=timezone.now())


def _aim(link: ShareLink, target: Target) -> None:
    if isinstance(target, Run):
        link.kind, link.run = ShareLink.Kind.RUN, target
    elif isinstance(target, Report):
        link.kind, link.report = ShareLink.Kind.REPORT, target
    elif isinstance(target, Checkpoint):
        if target.deleted_at is not None or not checkpoints.is_there(target):
            raise ShareError("The files of this checkpoint are gone. Share another one.")
        link.kind, link.checkpoint = ShareLink.Kind.CHECKPOINT, target
    else:
        if not 2 <= len(target) <= MOST_RUNS:
            raise ShareError(f"A comparison has 2 to {MOST_RUNS} runs; {len(target)} were chosen.")
        link.kind, link.run_ids = ShareLink.Kind.COMPARISON, [run.pk for run in target]
