"""The sockets of the studio; each stands in the access matrix."""

from channels.auth import AuthMiddlewareStack
from channels.routing import URLRouter
from django.urls import path

from studio.live.consumer import LiveConsumer

routes = [path("ws/live/", LiveConsumer.as_asgi(), name="live")]
websocket = AuthMiddlewareStack(URLRouter(routes))
