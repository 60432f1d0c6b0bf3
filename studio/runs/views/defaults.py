"""What a team's runs begin with and may be: presets, and the rules of its administrators."""

from __future__ import annotations

from typing import Any, cast

from django import forms
from django.contrib import messages
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.views.decorators.http import require_GET, require_POST

from studio.accounts.access import can, get_for
from studio.accounts.models import Project, Role, Team, User
from studio.runs import presets, rules
from studio.runs.errors import RunError
from studio.runs.models import FieldRule, Preset
from trainer_core.options import RUN_EXTRAS, TRAINER_OPTIONS


class RuleForm(forms.Form):
    """One rule: which field, and its value or its bounds."""

    field = forms.CharField(
        label="Field",
        max_length=120,
        help_text="Such as trainer.max_epochs, extras.nonfinite or model.lr.",
        widget=forms.TextInput(attrs={"list": "rule-fields", "autocomplete": "off"}),
    )
    locked = forms.CharField(
        label="Fixed value", max_length=200, required=False, help_text="Nobody can choose another."
    )
    least = forms.FloatField(label="At least", required=False)
    most = forms.FloatField(label="At most", required=False)
    why = forms.CharField(label="Why", max_length=200, required=False, help_text="Shown beside the field.")


@require_GET
def run_defaults(request: HttpRequest, pk: int) -> HttpResponse:
    """Presets and rules of a team, for its members."""
    team = get_for(request.user, Team.objects.all(), pk)
    return render(request, "runs/defaults.html", _context(request, team, RuleForm()))


@require_POST
def rule_set(request: HttpRequest, pk: int) -> HttpResponse:
    team = get_for(request.user, Team.objects.all(), pk, Role.ADMIN)
    form = RuleForm(request.POST)
    if form.is_valid():
        try:
            rules.set_rule(team=team, **form.cleaned_data)
            return redirect("run-defaults", team.pk)
        except RunError as error:
            form.add_error(None, str(error))
    return render(request, "runs/defaults.html", _context(request, team, form), status=422)


@require_POST
def rule_remove(request: HttpRequest, pk: int) -> HttpResponse:
    rule = get_for(request.user, FieldRule.objects.select_related("team"), pk, Role.ADMIN)
    rule.delete()
    return redirect("run-defaults", rule.team_id)


@require_POST
def preset_save(request: HttpRequest, project_pk: int) -> HttpResponse:
    """Keep what is filled in of the form under a name, for the team."""
    project = get_for(request.user, Project.objects.select_related("team"), project_pk, Role.EDITOR)
    wants_default = "preset_default" in request.POST and can(request.user, project, Role.ADMIN)
    try:
        made = presets.save(
            team=project.team,
            user=cast(User, request.user),
            name=request.POST.get("preset_name", ""),
            values=request.POST.dict(),
            is_default=wants_default,
        )
    except RunError as error:
        messages.warning(request, str(error))
        return redirect("run-create", project.pk)
    messages.success(request, f"The preset {made} has {len(made.values)} values. Choose it in the form of a new run.")
    return redirect("run-defaults", project.team_id)


@require_POST
def preset_default(request: HttpRequest, pk: int) -> HttpResponse:
    """New runs begin with it, or with `off` no longer."""
    preset = get_for(request.user, Preset.objects.select_related("team"), pk, Role.ADMIN)
    presets.make_default(preset, "off" not in request.POST)
    return redirect("run-defaults", preset.team_id)


@require_POST
def preset_delete(request: HttpRequest, pk: int) -> HttpResponse:
    preset = get_for(request.user, Preset.objects.select_related("team"), pk, Role.EDITOR)
    preset.delete()
    return redirect("run-defaults", preset.team_id)


def _context(request: HttpRequest, team: Team, form: RuleForm) -> dict[str, Any]:
    fields = [f"trainer.{n}" for n, o in TRAINER_OPTIONS.items() if o.level != "hidden"]
    fields += [f"extras.{n}" for n in RUN_EXTRAS]
    return {
        "team": team,
        "form": form,
        "fields": fields,
        "presets": team.presets.select_related("created_by")[: presets.MOST_PRESETS],
        "rules": team.field_rules.all()[: rules.MOST_RULES],
        "is_admin": can(request.user, team, Role.ADMIN),
        "is_editor": can(request.user, team, Role.EDITOR),
    }
