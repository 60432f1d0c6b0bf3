"""Forms of people, teams and projects."""

from __future__ import annotations

from typing import Any

from django import forms
from django.contrib.auth import password_validation
from django.core.exceptions import ValidationError

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
    """`teams` are those in which the person may make projects; a form without them edits a project."""

    team = forms.ModelChoiceField(label="Team", queryset=Team.objects.none(), empty_label=None)
    name = forms.CharField(label="Name", max_length=80, widget=forms.TextInput(attrs={"autofocus": True}))
    description = forms.CharField(
        label="Description", required=False, max_length=2000, widget=forms.Textarea(attrs={"rows": 3})
    )

    def __init__(self, data: Any = None, *, teams: Any = None, project: Project | None = None) -> None:
        super().__init__(data, initial={"name": project.name, "description": project.description} if project else None)
        if teams is None:
            del self.fields["team"]
        else:
            self.fields["team"].queryset = teams  # type: ignore[attr-defined]


class MemberForm(forms.Form):
    role = forms.ChoiceField(label="Role", choices=Role.choices, initial=Role.VIEWER)
    may_run_code = forms.BooleanField(label="May register code", required=False)


class NewMemberForm(forms.Form):
    username = forms.CharField(label="Name", max_length=150, help_text="The log-in name of somebody with an account.")
    role = forms.ChoiceField(label="Role", choices=Role.choices, initial=Role.VIEWER)

    def clean_username(self) -> User:
        user = User.objects.filter(username=self.cleaned_data["username"], is_active=True).first()
        if user is None:
            raise ValidationError("Nobody here has this name. Send an invitation instead.")
        return user


class InviteForm(forms.Form):
    role = forms.ChoiceField(
        label="Role",
        choices=Role.choices,
        initial=Role.VIEWER,
        widget=forms.Select(attrs={"id": "id_invite_role"}),  # a page shows it beside the role of a new member
    )
