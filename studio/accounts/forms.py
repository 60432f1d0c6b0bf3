"""Forms of people, teams and projects."""

from __future__ import annotations

from typing import Any

from django import forms
from django.conf import settings
from django.contrib.auth import password_validation
from django.core.exceptions import ValidationError
from django.db.models import Q

from studio.accounts.models import ApiToken, Project, Role, Team, User

LONGEST_PASSWORD = 128


class PasswordInput(forms.CharField):
    def __init__(self, *, label: str, autocomplete: str, help_text: str = "") -> None:
        widget = forms.PasswordInput(attrs={"autocomplete": autocomplete})
        super().__init__(label=label, widget=widget, help_text=help_text, strip=False, max_length=LONGEST_PASSWORD)


class LoginForm(forms.Form):
    username = forms.CharField(
        label="Name", max_length=150, widget=forms.TextInput(attrs={"autocomplete": "username", "autofocus": True})
    )
    password = PasswordInput(label="Password", autocomplete="current-password")


class ProfileForm(forms.ModelForm):  # type: ignore[type-arg]
    class Meta:
        model = User
        fields = ["first_name", "email", "theme", "single_keys"]
        labels = {"first_name": "Shown name", "email": "E-mail", "theme": "Theme", "single_keys": "Single keys"}
        help_texts = {
            "first_name": "What your team sees instead of your log-in name.",
            "single_keys": "Keys such as J, / or ? do something on pages. Switch off where they get in the way, as with speech control; Ctrl-K stays.",
        }


class ThemeForm(forms.Form):
    theme = forms.ChoiceField(choices=User.Theme.choices)


class NewPasswordForm(forms.Form):
    """For an account with a password the old one is asked for; the caller checks it, since that must be counted."""

    current = PasswordInput(label="Password until now", autocomplete="current-password")
    password = PasswordInput(label="New password", autocomplete="new-password", help_text="At least 12 characters.")
    again = PasswordInput(label="New password again", autocomplete="new-password")

    def __init__(self, data: Any = None, *, user: User) -> None:
        super().__init__(data)
        self.user = user
        if not user.has_usable_password():
            del self.fields["current"]

    def clean(self) -> dict[str, Any]:
        return _checked_password(self, self.user)


class SignUpForm(forms.Form):
    """An account for somebody with an invitation."""

    username = forms.CharField(
        label="Name", max_length=150, widget=forms.TextInput(attrs={"autocomplete": "username", "autofocus": True})
    )
    password = PasswordInput(label="Password", autocomplete="new-password", help_text="At least 12 characters.")
    again = PasswordInput(label="Password again", autocomplete="new-password")

    def clean_username(self) -> str:
        username = User.normalize_username(self.cleaned_data["username"])
        User.username_validator(username)
        if User.objects.filter(username__iexact=username).exists():
            raise ValidationError("Somebody has this name. Choose another one.")
        return username

    def clean(self) -> dict[str, Any]:
        return _checked_password(self, User(username=self.cleaned_data.get("username", "")))


def _checked_password(form: forms.Form, user: User) -> dict[str, Any]:
    given = form.cleaned_data
    if "password" in given and "again" in given and given["password"] != given["again"]:
        form.add_error("again", "The two passwords differ.")
    elif "password" in given:
        try:
            password_validation.validate_password(given["password"], user)
        except ValidationError as error:
            form.add_error("password", error)
    return given


class TokenForm(forms.Form):
    name = forms.CharField(label="Name", max_length=80, help_text="Where it will be used, such as a notebook.")
    scope = forms.ChoiceField(
        label="Access",
        choices=[(ApiToken.Scope.WRITE, "read and change"), (ApiToken.Scope.READ, "read only")],
    )
    days = forms.TypedChoiceField(
        label="Expires after",
        choices=[("30", "30 days"), ("90", "90 days"), ("365", "a year"), ("", "never")],
        coerce=int,
        empty_value=None,
        required=False,
        initial="90",
    )


class TeamForm(forms.Form):
    name = forms.CharField(label="Name", max_length=80)


class ProjectForm(forms.Form):
    """`teams` are those in which the person may make projects; a form without them edits a project.

    `people` are those whom a private project can name: administrators see all projects anyway.
    """

    team = forms.ModelChoiceField(label="Team", queryset=Team.objects.none(), empty_label=None)
    name = forms.CharField(label="Name", max_length=80, widget=forms.TextInput(attrs={"autofocus": True}))
    description = forms.CharField(
        label="Description", required=False, max_length=2000, widget=forms.Textarea(attrs={"rows": 3})
    )
    visibility = forms.ChoiceField(
        label="Who sees it",
        choices=[
            ("team", "Everybody in the team"),
            ("named", "Only people that it names, and administrators of the team"),
        ],
        widget=forms.RadioSelect,
        initial="team",
    )
    people = forms.ModelMultipleChoiceField(
        label="People it names",
        queryset=User.objects.none(),
        required=False,
        widget=forms.CheckboxSelectMultiple(),
        help_text="They do there what their role in the team allows. Others find nothing of it, anywhere.",
    )

    def __init__(self, data: Any = None, *, teams: Any = None, project: Project | None = None) -> None:
        super().__init__(data)
        if teams is not None:
            self.fields["team"].queryset = teams  # type: ignore[attr-defined]
        if project is None:
            del self.fields["people"]
            return
        del self.fields["team"]
        others = Q(memberships__team=project.team_id) & ~Q(memberships__role=Role.ADMIN)
        rows = User.objects.filter(others, is_active=True).order_by("username")
        self.fields["people"].queryset = rows  # type: ignore[attr-defined]
        self.initial = {
            "name": project.name,
            "description": project.description,
            "visibility": "named" if project.is_private else "team",
            "people": project.named.values_list("user_id", flat=True),
        }

    def is_private(self) -> bool:
        return bool(self.cleaned_data["visibility"] == "named")


class MemberForm(forms.Form):
    role = forms.ChoiceField(label="Role", choices=Role.choices, initial=Role.VIEWER)
    may_run_code = forms.BooleanField(label="May register code", required=False)


class NewMemberForm(forms.Form):
    """Finds those with whom `by` shares a team: who else has an account here is not told."""

    username = forms.CharField(
        label="Name", max_length=150, help_text="The log-in name of somebody with whom you are in another team."
    )
    role = forms.ChoiceField(label="Role", choices=Role.choices, initial=Role.VIEWER)

    def __init__(self, data: Any = None, *, by: User) -> None:
        super().__init__(data)
        self.by = by

    def clean_username(self) -> User:
        known = User.objects.filter(username=self.cleaned_data["username"], is_active=True)
        if not self.by.is_superuser:
            known = known.filter(memberships__team__in=Team.objects.visible_to(self.by))
        user = known.first()
        if user is None:
            raise ValidationError("Nobody in your teams has this name. Send an invitation instead.")
        return user


class InviteForm(forms.Form):
    """Without settings for e-mail there is no address to give: the link is shown."""

    email = forms.EmailField(
        label="E-mail", required=False, help_text="The link is sent there; leave it empty to give it yourself."
    )
    role = forms.ChoiceField(
        label="Role",
        choices=Role.choices,
        initial=Role.VIEWER,
        widget=forms.Select(attrs={"id": "id_invite_role"}),  # a page shows it beside the role of a new member
    )
    days = forms.TypedChoiceField(
        label="Works for",
        choices=[("1", "a day"), ("7", "a week"), ("30", "30 days")],
        coerce=int,
        initial="7",
    )

    def __init__(self, data: Any = None) -> None:
        super().__init__(data)
        if not settings.EMAIL_HOST:
            del self.fields["email"]
