"""One's own account: name, theme, password, API tokens."""

from __future__ import annotations

from typing import Any, cast

from django.contrib import messages
from django.contrib.auth import update_session_auth_hash
from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.views.decorators.cache import never_cache
from django.views.decorators.debug import sensitive_post_parameters
from django.views.decorators.http import require_http_methods, require_POST

from studio.accounts import tokens, tries
from studio.accounts.audit import record
from studio.accounts.forms import NewPasswordForm, ProfileForm, ThemeForm, TokenForm
from studio.accounts.hints import rights_changed
from studio.accounts.models import ApiToken, User
from studio.core.addresses import client_address, safe_next

MOST_TOKENS = 50


@never_cache
@require_http_methods(["GET", "POST"])
def account(request: HttpRequest) -> HttpResponse:
    user = cast(User, request.user)
    form = ProfileForm(request.POST or None, instance=User.objects.get(pk=user.pk))
    if request.method == "POST" and form.is_valid():
        form.save()
        messages.success(request, "Saved.")
        return redirect("account")
    return _page(request, profile=form)


@require_POST
def theme(request: HttpRequest) -> HttpResponse:
    """The switch of the page head; comes back to the page it was on."""
    form = ThemeForm(request.POST)
    if form.is_valid():
        User.objects.filter(pk=cast(User, request.user).pk).update(theme=form.cleaned_data["theme"])
    return redirect(safe_next(request, request.POST.get("next"), "account"))


@sensitive_post_parameters()
@require_POST
def password(request: HttpRequest) -> HttpResponse:
    """Every other session of the account ends; this one goes on."""
    user = cast(User, request.user)
    form = NewPasswordForm(request.POST, user=user)
    if form.is_valid() and _is_own(request, user, form):
        user.set_password(form.cleaned_data["password"])
        user.save(update_fields=["password"])
        record(user, "password.change", user)
        update_session_auth_hash(request, user)
        rights_changed()
        messages.success(request, "The password is set. Other browsers are signed out.")
        return redirect("account")
    return _page(request, status=400, password=form)


def _is_own(request: HttpRequest, user: User, form: NewPasswordForm) -> bool:
    """The old password is guessed at no faster here than at the log-in."""
    if "current" not in form.fields:
        return True
    address = client_address(request)
    if tries.wait_for(user.username, address):
        form.add_error("current", "Too many tries. Try again in 15 minutes.")
    elif user.check_password(form.cleaned_data["current"]):
        tries.forget(user.username, address)
        return True
    else:
        form.add_error("current", "This is not your password.")
    return False


@never_cache
@require_POST
def token_create(request: HttpRequest) -> HttpResponse:
    """Answers with the page itself, not with a redirect: the token is shown this once and stored nowhere."""
    user = cast(User, request.user)
    form = TokenForm(request.POST)
    if _usable_tokens(user).count() >= MOST_TOKENS:
        form.add_error(None, f"You have {MOST_TOKENS} tokens. Revoke one that you no longer need.")
    if not form.is_valid():
        return _page(request, status=400, token=form)
    row, text = tokens.create_token(user=user, **form.cleaned_data)
    return _page(request, new_token=text, new_token_name=row.name)


@require_POST
def token_revoke(request: HttpRequest, pk: int) -> HttpResponse:
    user = cast(User, request.user)
    token = ApiToken.objects.filter(user=user, pk=pk).first()
    if token is None:
        raise Http404
    tokens.revoke_token(token=token, by=user)
    messages.success(request, f"The token {token.name} no longer opens anything.")
    return redirect("account")


def _usable_tokens(user: User) -> Any:
    return ApiToken.objects.filter(user=user, revoked_at=None)


def _page(request: HttpRequest, *, status: int = 200, **forms: Any) -> HttpResponse:
    user = cast(User, request.user)
    context = {
        "profile": ProfileForm(instance=user),
        "password": NewPasswordForm(user=user),
        "token": TokenForm(),
        "tokens": _usable_tokens(user)[:MOST_TOKENS],
        "teams": user.memberships.select_related("team"),
        **forms,
    }
    return render(request, "accounts/account.html", context, status=status)
