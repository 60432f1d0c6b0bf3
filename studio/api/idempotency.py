"""`Idempotency-Key`: a create that is sent again, as its answer was lost, happens once and is answered alike."""

from __future__ import annotations

import functools
import hashlib
import inspect
from collections.abc import Callable
from datetime import timedelta
from typing import Any

from django.db import IntegrityError, transaction
from django.http import HttpRequest
from django.utils import timezone
from ninja import Status

from studio.accounts.models import RequestKey, User
from studio.api.auth import user_of
from studio.api.errors import ApiError

KEPT = timedelta(hours=24)
STUCK = timedelta(minutes=2)
MOST_CHARS = 64


def key_of(request: HttpRequest) -> str | None:
    key = request.headers.get("Idempotency-Key", "")
    if len(key) > MOST_CHARS or not key.isascii():
        text = f"has at most {MOST_CHARS} plain characters"
        raise ApiError(422, "invalid", f"Idempotency-Key {text}.", {"Idempotency-Key": text})
    return key or None


def once(read: Callable[[User, str], Any]) -> Callable[[Callable[..., Any]], Callable[..., Any]]:
    """Wraps a create route that returns an object; `read(user, pk)` gives that object again.

    The key is taken before anything is made. A request that is refused gives it back, so that it may be corrected.
    """

    def wrap(create: Callable[..., Any]) -> Callable[..., Any]:
        @functools.wraps(create)
        def wrapped(request: HttpRequest, *args: Any, **kwargs: Any) -> Any:
            key = key_of(request)
            if key is None:
                return create(request, *args, **kwargs)
            row, is_new = _take(user_of(request), key, _fingerprint(request))
            if not is_new:
                return Status(200, read(user_of(request), row.object_id))
            try:
                made = create(request, *args, **kwargs)
            except BaseException:
                row.delete()
                raise
            RequestKey.objects.filter(pk=row.pk).update(object_id=str(made.value.pk))
            return made

        # The annotations as types: as text they would be looked up in this module.
        wrapped.__signature__ = inspect.signature(create, eval_str=True)  # type: ignore[attr-defined]
        return wrapped

    return wrap


def _take(user: User, key: str, fingerprint: str) -> tuple[RequestKey, bool]:
    """The row of the key, and whether it is ours to work on."""
    now = timezone.now()
    RequestKey.objects.filter(user=user, created_at__lt=now - KEPT).delete()
    RequestKey.objects.filter(user=user, key=key, object_id="", created_at__lt=now - STUCK).delete()
    try:
        with transaction.atomic():
            return RequestKey.objects.create(user=user, key=key, fingerprint=fingerprint, created_at=now), True
    except IntegrityError:
        row = RequestKey.objects.filter(user=user, key=key).first()
    if row is None or not row.object_id:
        raise ApiError(409, "in_progress", "A request with this Idempotency-Key is being worked on. Ask again shortly.")
    if row.fingerprint != fingerprint:
        raise ApiError(422, "key_reused", "This Idempotency-Key was used for another request. Use a new one.")
    return row, False


def _fingerprint(request: HttpRequest) -> str:
    return hashlib.sha256(f"{request.method} {request.get_full_path()}\n".encode() + request.body).hexdigest()
