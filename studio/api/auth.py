"""Who asks: a token of the account page, or the signed-in browser with its CSRF token. Never both, never neither."""

from __future__ import annotations

from django.conf import settings
from django.contrib.auth.models import AnonymousUser
from django.http import HttpRequest, HttpResponse
from django.middleware.csrf import CsrfViewMiddleware
from ninja.security import HttpBearer
from ninja.security.apikey import APIKeyCookie

from studio.accounts.models import ApiToken, User
from studio.accounts.tokens import token_for
from studio.api.errors import ApiError
from studio.core.addresses import client_address
from studio.core.limits import wait_s

SAFE_METHODS = ("GET", "HEAD", "OPTIONS")


class TokenAuth(HttpBearer):
    """`Authorization: Bearer studio_…`; a token for reading opens nothing that changes anything."""

    def authenticate(self, request: HttpRequest, token: str) -> ApiToken | None:
        found = token_for(token.strip())
        if found is None:
            _count(f"api-misses:{client_address(request)}", settings.API_MISSES_PER_MINUTE)
            raise ApiError(
                401, "bad_token", "The token is unknown, has ended or was revoked. Make one on your account page."
            )
        if found.scope == ApiToken.Scope.READ and request.method not in SAFE_METHODS:
            raise ApiError(403, "read_only", f"The token “{found.name}” may read only. Use one that may change things.")
        _count(f"api:{found.user_id}", settings.API_REQUESTS_PER_MINUTE)
        request.user = found.user
        return found


class BrowserAuth(APIKeyCookie):
    """The session of the pages, so that the interactive documentation works; changes need X-CSRFToken."""

    param_name = "session"

    def __call__(self, request: HttpRequest) -> User | None:
        if "Authorization" in request.headers or not isinstance(request.user, User):
            return None
        if request.method not in SAFE_METHODS and _csrf_refuses(request):
            raise ApiError(403, "csrf", "A browser has to send its CSRF token as X-CSRFToken; a program uses a token.")
        _count(f"api:{request.user.pk}", settings.API_REQUESTS_PER_MINUTE)
        return request.user

    def authenticate(self, request: HttpRequest, key: str | None) -> User | None:
        return request.user if isinstance(request.user, User) else None


def _count(what: str, limit: int) -> None:
    if seconds := wait_s(what, limit):
        raise ApiError(
            429, "too_many", f"Too many requests. Go on in {seconds} s.", headers={"Retry-After": str(seconds)}
        )


def _csrf_refuses(request: HttpRequest) -> bool:
    """The routes are exempt from the middleware, since tokens need no such check; here it is made up for."""
    check = CsrfViewMiddleware(_nothing)
    request.csrf_processing_done = False  # type: ignore[attr-defined]
    check.process_request(request)
    return check.process_view(request, _nothing, (), {}) is not None


def _nothing(request: HttpRequest) -> HttpResponse:
    return HttpResponse()


def token_of(request: HttpRequest) -> ApiToken | None:
    """The token that the request came with; None for a browser."""
    found = getattr(request, "auth", None)
    return found if isinstance(found, ApiToken) else None


def user_of(request: HttpRequest) -> User:
    """The person who asks; every route but the documentation has one."""
    if isinstance(request.user, AnonymousUser):
        raise ApiError(401, "signed_out", "Send a token: Authorization: Bearer studio_…")
    return request.user
