"""Addresses of what people say about runs."""

from django.urls import path

from studio.reports.views import activity, discussion

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
]
