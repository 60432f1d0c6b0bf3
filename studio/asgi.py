"""The ASGI application: pages and REST by Django, sockets by `studio.live`."""

import os

from django.core.asgi import get_asgi_application

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "studio.settings")
pages = get_asgi_application()

from channels.routing import ProtocolTypeRouter  # noqa: E402 - models must be loaded first

from studio.core.backpressure import Backpressure  # noqa: E402
from studio.live.routing import websocket  # noqa: E402

application = ProtocolTypeRouter({"http": Backpressure(pages), "websocket": Backpressure(websocket)})
