"""One shape for every error: {"error": {"code", "message", "fields"?}}, with words that can be shown as they are."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from typing import Any

from django.core.exceptions import PermissionDenied
from django.http import Http404, JsonResponse
from ninja import NinjaAPI
from ninja.errors import AuthenticationError, HttpError, ValidationError

from studio.accounts.errors import AccountsError
from studio.core.errors import TEXTS
from studio.core.stores import StoreError
from studio.registry.errors import RegistryError
from studio.registry.uploads import UploadError
from studio.reports.errors import ReportError, ShareError, StaleReport
from studio.runs.errors import RunError, StaleState

log = logging.getLogger(__name__)


class ApiError(Exception):
    """An answer that is not a success; `fields` maps what was sent to what is wrong with it."""

    def __init__(
        self,
        status: int,
        code: str,
        message: str,
        fields: Mapping[str, str] | None = None,
        *,
        headers: Mapping[str, str] | None = None,
        **more: Any,
    ) -> None:
        self.status, self.code, self.message, self.fields, self.more = status, code, message, fields, more
        self.headers = dict(headers or {}) | ({"WWW-Authenticate": "Bearer"} if status == 401 else {})
        super().__init__(message)

    def response(self) -> JsonResponse:
        error: dict[str, Any] = {"code": self.code, "message": self.message, **self.more}
        if self.fields:
            error["fields"] = dict(self.fields)
        return JsonResponse({"error": error}, status=self.status, headers=self.headers)


def add_handlers(api: NinjaAPI) -> None:
    """What raises where, as an answer. Anything else is a fault: logged, and answered by `core.errors.server_error`."""

    def handles(kind: type[Exception], make: Any) -> None:
        api.add_exception_handler(kind, lambda request, error: make(error).response())

    handles(ApiError, lambda error: error)
    handles(
        AuthenticationError, lambda error: ApiError(401, "signed_out", "Send a token: Authorization: Bearer studio_…")
    )
    handles(HttpError, lambda error: ApiError(error.status_code, "bad_request", f"{error}."))
    handles(ValidationError, _of_validation)
    handles(Http404, lambda error: ApiError(404, *TEXTS[404]))
    handles(PermissionDenied, lambda error: ApiError(403, "forbidden", str(error) or TEXTS[403][1]))
    handles(StoreError, _of_store)
    handles(AccountsError, lambda error: ApiError(409, "conflict", str(error)))
    handles(RegistryError, _of_registry)
    handles(UploadError, _of_upload)
    handles(RunError, _of_run)
    handles(ShareError, lambda error: ApiError(422, "invalid", str(error)))
    handles(ReportError, lambda error: ApiError(422, "invalid", str(error), {"body": str(error)}))
    handles(
        StaleReport, lambda error: ApiError(409, "conflict", "Somebody else saved the report meanwhile. Read it again.")
    )


def _of_validation(error: ValidationError) -> ApiError:
    fields = {}
    for entry in error.errors:
        place = [
            str(part) for part in entry.get("loc", ()) if part not in ("body", "query", "path", "given", "filters")
        ]
        fields[".".join(place) or "body"] = str(entry.get("msg", "does not fit"))
    text = "; ".join(f"{name}: {words}" for name, words in fields.items())
    return ApiError(422, "invalid", f"What was sent does not fit. {text}.", fields)


def _of_store(error: StoreError) -> ApiError:
    log.warning("%s", error)
    return ApiError(503, *TEXTS[503])


def _of_registry(error: RegistryError) -> ApiError:
    return ApiError(422, "invalid", error.text, {error.field: error.text} if error.field else None)


def _of_upload(error: UploadError) -> ApiError:
    more: dict[str, Any] = {} if error.received is None else {"received": error.received}
    return ApiError(error.status, "upload", error.text, **more)


def _of_run(error: RunError) -> ApiError:
    fields = {name: words for name, words in error.errors.items() if name}
    if isinstance(error, StaleState) or not fields:
        return ApiError(409, "conflict", str(error))
    return ApiError(422, "invalid", str(error), fields)
