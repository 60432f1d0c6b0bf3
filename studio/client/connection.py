"""HTTP with a token: JSON in and out, errors as exceptions, another try where one does no harm."""

from __future__ import annotations

import json
import time
import urllib.error
import urllib.request
import uuid
from collections.abc import Iterator, Mapping
from http.client import HTTPException, HTTPResponse
from typing import Any
from urllib.parse import urlencode, urlsplit

from studio.client.errors import NotReached, StudioError

TRIES, FIRST_PAUSE_S = 4, 0.25
AGAIN = (429, 502, 503, 504)
MOST_WAIT_S = 30.0


class _NoRedirect(urllib.request.HTTPRedirectHandler):
    """A redirect is an error: following one would hand the token to wherever it leads."""

    def redirect_request(self, *args: Any, **kwargs: Any) -> None:
        return None


class Connection:
    """One studio and one token. Safe to share between threads."""

    def __init__(self, url: str, token: str, *, timeout_s: float = 30.0) -> None:
        parts = urlsplit(url)
        if parts.scheme not in ("http", "https") or not parts.hostname:
            raise ValueError(f"url: got {url!r}, expected something like http://127.0.0.1:8000")
        if not token or not token.isascii() or any(c.isspace() for c in token):
            raise ValueError("token: make one on your account page; it begins with studio_")
        self.url = f"{url.rstrip('/')}/api/v1"
        self._token, self._timeout_s = token, timeout_s
        self._opener = urllib.request.build_opener(_NoRedirect)

    def __repr__(self) -> str:
        return f"Connection({self.url!r})"

    def get(self, path: str, **query: Any) -> Any:
        return self._json("GET", path, query=query)

    def create(self, path: str, given: Mapping[str, Any], *, method: str = "POST") -> Any:
        """What happens once, even when its answer is lost and it is sent again."""
        return self._json(method, path, body=json.dumps(given).encode(), headers={"Idempotency-Key": uuid.uuid4().hex})

    def post(self, path: str) -> Any:
        """POST of something that may happen twice, such as cancelling."""
        return self._json("POST", path, body=b"{}")

    def send(self, method: str, path: str, given: Mapping[str, Any]) -> Any:
        """A change that may happen twice, with what is to be changed."""
        return self._json(method, path, body=json.dumps(given).encode())

    def put(self, path: str, data: bytes, *, headers: Mapping[str, str], **query: Any) -> Any:
        """One try: the caller asks where to go on."""
        with self.open("PUT", path, query=query, body=data, headers=headers) as response:
            return json.load(response)

    def pages(self, path: str, **query: Any) -> Iterator[Any]:
        """All items of a list, page by page."""
        cursor = None
        while True:
            page = self.get(path, cursor=cursor, **query)
            yield from page["items"]
            cursor = page["next"]
            if cursor is None:
                return

    def open(
        self,
        method: str,
        path: str,
        *,
        query: Mapping[str, Any] | None = None,
        body: bytes | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> HTTPResponse:
        """The answer, not read yet. StudioError with the server's words, NotReached without an answer."""
        pairs = {key: value for key, value in (query or {}).items() if value is not None}
        url = self.url + path + (f"?{urlencode(pairs, doseq=True)}" if pairs else "")
        content = (
            {"Content-Type": "application/octet-stream" if method == "PUT" else "application/json"} if body else {}
        )
        every = {"Authorization": f"Bearer {self._token}", "Accept": "application/json", **content, **(headers or {})}
        request = urllib.request.Request(url, data=body, method=method, headers=every)  # noqa: S310 - http(s), see above
        try:
            response: HTTPResponse = self._opener.open(request, timeout=self._timeout_s)
            return response
        except urllib.error.HTTPError as error:
            with error:
                raise _refusal(error) from None
        except (OSError, HTTPException) as error:
            reason = getattr(error, "reason", None) or error
            raise NotReached(f"The studio at {self.url} does not answer: {reason}.") from error

    def _json(
        self,
        method: str,
        path: str,
        *,
        query: Mapping[str, Any] | None = None,
        body: bytes | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> Any:
        pause_s = FIRST_PAUSE_S
        for tries_left in reversed(range(TRIES)):
            try:
                with self.open(method, path, query=query, body=body, headers=headers) as response:
                    return json.load(response) if response.status != 204 else None
            except (StudioError, OSError, ValueError, HTTPException) as error:
                lost = not isinstance(error, StudioError) or isinstance(error, NotReached) or error.status in AGAIN
                if not tries_left or not (lost or getattr(error, "code", "") == "in_progress"):
                    if isinstance(error, StudioError):
                        raise
                    raise NotReached(f"The answer of {self.url} broke off: {error}.") from error
                time.sleep(min(getattr(error, "retry_after_s", 0.0) or pause_s, MOST_WAIT_S))
                pause_s *= 2
        raise AssertionError("not reached")


def _refusal(error: urllib.error.HTTPError) -> StudioError:
    """The server's own words, or what can be said without them."""
    refused: StudioError
    try:
        told = json.loads(error.read(1 << 20))["error"]
        refused = StudioError(told["message"], status=error.code, code=told["code"], fields=told.get("fields"))
    except (ValueError, KeyError, TypeError, OSError, HTTPException):
        where = error.headers.get("Location")
        text = f"it leads to {where}; use that address" if where else error.reason
        refused = StudioError(f"The studio answered {error.code}: {text}.", status=error.code)
    try:
        refused.retry_after_s = float(error.headers.get("Retry-After") or 0)
    except ValueError:
        refused.retry_after_s = 0.0
    return refused
