"""Forms of comments, reviews, reports and links."""

from __future__ import annotations

from typing import Any

from django import forms

from studio.accounts.models import User
from studio.reports.blocks import LONGEST_BODY
from studio.reports.comments import LONGEST
from studio.reports.embedding import origins_of
from studio.reports.errors import ShareError
from studio.reports.models import Comment, ShareLink
from studio.reports.sharing import DAYS, MOST_DAYS

LARGEST_STEP = 2**63 - 1


def words(label: str, *, rows: int = 3, required: bool = True, **options: Any) -> forms.CharField:
    widget = forms.Textarea(attrs={"rows": rows})
    return forms.CharField(label=label, max_length=LONGEST, required=required, widget=widget, **options)


class CommentForm(forms.Form):
    """A comment on a run, or an answer; `comments` are those that may be answered."""

    text = words("Comment", help_text="Markdown. @name tells somebody of the team.")
    parent = forms.ModelChoiceField(queryset=Comment.objects.none(), required=False, widget=forms.HiddenInput())
    metric = forms.CharField(max_length=1000, required=False, strip=False, widget=forms.HiddenInput())
    step = forms.IntegerField(
        required=False, min_value=-LARGEST_STEP, max_value=LARGEST_STEP, widget=forms.HiddenInput()
    )
    checkpoint_step = forms.IntegerField(
        required=False, min_value=0, max_value=LARGEST_STEP, widget=forms.HiddenInput()
    )

    def __init__(self, data: Any = None, *, comments: Any = None, initial: Any = None) -> None:
        super().__init__(data, initial=initial)
        if comments is not None:
            self.fields["parent"].queryset = comments  # type: ignore[attr-defined]

    def clean(self) -> dict[str, Any]:
        given = self.cleaned_data
        if bool(given.get("metric")) != (given.get("step") is not None):
            self.add_error(None, "A point of a chart has a metric and a step; one of the two is missing.")
        return given


class EditForm(forms.Form):
    text = words("Comment")


class AskForm(forms.Form):
    """`people` are the members of the team who may be asked."""

    reviewer = forms.ModelChoiceField(label="Who should look at it", queryset=User.objects.none(), empty_label=None)
    note = words("What to look at", rows=2, required=False)

    def __init__(self, data: Any = None, *, people: Any) -> None:
        super().__init__(data)
        self.fields["reviewer"].queryset = people  # type: ignore[attr-defined]


class AnswerForm(forms.Form):
    verdict = forms.ChoiceField(choices=[("approve", "Approve"), ("changes", "Ask for changes")])
    words = words("What you say to it", rows=2, required=False)


class ShareForm(forms.Form):
    """What a link shows and for how long; a `kind` of target has only some of the parts."""

    title = forms.CharField(
        max_length=120, required=False, help_text="Stands above the page instead of the name that it has here."
    )
    days = forms.IntegerField(
        label="Open for, in days", min_value=1, max_value=MOST_DAYS, initial=DAYS, help_text=f"1 to {MOST_DAYS}."
    )
    password = forms.CharField(
        min_length=8,
        max_length=128,
        required=False,
        strip=False,
        widget=forms.PasswordInput(attrs={"autocomplete": "new-password"}),
        help_text="At least 8 characters. Who opens the link must know it; leave it empty for none.",
    )
    freeze = forms.ChoiceField(
        label="What it shows",
        choices=[
            ("live", "What there is when somebody looks, live while a run goes on"),
            ("frozen", "What there is now"),
        ],
        widget=forms.RadioSelect,
        initial="live",
    )
    show_config = forms.BooleanField(
        label="The choices that were made: model, data and training options", required=False
    )
    show_logs = forms.BooleanField(label="The end of the log", required=False)
    show_files = forms.BooleanField(
        label="Checkpoints, to download",
        required=False,
        help_text="They hold the choices and the code of the run as well, so that they can be used.",
    )
    show_author = forms.BooleanField(label="Your name", required=False)
    embed_on = forms.CharField(
        label="Sites that may show it in a frame",
        max_length=2000,
        required=False,
        widget=forms.Textarea(attrs={"rows": 2, "placeholder": "https://wiki.example", "spellcheck": "false"}),
        help_text="One a line, as https://wiki.example; no other site can. Leave it empty for none.",
    )

    LEFT_OUT = {
        "comparison": ("show_logs", "show_files"),
        "checkpoint": ("show_logs", "show_files", "freeze"),
        "report": ("show_config", "show_logs", "show_files"),
    }

    def __init__(self, kind: str, data: Any = None) -> None:
        super().__init__(data)
        for name in self.LEFT_OUT.get(ShareLink.Kind(kind), ()):
            del self.fields[name]

    def clean_embed_on(self) -> list[str]:
        try:
            return origins_of(self.cleaned_data["embed_on"].split())
        except ShareError as error:
            raise forms.ValidationError(str(error)) from error

    def parts(self) -> list[str]:
        return [name for name, value in self.cleaned_data.items() if name.startswith("show_") and value]


class PasswordForm(forms.Form):
    password = forms.CharField(
        max_length=128, strip=False, widget=forms.PasswordInput(attrs={"autocomplete": "current-password"})
    )


class ReportForm(forms.Form):
    """`base` is the version that was changed; 0 for a new report."""

    title = forms.CharField(max_length=120)
    body = forms.CharField(
        label="Text",
        max_length=LONGEST_BODY,
        required=False,
        strip=False,
        widget=forms.Textarea(attrs={"rows": 24, "spellcheck": "true", "class": "report-text"}),
        help_text="Markdown, with fenced blocks for charts, tables, runs, images and checkpoints.",
    )
    base = forms.IntegerField(min_value=0, max_value=10**9, initial=0, widget=forms.HiddenInput())


class BlockCommentForm(forms.Form):
    """A comment on a report: on one of its parts, on all of it, or an answer."""

    text = words("Comment")
    block = forms.RegexField(r"^[0-9a-f]{12}(-\d{1,4})?$", required=False, widget=forms.HiddenInput())
    parent = forms.ModelChoiceField(queryset=Comment.objects.none(), required=False, widget=forms.HiddenInput())

    def __init__(self, data: Any = None, *, comments: Any = None) -> None:
        super().__init__(data)
        if comments is not None:
            self.fields["parent"].queryset = comments  # type: ignore[attr-defined]
