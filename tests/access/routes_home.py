"""Who may use the first page and the health page."""

from tests.access.matrix import public, signed_in

ROUTES = [signed_in("home"), signed_in("search"), signed_in("search-items"), public("health")]
