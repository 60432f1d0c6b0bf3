"""The form of a waiting run: when and where it starts."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from django import forms

from studio.accounts.models import Team
from studio.core.option_fields import UNSET, option_field
from studio.runs.models import Run
from studio.runs.pools import MOST_LIMIT
from studio.runs.queue_options import QUEUE_OPTIONS, values_of

WHEN_EMPTY = {"start_after": "at once", "labels": "none", "max_runtime": "no limit"}
CHANGEABLE = ("priority", "pool", "start_after", "gpus", "labels", "max_runtime")


class QueueForm(forms.Form):
    """One field for each option that a waiting run can still change; an empty one is the default."""

    def __init__(self, data: Mapping[str, Any] | None = None, *, run: Run) -> None:
        super().__init__(data)
        values = values_of(run)
        if not run.fence and run.not_before > run.created_at:
            values["start_after"] = f"{run.not_before:%Y-%m-%d %H:%M}"
        self._was = {name: values.get(name) for name in CHANGEABLE}
        for name in CHANGEABLE:
            chosen = UNSET if self._was[name] is None else self._was[name]
            field = self.fields[name] = option_field(QUEUE_OPTIONS[name], initial=chosen)
            if name in WHEN_EMPTY:
                field.widget.attrs["placeholder"] = WHEN_EMPTY[name]

    def changed(self) -> dict[str, Any]:
        """What differs from before, None for what was emptied; from a valid form."""
        now = {name: None if value is UNSET else value for name, value in self.cleaned_data.items()}
        return {name: value for name, value in now.items() if value != self._was[name]}

    def refuse(self, errors: Mapping[str, str]) -> None:
        for name, text in errors.items():
            self.add_error(name if name in self.fields else None, text)


class LimitForm(forms.Form):
    """How much one team may have at work at a time; empty for no limit."""

    max_runs = forms.IntegerField(label="Runs", required=False, min_value=0, max_value=MOST_LIMIT)
    max_gpus = forms.IntegerField(label="GPUs", required=False, min_value=0, max_value=MOST_LIMIT)

    def __init__(self, data: Mapping[str, Any] | None = None, *, team: Team) -> None:
        limit = getattr(team, "limit", None)
        initial = {"max_runs": limit.max_runs, "max_gpus": limit.max_gpus} if limit else {}
        super().__init__(data, initial=initial, auto_id=f"id_{team.pk}_%s")
        for name, field in self.fields.items():
            field.widget.attrs |= {"placeholder": "no limit", "aria-label": f"{field.label} of {team}: {name}"}
