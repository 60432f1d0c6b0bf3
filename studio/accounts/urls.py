"""Addresses of signing in, accounts, teams and projects."""

from django.urls import path

from studio.accounts.views import account, projects, signing_in, teams

urlpatterns = [
    path("login/", signing_in.log_in, name="login"),
    path("login/link/<str:token>/", signing_in.log_in_by_link, name="login-link"),
    path("logout/", signing_in.log_out, name="logout"),
    path("join/<str:token>/", signing_in.join, name="join"),
    path("account/", account.account, name="account"),
    path("account/theme/", account.theme, name="theme"),
    path("account/password/", account.password, name="password"),
    path("account/tokens/", account.token_create, name="token-create"),
    path("account/tokens/<int:pk>/revoke/", account.token_revoke, name="token-revoke"),
    path("teams/new/", teams.team_create, name="team-create"),
    path("teams/<int:pk>/", teams.team, name="team"),
    path("teams/<int:pk>/members/", teams.member_add, name="member-add"),
    path("teams/<int:pk>/invites/", teams.invite_create, name="invite-create"),
    path("teams/<int:pk>/audit/", teams.audit_log, name="audit-log"),
    path("members/<int:pk>/", teams.member, name="member"),
    path("members/<int:pk>/remove/", teams.member_remove, name="member-remove"),
    path("invites/<int:pk>/revoke/", teams.invite_revoke, name="invite-revoke"),
    path("projects/", projects.project_list, name="project-list"),
    path("projects/new/", projects.project_create, name="project-create"),
    path("projects/<int:pk>/edit/", projects.project_edit, name="project-edit"),
    path("projects/<int:pk>/archive/", projects.project_archive, name="project-archive"),
]
