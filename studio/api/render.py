"""Answers as strict JSON: a number that is not finite becomes the string NaN, Infinity or -Infinity."""

from __future__ import annotations

import json
import math
from typing import Any

from django.http import HttpRequest
from ninja.renderers import BaseRenderer
from ninja.responses import NinjaJSONEncoder


class StrictJSON(BaseRenderer):
    media_type = "application/json"

    def render(self, request: HttpRequest, data: Any, *, response_status: int) -> str:
        try:
            return json.dumps(data, cls=NinjaJSONEncoder, ensure_ascii=False, allow_nan=False, separators=(",", ":"))
        except ValueError:
            return json.dumps(finite(data), cls=NinjaJSONEncoder, ensure_ascii=False, allow_nan=False)


def finite(value: Any) -> Any:
    if isinstance(value, float) and not math.isfinite(value):
        return "NaN" if math.isnan(value) else "Infinity" if value > 0 else "-Infinity"
    if isinstance(value, dict):
        return {key: finite(inner) for key, inner in value.items()}
    if isinstance(value, list | tuple):
        return [finite(inner) for inner in value]
    return value
