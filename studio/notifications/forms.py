"""Forms of webhooks, watch rules and e-mail choices."""

from __future__ import annotations

import math
from typing import Any

from django import forms

from studio.core.outbound import OutboundError, checked_url
from studio.notifications.models import Kind, WatchRule, Webhook

Condition = WatchRule.Condition
#: What the value of a condition is, None where it has none.
VALUES: dict[str, str | None] = {
    Condition.NONFINITE: None,
    Condition.ABOVE: "the value",
    Condition.BELOW: "the value",
    Condition.DIVERGES: "how many times, above 1",
    Condition.PLATEAU: "steps, above 0",
    Condition.STALLS: "seconds, above 0",
    Condition.SLOW: "steps a second, above 0",
    Condition.DROPS: "percent, above 0 and below 100",
}
WITHOUT_METRIC = (Condition.STALLS, Condition.SLOW, Condition.DROPS)


class KindsForm(forms.Form):
    """Which kinds of events."""

    kinds = forms.MultipleChoiceField(
        label="E-mail me about", choices=Kind.choices, required=False, widget=forms.CheckboxSelectMultiple()
    )


class WebhookForm(forms.Form):
    name = forms.CharField(label="Name", max_length=80)
    url = forms.CharField(
        label="Address", max_length=500, widget=forms.URLInput(attrs={"placeholder": "https://…"}),
        help_text="What happens is sent there by POST.",
    )  # fmt: skip
    style = forms.ChoiceField(label="Format", choices=Webhook.Style.choices)
    kinds = forms.MultipleChoiceField(
        label="What is sent", choices=Kind.choices, initial=[Kind.RUN, Kind.RULE], widget=forms.CheckboxSelectMultiple()
    )

    def clean_url(self) -> str:
        url: str = self.cleaned_data["url"].strip()
        try:
            checked_url(url)
        except OutboundError as error:
            raise forms.ValidationError(str(error)) from error
        return url


class RuleForm(forms.Form):
    """A watch rule; `metrics` are names to choose from, any other may be typed."""

    metric = forms.CharField(
        label="Metric", max_length=1000, required=False, strip=False, widget=forms.TextInput(attrs={"list": "known-metrics"}),
        help_text="Only “is NaN or infinite” looks at all metrics when this is empty; rules about speed need none.",
    )  # fmt: skip
    condition = forms.ChoiceField(label="Condition", choices=Condition.choices)
    value = forms.FloatField(
        label="Value", required=False,
        help_text="What the condition speaks of: the value, how many times, steps, seconds, steps a second, or percent.",
    )  # fmt: skip
    action = forms.ChoiceField(label="Then", choices=WatchRule.Action.choices)

    def clean(self) -> dict[str, Any]:
        given = self.cleaned_data
        condition, value = given.get("condition", ""), given.get("value")
        wanted = VALUES.get(condition)
        if "value" not in given or not condition:
            return given
        if wanted is None:
            given["value"] = None
        elif value is None:
            self.add_error("value", f"This condition needs a number: {wanted}.")
        elif not math.isfinite(value):
            self.add_error("value", "Give a finite number.")
        elif (
            (condition == Condition.DIVERGES and value <= 1)
            or ("above 0" in wanted and value <= 0)
            or ("below 100" in wanted and value >= 100)
        ):
            self.add_error("value", f"Got {value:g}; allowed: {wanted}.")
        if condition in WITHOUT_METRIC:
            given["metric"] = ""
        elif condition != Condition.NONFINITE and not given.get("metric"):
            self.add_error("metric", "This condition needs a metric.")
        return given
