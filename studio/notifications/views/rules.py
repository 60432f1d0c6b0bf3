"""The watch rules of a project."""

from __future__ import annotations

from typing import cast

from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.views.decorators.http import require_GET, require_POST

from studio.accounts.access import can, get_for
from studio.accounts.audit import record
from studio.accounts.models import Project, Role, User
from studio.notifications.forms import RuleForm
from studio.notifications.models import RuleHit, WatchRule
from studio.runs.directions import direction
from studio.runs.models import Run

Condition = WatchRule.Condition
MOST_RULES, SHOWN_HITS, LOOKED_AT = 50, 50, 5


@require_GET
def project_rules(request: HttpRequest, pk: int) -> HttpResponse:
    return _page(request, get_for(request.user, Project.objects.select_related("team"), pk), RuleForm())


@require_POST
def rule_create(request: HttpRequest, pk: int) -> HttpResponse:
    found = get_for(request.user, Project.objects.select_related("team"), pk, Role.EDITOR)
    form, user = RuleForm(request.POST), cast(User, request.user)
    if form.is_valid() and WatchRule.objects.filter(project=found).count() >= MOST_RULES:
        form.add_error(None, f"A project may have {MOST_RULES} rules. Delete one first.")
    if not form.is_valid():
        return _page(request, found, form, status=400)
    made = WatchRule.objects.create(project=found, created_by=user, **form.cleaned_data)
    record(user, "rule.create", made, rule=made.words[:200], then=made.action)
    return redirect("project-rules", found.pk)


@require_POST
def rule_delete(request: HttpRequest, pk: int) -> HttpResponse:
    found: WatchRule = get_for(request.user, WatchRule.objects.select_related("project"), pk, Role.EDITOR)
    record(cast(User, request.user), "rule.delete", found, rule=found.words[:200])
    found.delete()
    return redirect("project-rules", found.project_id)


def _page(request: HttpRequest, found: Project, form: RuleForm, status: int = 200) -> HttpResponse:
    newest = Run.objects.filter(project=found).order_by("-number").values_list("summary", flat=True)[:LOOKED_AT]
    metrics = sorted({name for summary in newest for name in list(summary)[:500]})
    rules = list(WatchRule.objects.filter(project=found).select_related("created_by")[:MOST_RULES])
    hits = RuleHit.objects.filter(rule__project=found).select_related("rule", "run")[:SHOWN_HITS]
    context = {
        "project": found,
        "form": form,
        "metrics": metrics[:500],
        "common": _common(metrics, rules),
        "rules": rules,
        "hits": hits,
        "may_edit": can(request.user, found, Role.EDITOR),
    }
    return render(request, "notifications/rules.html", context, status=status)


def _common(metrics: list[str], rules: list[WatchRule]) -> list[WatchRule]:
    """Rules that most projects want and this one has not: each is added by one click. They are not saved here."""
    falling = [name for name in metrics if direction(name) == "down"]
    loss = next((name for name in ("val_loss", "loss") if name in falling), falling[0] if falling else "val_loss")
    wanted = [
        WatchRule(condition=Condition.NONFINITE),
        WatchRule(condition=Condition.DIVERGES, metric=loss, value=3.0),
        WatchRule(condition=Condition.STALLS, value=300.0),
        WatchRule(condition=Condition.DROPS, value=50.0),
    ]
    known = {rule.words for rule in rules}
    return [rule for rule in wanted if rule.words not in known]
