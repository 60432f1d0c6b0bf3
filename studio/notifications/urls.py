"""Addresses of notifications, webhooks and watch rules."""

from django.urls import path

from studio.notifications.views import inbox, rules, webhooks

urlpatterns = [
    path("notifications/", inbox.notification_list, name="notification-list"),
    path("notifications/count.json", inbox.notification_count, name="notification-count"),
    path("notifications/read/", inbox.notification_read, name="notification-read"),
    path("notifications/mail/", inbox.mail_choice, name="mail-choice"),
    path("notifications/<int:pk>/", inbox.notification_open, name="notification-open"),
    path("runs/<int:pk>/watch/", inbox.run_watch, name="run-watch"),
    path("teams/<int:pk>/webhooks/", webhooks.team_webhooks, name="team-webhooks"),
    path("webhooks/<int:pk>/delete/", webhooks.webhook_delete, name="webhook-delete"),
    path("webhooks/<int:pk>/take-over/", webhooks.webhook_take_over, name="webhook-take-over"),
    path("webhooks/<int:pk>/try/", webhooks.webhook_try, name="webhook-try"),
    path("projects/<int:pk>/rules/", rules.project_rules, name="project-rules"),
    path("projects/<int:pk>/rules/new/", rules.rule_create, name="rule-create"),
    path("rules/<int:pk>/delete/", rules.rule_delete, name="rule-delete"),
]
