"""Every page's address. Each route stands in the access matrix test; one that does not fails the build."""

from django.urls import include, path

urlpatterns = [
    path("", include("studio.ops.urls")),
    path("", include("studio.home.urls")),
    path("", include("studio.accounts.urls")),
    path("", include("studio.registry.urls")),
    path("", include("studio.runs.urls")),
    path("", include("studio.tracking.urls")),
    path("", include("studio.reports.urls")),
    path("", include("studio.storage.urls")),
    path("", include("studio.notifications.urls")),
    path("api/v1/", include("studio.api.urls")),
]
handler400 = "studio.core.errors.bad_request"
handler403 = "studio.core.errors.permission_denied"
handler404 = "studio.core.errors.page_not_found"
handler500 = "studio.core.errors.server_error"
