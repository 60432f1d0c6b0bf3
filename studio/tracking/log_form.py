"""What can be asked of the output of a run."""

from __future__ import annotations

from django import forms

from studio.tracking.log_search import LEVELS, Query

LARGEST = 2**62


class LogSearch(forms.Form):
    """`q`, `level` and `rank` choose lines; `before` goes on where a search stopped; `at` shows the log around a place."""

    q = forms.CharField(required=False, max_length=200, strip=False)
    level = forms.ChoiceField(required=False, choices=[("", "Any level"), *((name, name) for name in LEVELS)])
    rank = forms.IntegerField(required=False, min_value=0, max_value=100_000)
    before = forms.IntegerField(required=False, min_value=0, max_value=LARGEST)
    at = forms.IntegerField(required=False, min_value=0, max_value=LARGEST)

    def query(self) -> Query:
        data = self.cleaned_data
        return Query(data["q"], data["level"], data["rank"])
