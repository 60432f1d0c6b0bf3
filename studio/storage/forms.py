"""The form of a rule of retention."""

from __future__ import annotations

from typing import Any

from django import forms

from studio.storage.models import RetentionRule

MOST_DAYS, MOST_MB = 3650, 100_000


class RuleForm(forms.Form):
    """Without a number the rule says: keep for ever, whatever the team's default is."""

    kind = forms.ChoiceField(label="What", choices=RetentionRule.Kind.choices)
    after_days = forms.IntegerField(
        label="Goes after so many days", min_value=1, max_value=MOST_DAYS, required=False,
        help_text="From the end of a run; of the trash, from when something was moved there. Empty: not by age.",
    )  # fmt: skip
    above_mb = forms.IntegerField(
        label="Beyond so many MB a run", min_value=1, max_value=MOST_MB, required=False,
        help_text="For logs, as they are stored: the oldest lines go first. Empty: not by size.",
    )  # fmt: skip

    def clean(self) -> dict[str, Any]:
        given: dict[str, Any] = self.cleaned_data
        if given.get("above_mb") is not None and given.get("kind") not in (None, RetentionRule.Kind.LOGS):
            self.add_error("above_mb", f"Got {given['above_mb']} MB for {given['kind']}; a size is for logs alone.")
        return given
