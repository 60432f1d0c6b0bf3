"""Addresses of what people say about runs, and of what they show to people without an account."""

from django.urls import path

from studio.reports.views import activity, discussion, links, reports, shared

urlpatterns = [
    path("runs/<int:pk>/discussion/", discussion.run_discussion, name="run-discussion"),
    path("runs/<int:pk>/comments/", discussion.comment_create, name="comment-create"),
    path("comments/<int:pk>/", discussion.comment_edit, name="comment-edit"),
    path("comments/<int:pk>/delete/", discussion.comment_delete, name="comment-delete"),
    path("comments/<int:pk>/resolve/", discussion.comment_resolve, name="comment-resolve"),
    path("runs/<int:pk>/reviews/", discussion.review_ask, name="review-ask"),
    path("reviews/<int:pk>/", discussion.review_answer, name="review-answer"),
    path("reviews/<int:pk>/withdraw/", discussion.review_withdraw, name="review-withdraw"),
    path("projects/<int:pk>/activity/", activity.project_activity, name="project-activity"),
    path("projects/<int:pk>/reports/", reports.report_list, name="report-list"),
    path("projects/<int:pk>/reports/new/", reports.report_create, name="report-create"),
    path("reports/<int:pk>/", reports.report, name="report"),
    path("reports/<int:pk>/edit/", reports.report_edit, name="report-edit"),
    path("reports/<int:pk>/versions/", reports.report_versions, name="report-versions"),
    path("reports/<int:pk>/publish/", reports.report_publish, name="report-publish"),
    path("reports/<int:pk>/delete/", reports.report_delete, name="report-delete"),
    path("reports/<int:pk>/export/", reports.report_export, name="report-export"),
    path("reports/<int:pk>/comments/", reports.report_comment, name="report-comment"),
    path("projects/<int:pk>/links/", links.share_links, name="share-links"),
    path("projects/<int:pk>/links/new/", links.share_create, name="share-create"),
    path("links/<int:pk>/revoke/", links.share_revoke, name="share-revoke"),
    path("links/<int:pk>/take-over/", links.share_take_over, name="share-take-over"),
    path("s/<str:token>/", shared.shared, name="shared"),
    path("s/<str:token>/embed/", shared.shared_embed, name="shared-embed"),
    path("s/<str:token>/live/", shared.shared_live, name="shared-live"),
    path("s/<str:token>/series.json", shared.shared_series, name="shared-series"),
    path("s/<str:token>/files/<int:pk>/", shared.shared_file, name="shared-file"),
    path("s/<str:token>/password/", shared.shared_unlock, name="shared-unlock"),
]
