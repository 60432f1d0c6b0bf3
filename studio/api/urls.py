"""REST v1: /api/v1/…, described at /api/v1/openapi.json and /api/v1/docs."""

from typing import Any

from django.urls import path
from django.views.decorators.http import require_safe
from ninja import NinjaAPI
from ninja.openapi.schema import OpenAPISchema
from ninja.operation import Operation

from studio.api.auth import BrowserAuth, TokenAuth
from studio.api.errors import add_handlers
from studio.api.render import StrictJSON
from studio.api.routes import (
    aliases,
    datasets,
    external,
    links,
    me,
    models,
    outputs,
    presets,
    queue,
    registered,
    reports,
    runs,
    using,
    workers,
)

WORDS = {"type": "string"}
ERROR = {
    "description": "What did not do, in words",
    "content": {
        "application/json": {
            "schema": {
                "type": "object",
                "required": ["error"],
                "properties": {
                    "error": {
                        "type": "object",
                        "required": ["code", "message"],
                        "properties": {
                            "code": WORDS,
                            "message": WORDS,
                            "fields": {"type": "object", "additionalProperties": WORDS},
                        },
                    }
                },
            }
        }
    },
}


class StudioAPI(NinjaAPI):
    def get_openapi_operation_id(self, operation: Operation) -> str:
        """The name of the function alone: it is unique, and becomes the method's name in generated clients."""
        return operation.view_func.__name__

    def get_openapi_schema(self, **options: Any) -> OpenAPISchema:
        schema = super().get_openapi_schema(**options)
        for operations in schema["paths"].values():
            for operation in operations.values():
                operation["summary"] = operation["summary"].capitalize()
                operation["responses"]["default"] = ERROR
        return schema


api = StudioAPI(
    title="Training studio",
    version="1",
    description="Everything the pages do, for programs. Make a token on your account page.",
    urls_namespace="api",
    docs_decorator=require_safe,
    auth=[TokenAuth(), BrowserAuth()],
    renderer=StrictJSON(),
)
add_handlers(api)
every = (
    me, models, datasets, runs, outputs, using, registered, aliases, external, reports, links, workers, queue, presets,
)  # fmt: skip
for routes in every:
    api.add_router("", routes.router)
urlpatterns = [path("", api.urls)]
