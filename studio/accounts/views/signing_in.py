"""Log-in by password or one-time link, log-out, and joining a team by invitation."""

from __future__ import annotations

import math
from typing import cast

from django.contrib import messages
from django.contrib.auth import authenticate, login, logout
from django.contrib.auth.decorators import login_not_required
from django.db import transaction
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.views.decorators.cache import never_cache
from django.views.decorators.debug import sensitive_post_parameters
from django.views.decorators.http import require_http_methods, require_POST

from studio.accounts import invites, links, tries
from studio.accounts.audit import record
from studio.accounts.errors import AccountsError
from studio.accounts.forms import LoginForm, SignUpForm
from studio.accounts.hints import rights_changed
from studio.accounts.models import User
from studio.core.addresses import client_address, safe_next

BACKEND = "django.contrib.auth.backends.ModelBackend"


@login_not_required
@never_cache
@sensitive_post_parameters("password")
@require_http_methods(["GET", "POST"])
def log_in(request: HttpRequest) -> HttpResponse:
    """The answer to a wrong name and to a wrong password is the same, in words and in the time it takes."""
    after = safe_next(request, request.POST.get("next") or request.GET.get("next"), "home")
    if request.user.is_authenticated:
        return redirect(after)
    form = LoginForm(request.POST or None)
    status = 200
    if request.method == "POST" and form.is_valid():
        name, address = form.cleaned_data["username"], client_address(request)
        if wait := tries.wait_for(name, address):
            return _wait(request, form, after, wait.total_seconds())
        user = authenticate(request, username=name, password=form.cleaned_data["password"])
        if user is not None:
            tries.forget(name, address)
            login(request, user)
            record(user, "login.password", user)
            return redirect(after)
        record(None, "login.refused", name=name[:150], address=address)
        form.add_error(None, "The name or the password is not right.")
        status = 400
    return render(request, "accounts/login.html", {"form": form, "next": after}, status=status)


def _wait(request: HttpRequest, form: LoginForm, after: str, seconds: float) -> HttpResponse:
    minutes = math.ceil(seconds / 60)
    form.add_error(None, f"Too many tries. Try again in {minutes} minute{'s' if minutes > 1 else ''}.")
    response = render(request, "accounts/login.html", {"form": form, "next": after}, status=429)
    response.headers["Retry-After"] = str(math.ceil(seconds))
    return response


@require_POST
def log_out(request: HttpRequest) -> HttpResponse:
    logout(request)
    rights_changed()
    return redirect("login")


@login_not_required
@never_cache
@require_http_methods(["GET", "POST"])
def log_in_by_link(request: HttpRequest, token: str) -> HttpResponse:
    """Opening the link changes nothing, so that a preview does not use it up; the page's form, which a script sends, does."""
    if request.method == "POST":
        user = links.use_login_link(token)
        if user is not None:
            login(request, user, backend=BACKEND)
            return redirect("home")
    usable = request.method == "GET" and links.is_usable(token)
    return render(request, "accounts/link.html", {"usable": usable}, status=200 if usable else 404)


@login_not_required
@never_cache
@sensitive_post_parameters("password", "again")
@require_http_methods(["GET", "POST"])
def join(request: HttpRequest, token: str) -> HttpResponse:
    """Join a team by invitation: with the account one has, or with a new one."""
    invite = invites.usable_invite(token)
    if invite is None:
        return render(request, "accounts/join.html", {"invite": None}, status=404)
    signed_in = request.user.is_authenticated
    form = None if signed_in else SignUpForm(request.POST or None)
    if request.method == "POST" and (form is None or form.is_valid()):
        user = cast(User, request.user) if form is None else _new_user(form, invite.email)
        try:
            with transaction.atomic():
                if form is not None:
                    user.save()
                    record(user, "user.create", user)
                team = invites.accept_invite(token=token, user=user)
        except AccountsError as error:
            messages.error(request, str(error))
            return redirect("home" if signed_in else "login")
        if not signed_in:
            login(request, user, backend=BACKEND)
        messages.success(request, f"You are in {team} now.")
        return redirect("home")
    return render(request, "accounts/join.html", {"invite": invite, "form": form})


def _new_user(form: SignUpForm, email: str) -> User:
    """Not saved yet: the password is hashed before the transaction, which must be short."""
    user = User(username=form.cleaned_data["username"], email=email)
    user.set_password(form.cleaned_data["password"])
    return user
