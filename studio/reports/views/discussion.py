"""The discussion of a run: comments, and the reviews that were asked for."""

from __future__ import annotations

from typing import Any, cast

from django.contrib import messages
from django.core.exceptions import PermissionDenied
from django.core.paginator import Paginator
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.views.decorators.http import require_GET, require_POST

from studio.accounts.access import can, get_for, readers_of, require
from studio.accounts.models import Role, User
from studio.reports import comments, reviews
from studio.reports.errors import ReviewError
from studio.reports.forms import AnswerForm, AskForm, CommentForm, EditForm
from studio.reports.models import Comment, ReviewRequest
from studio.runs.models import Run
from studio.runs.views.runs import page_of, read

PAGE_SIZE = 50
MOST_REVIEWS, MOST_ANSWERS = 50, 1000
OF_RUN = ("run__project", "report__project", "author", "resolved_by")


@require_GET
def run_discussion(request: HttpRequest, pk: int) -> HttpResponse:
    """`?metric=` and `?step=`, or `?checkpoint=`, begin a comment about a point or a checkpoint."""
    found = read(request, pk)
    asked = {"metric": request.GET.get("metric", "")[:1000], "step": request.GET.get("step")}
    about = asked if asked["metric"] and asked["step"] else {}
    if request.GET.get("checkpoint"):
        about = {"checkpoint_step": request.GET["checkpoint"]}
    return _page(request, found, form=CommentForm(initial=about))


@require_POST
def comment_create(request: HttpRequest, pk: int) -> HttpResponse:
    found = read(request, pk)
    form = CommentForm(request.POST, comments=Comment.objects.filter(run=found, deleted_at=None))
    if not form.is_valid():
        return _page(request, found, form=form, status=400)
    try:
        made = comments.comment(run=found, author=cast(User, request.user), **form.cleaned_data)
    except ReviewError as error:
        form.add_error("text", str(error))
        return _page(request, found, form=form, status=400)
    return redirect(comments.address(made))


@require_POST
def comment_edit(request: HttpRequest, pk: int) -> HttpResponse:
    found = _own(request, pk)
    form = EditForm(request.POST)
    if form.is_valid():
        comments.edit(comment=found, text=form.cleaned_data["text"])
    else:
        messages.error(request, "Nothing was changed: a comment needs words. Delete it instead.")
    return redirect(comments.address(found))


@require_POST
def comment_delete(request: HttpRequest, pk: int) -> HttpResponse:
    """By who wrote it, and by administrators."""
    found = _own(request, pk, Role.ADMIN)
    comments.delete(comment=found)
    messages.success(request, "The comment is deleted.")
    return redirect(comments.page_of(found))


@require_POST
def comment_resolve(request: HttpRequest, pk: int) -> HttpResponse:
    found = get_for(request.user, Comment.objects.select_related(*OF_RUN), pk, Role.EDITOR)
    comments.resolve(comment=found, by=cast(User, request.user), resolved="again" not in request.POST)
    return redirect(comments.address(found))


@require_POST
def review_ask(request: HttpRequest, pk: int) -> HttpResponse:
    found = read(request, pk, Role.EDITOR)
    form = AskForm(request.POST, people=_people(found, request))
    if form.is_valid():
        given = form.cleaned_data
        try:
            reviews.ask(run=found, by=cast(User, request.user), reviewer=given["reviewer"], note=given["note"])
            messages.success(request, f"{given['reviewer']} is asked to look at the run.")
            return redirect(reviews.address(found))
        except ReviewError as error:
            form.add_error("reviewer", str(error))
    return _page(request, found, ask=form, status=400)


@require_POST
def review_answer(request: HttpRequest, pk: int) -> HttpResponse:
    found = get_for(request.user, ReviewRequest.objects.select_related("run__project", "reviewer"), pk)
    form = AnswerForm(request.POST)
    try:
        if not form.is_valid():
            raise ReviewError("Choose to approve or to ask for changes.")
        approve, text = form.cleaned_data["verdict"] == "approve", form.cleaned_data["words"]
        reviews.answer(review=found, by=cast(User, request.user), approve=approve, words=text)
    except ReviewError as error:
        messages.error(request, str(error))
    return redirect(reviews.address(found.run))


@require_POST
def review_withdraw(request: HttpRequest, pk: int) -> HttpResponse:
    found = get_for(request.user, ReviewRequest.objects.select_related("run__project"), pk, Role.EDITOR)
    try:
        reviews.withdraw(review=found)
    except ReviewError as error:
        messages.error(request, str(error))
    return redirect(reviews.address(found.run))


def _own(request: HttpRequest, pk: int, others: Role | None = None) -> Comment:
    """A comment that the user wrote; with `others`, also one of somebody else for who has that role."""
    found: Comment = get_for(request.user, Comment.objects.select_related(*OF_RUN), pk)
    if found.author_id != cast(User, request.user).pk:
        if others is None:
            raise PermissionDenied
        require(request.user, found, others)
    return found


def _people(found: Run, request: HttpRequest) -> Any:
    return readers_of(found.project).exclude(pk=cast(User, request.user).pk).order_by("username")


def _page(
    request: HttpRequest, found: Run, *, form: CommentForm | None = None, ask: AskForm | None = None, status: int = 200
) -> HttpResponse:
    """About twelve queries, however many comments there are."""
    roots = Comment.objects.filter(run=found, parent=None).select_related("author", "resolved_by")
    page = Paginator(roots.order_by("-created_at", "-pk"), PAGE_SIZE).get_page(request.GET.get("page"))
    shown = list(page)[::-1]
    answers = Comment.objects.filter(parent__in=shown).select_related("author")[:MOST_ANSWERS]
    names = readers_of(found.project).values_list("username", flat=True)
    context = {
        **page_of(found, "discussion"),
        "page": page,
        "threads": comments.threads([*shown, *answers]),
        "names": list(names[:500]),
        "form": form or CommentForm(),
        "ask": ask or AskForm(people=_people(found, request)),
        "reviews": found.reviews.select_related("asked_by", "reviewer")[:MOST_REVIEWS],
        "may_edit": can(request.user, found, Role.EDITOR),
        "may_administer": can(request.user, found, Role.ADMIN),
    }
    return render(request, "reports/discussion.html", context, status=status)
