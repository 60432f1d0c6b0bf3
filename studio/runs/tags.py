"""Tags, notes and stars of runs."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence

from django.db import transaction

from studio.accounts.models import User
from studio.runs.errors import RunError
from studio.runs.models import Run, RunStar, RunTag

MOST_LETTERS, MOST_TAGS, MOST_NOTE = 40, 30, 5000
PIECE = 500


def parsed(text: str) -> list[str]:
    """Tags as people type them, with commas between; RunError when one is too long or they are too many."""
    found = list(dict.fromkeys(tag for tag in (re.sub(r"\s+", " ", part).strip() for part in text.split(",")) if tag))
    for tag in found:
        if len(tag) > MOST_LETTERS:
            raise RunError(f"The tag “{tag[:MOST_LETTERS]}…” has {len(tag)} letters, allowed are {MOST_LETTERS}.")
    if len(found) > MOST_TAGS:
        raise RunError(f"{len(found)} tags, allowed are {MOST_TAGS} for a run.")
    return found


def label(run: Run, *, tags: Sequence[str], note: str) -> None:
    """Give the run these tags and this note in place of what it had."""
    with transaction.atomic():
        RunTag.objects.filter(run=run).exclude(name__in=tags).delete()
        RunTag.objects.bulk_create([RunTag(run=run, name=tag) for tag in tags], ignore_conflicts=True)
        Run.objects.filter(pk=run.pk).update(tags=list(tags), note=note.strip()[:MOST_NOTE])


def change(pks: Sequence[int], *, add: Iterable[str] = (), remove: Iterable[str] = ()) -> int:
    """Add tags to runs and take others away; how many runs changed. Three queries for each 500 runs."""
    add, remove, count = list(add), set(remove), 0
    for at in range(0, len(pks), PIECE):
        with transaction.atomic():
            changed = []
            for run in Run.objects.select_for_update().only("pk", "tags").filter(pk__in=pks[at : at + PIECE]):
                tags = [*(tag for tag in run.tags if tag not in remove), *(tag for tag in add if tag not in run.tags)]
                if tags != run.tags and len(tags) <= MOST_TAGS:
                    run.tags = tags
                    changed.append(run)
            Run.objects.bulk_update(changed, ["tags"], batch_size=100)
            ids = [run.pk for run in changed]
            if remove:
                RunTag.objects.filter(run_id__in=ids, name__in=remove).delete()
            rows = [RunTag(run_id=pk, name=tag) for pk in ids for tag in add]
            RunTag.objects.bulk_create(rows, batch_size=PIECE, ignore_conflicts=True)
            count += len(changed)
    return count


def star(run: Run, user: User, *, on: bool) -> None:
    """Mark a run for oneself, or no longer."""
    if on:
        RunStar.objects.get_or_create(run=run, user=user)
    else:
        RunStar.objects.filter(run=run, user=user).delete()
