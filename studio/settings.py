"""All settings, and the only place of the studio that reads the environment: `STUDIO_*` variables.

Nothing needs to be set: the default is SQLite and an embedded Redis-compatible server below `DATA_DIR`.
"""

from __future__ import annotations

import hashlib
import os
import secrets
import sys
from importlib.util import find_spec
from pathlib import Path
from urllib.parse import quote, unquote, urlsplit

BASE_DIR = Path(__file__).resolve().parent.parent


def _env(name: str, default: str = "") -> str:
    return os.environ.get(f"STUDIO_{name}", default)


def _flag(name: str, default: bool = False) -> bool:
    return _env(name, "1" if default else "0").lower() in ("1", "true", "yes", "on")


DATA_DIR = Path(_env("DATA_DIR", str(BASE_DIR / "data"))).expanduser().resolve()
RUNS_DIR, BLOBS_DIR, UPLOADS_DIR = DATA_DIR / "runs", DATA_DIR / "blobs", DATA_DIR / "uploads"


def _secret_key() -> str:
    """From the environment, else from the data directory's 0600 file, which is made at first use."""
    if given := _env("SECRET_KEY"):
        return given
    path = DATA_DIR / "secret_key"
    try:
        return path.read_text(encoding="ascii").strip()
    except FileNotFoundError:
        pass
    except OSError as error:
        sys.exit(f"The data directory {DATA_DIR} cannot be read: {error.strerror}. Choose another with --data-dir.")
    try:
        DATA_DIR.mkdir(mode=0o700, parents=True, exist_ok=True)
        fd = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    except FileExistsError:
        return path.read_text(encoding="ascii").strip()
    except OSError as error:
        sys.exit(f"The data directory {DATA_DIR} cannot be written: {error.strerror}. Choose another with --data-dir.")
    with os.fdopen(fd, "w") as file:
        key = secrets.token_urlsafe(48)
        file.write(key)
    return key


SECRET_KEY = _secret_key()
DEBUG = _flag("DEBUG")
# Where people reach the studio; links in messages are made from it, never from the Host header.
PUBLIC_URL_GIVEN = bool(_env("PUBLIC_URL"))
PUBLIC_URL = _env("PUBLIC_URL", "http://127.0.0.1:8000").rstrip("/")
_public = urlsplit(PUBLIC_URL)
ALLOWED_HOSTS = [h for h in _env("ALLOWED_HOSTS").split(",") if h] or ["127.0.0.1", "localhost", "[::1]"]
if _public.hostname and _public.hostname not in ALLOWED_HOSTS:
    ALLOWED_HOSTS.append(_public.hostname)
CSRF_TRUSTED_ORIGINS = [PUBLIC_URL]
HTTPS = _public.scheme == "https"
SESSION_COOKIE_SECURE = CSRF_COOKIE_SECURE = HTTPS
SESSION_COOKIE_NAME = "__Host-session" if HTTPS else "studio_session"
CSRF_COOKIE_NAME = "__Host-csrf" if HTTPS else "studio_csrf"
SESSION_COOKIE_HTTPONLY = True
SESSION_COOKIE_AGE = 14 * 24 * 3600
SECURE_SSL_REDIRECT = HTTPS and _flag("SSL_REDIRECT")
SECURE_HSTS_SECONDS = 365 * 24 * 3600 if HTTPS else 0
SECURE_HSTS_INCLUDE_SUBDOMAINS = SECURE_HSTS_PRELOAD = HTTPS
SECURE_PROXY_SSL_HEADER = ("HTTP_X_FORWARDED_PROTO", "https") if _flag("BEHIND_PROXY") else None
SECURE_REFERRER_POLICY = "same-origin"
X_FRAME_OPTIONS = "DENY"

INSTALLED_APPS = [
    "daphne",
    "django.contrib.auth",
    "django.contrib.contenttypes",
    "django.contrib.sessions",
    "django.contrib.messages",
    "django.contrib.staticfiles",
    "django.contrib.humanize",
    "django.forms",
    "channels",
    "django_rq",
    "csp",
    "ninja",
    "studio.core",
    "studio.accounts",
    "studio.registry",
    "studio.runs",
    "studio.tracking",
    "studio.sweeps",
    "studio.reports",
    "studio.storage",
    "studio.notifications",
    "studio.worker",
    "studio.live",
    "studio.api",
    "studio.ops",
]

MIDDLEWARE = [
    "studio.core.middleware.BodyLimitMiddleware",
    "django.middleware.security.SecurityMiddleware",
    "whitenoise.middleware.WhiteNoiseMiddleware",
    "django.contrib.sessions.middleware.SessionMiddleware",
    "django.middleware.common.CommonMiddleware",
    "django.middleware.csrf.CsrfViewMiddleware",
    "django.contrib.auth.middleware.AuthenticationMiddleware",
    "studio.accounts.middleware.SignInMiddleware",
    "django.contrib.messages.middleware.MessageMiddleware",
    "django.middleware.clickjacking.XFrameOptionsMiddleware",
    "csp.middleware.CSPMiddleware",
    "studio.core.middleware.FriendlyErrorMiddleware",
]

CONTENT_SECURITY_POLICY = {
    "DIRECTIVES": {
        "default-src": ["'none'"],
        "script-src": ["'self'"],
        # The hash is that of an empty style element: Plotly makes one and leaves it empty under this policy; what it
        # would have put there stands in static/css/charts.css.
        "style-src": ["'self'", "'sha256-47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU='"],
        "img-src": ["'self'", "data:", "blob:"],
        "media-src": ["'self'"],
        "font-src": ["'self'"],
        "connect-src": ["'self'"],
        "form-action": ["'self'"],
        "base-uri": ["'none'"],
        "frame-ancestors": ["'none'"],
        "object-src": ["'none'"],
        "manifest-src": ["'self'"],
    }
}

ROOT_URLCONF = "studio.urls"
ASGI_APPLICATION = "studio.asgi.application"
TEMPLATES = [
    {
        "BACKEND": "django.template.backends.django.DjangoTemplates",
        "DIRS": [BASE_DIR / "templates"],
        "APP_DIRS": True,
        "OPTIONS": {
            "context_processors": [
                "django.template.context_processors.request",
                "django.contrib.auth.context_processors.auth",
                "django.contrib.messages.context_processors.messages",
                "studio.accounts.context.navigation",
            ],
            "builtins": ["django.templatetags.static", "studio.core.templatetags.studio"],
        },
    }
]
FORM_RENDERER = "django.forms.renderers.TemplatesSetting"


DATABASE_URL = _env("DATABASE_URL")


def _database() -> dict[str, object]:
    """SQLite in the data directory, or PostgreSQL by `STUDIO_DATABASE_URL=postgres://user:password@host:port/name`."""
    url = DATABASE_URL
    if not url:
        return {
            "ENGINE": "django.db.backends.sqlite3",
            "NAME": DATA_DIR / "studio.sqlite3",
            "OPTIONS": {
                "timeout": 20,
                "transaction_mode": "IMMEDIATE",
                "init_command": "PRAGMA journal_mode=WAL; PRAGMA synchronous=NORMAL; PRAGMA temp_store=MEMORY; PRAGMA cache_size=-16000;",
            },
        }
    parts = urlsplit(url)
    if parts.scheme not in ("postgres", "postgresql"):
        sys.exit(f"STUDIO_DATABASE_URL: {parts.scheme}:// is not known; use postgres://user:password@host:port/name.")
    if find_spec("psycopg") is None:
        sys.exit("STUDIO_DATABASE_URL needs a package: pip install -e '.[postgres]'")
    return {
        "ENGINE": "django.db.backends.postgresql",
        "NAME": parts.path.lstrip("/"),
        "USER": unquote(parts.username or ""),
        "PASSWORD": unquote(parts.password or ""),
        "HOST": unquote(parts.hostname or ""),  # or %2Fpath%2Fof%2Fsockets
        "PORT": parts.port or "",
        "CONN_MAX_AGE": 0,
    }


DATABASES = {"default": _database()}
DEFAULT_AUTO_FIELD = "django.db.models.BigAutoField"

# `up` starts an embedded server on this socket unless STUDIO_REDIS_URL names one that is there already.
# A socket's path may have about 104 characters, so a long data directory has its socket in a short private one.
EXTERNAL_REDIS_URL = _env("REDIS_URL")
REDIS_SERVER = _env("REDIS_SERVER")  # explicit path of a Redis-compatible server program
REDIS_SOCKET = DATA_DIR / "redis.sock"
if len(os.fsencode(REDIS_SOCKET)) > 100:
    _short = hashlib.sha256(os.fsencode(DATA_DIR)).hexdigest()[:16]
    REDIS_SOCKET = Path(f"/tmp/studio-{os.getuid()}-{_short}/redis.sock")  # noqa: S108 - `up` checks its owner and mode
REDIS_PASSWORD = hashlib.sha256(f"redis:{SECRET_KEY}".encode()).hexdigest()[:32]
REDIS_URL = EXTERNAL_REDIS_URL or f"unix://:{REDIS_PASSWORD}@{quote(str(REDIS_SOCKET))}"

RQ_QUEUES = {
    name: {"URL": REDIS_URL, "DEFAULT_TIMEOUT": -1, "SERIALIZER": "rq.serializers.JSONSerializer"}
    for name in ("runs", "control")
}
RQ = {"COMMIT_MODE": "on_db_commit"}

LEASE_S, HEARTBEAT_S, REAP_EVERY_S, LEASE_GRACE_S = 15.0, 5.0, 5.0, 2.0
EXTERNAL_LEASE_S = 120.0  # of programs elsewhere, which answer over the network
CANCEL_GRACE_S, CANCEL_LIMIT_S = 20.0, 60.0
MAX_RESTARTS, RESTART_WAITS_S = 5, (0, 5, 15, 45, 120)

# Hosts inside the own network that people's addresses (webhooks, git repositories, data) may lead to.
OUTBOUND_HOSTS = {host.strip().lower() for host in _env("OUTBOUND_HOSTS").split(",") if host.strip()}
# Folders of the server whose files people may register as data, without a copy.
DATA_ROOTS = [Path(folder.strip()) for folder in _env("DATA_ROOTS").split(",") if folder.strip()]
# A file of stores (S3 and others) whose data people may register; it has the credentials: see core/stores.py.
DATA_STORES = _env("DATA_STORES")
# A file that says which object store keeps the studio's own files, with its credentials: see core/objects.py.
OBJECT_STORE = _env("OBJECT_STORE")
CACHE_DIR = Path(_env("CACHE_DIR", str(DATA_DIR / "cache"))).expanduser()  # a worker's copies of what lies in stores
CACHE_BYTES = int(_env("CACHE_BYTES", str(50 << 30)))
CA_FILE = _env("CA_FILE")  # certificates that those addresses are checked by, in the place of the system's


def _email() -> dict[str, object]:
    """`STUDIO_EMAIL_URL=smtp://user:password@host:port`; `smtps://` is TLS from the start, else STARTTLS with `?tls=1`."""
    url = _env("EMAIL_URL")
    if not url:
        return {"EMAIL_HOST": ""}
    parts = urlsplit(url)
    if parts.scheme not in ("smtp", "smtps") or not parts.hostname:
        sys.exit("STUDIO_EMAIL_URL: use smtp://user:password@host:port, smtps:// for TLS, ?tls=1 for STARTTLS.")
    secure = parts.scheme == "smtps"
    return {
        "EMAIL_HOST": parts.hostname,
        "EMAIL_PORT": parts.port or (465 if secure else 587),
        "EMAIL_HOST_USER": unquote(parts.username or ""),
        "EMAIL_HOST_PASSWORD": unquote(parts.password or ""),
        "EMAIL_USE_SSL": secure,
        "EMAIL_USE_TLS": not secure and "tls=1" in parts.query,
        "EMAIL_TIMEOUT": 15,
    }


globals().update(_email())
DEFAULT_FROM_EMAIL = _env("EMAIL_FROM", f"studio@{_public.hostname or 'localhost'}")

API_REQUESTS_PER_MINUTE, API_MISSES_PER_MINUTE = 1200, 30
HUNG_AFTER_S = float(_env("HUNG_AFTER_S", "1800"))  # without any event; 0 never
TRAINER_THREADS = int(_env("TRAINER_THREADS", str(max(1, (os.cpu_count() or 2) // 2))))

# The GPUs that whoever starts a worker lets it see; None for all.
_visible = os.environ.get("CUDA_VISIBLE_DEVICES")
VISIBLE_DEVICES = None if _visible is None else [d for d in _visible.split(",") if d.strip() not in ("", "-1")]

# Upward calls are data: dotted names that the queue resolves. A test resolves each.
EXECUTE_JOB = "studio.worker.jobs.execute_run"
INSPECT_MODEL_JOB = "studio.registry.inspect.inspect_model_version"
FIRST_BATCH_JOB = "studio.registry.batch.look_at_batch"
INSPECT_DATASET_JOB = "studio.registry.preview.inspect_dataset_version"
ENQUEUE_CONTROL = "studio.runs.queue.enqueue_control"

# What uses runs that somebody is about to move to the trash, in sentences: (keys of the runs).
RUN_USES = "studio.storage.uses.words_of_runs"

# Of somebody in a team, how many open links they made: (team, user); and taking those back: (team, user, by).
OPEN_LINKS_OF_MEMBER = "studio.reports.left_links.open_of_member"
REVOKE_LINKS_OF_MEMBER = "studio.reports.left_links.revoke_of_member"

# Called when an attempt begins to train, in the transaction that abandons later points: (run_pk, fence, resume_step).
RUN_READY_HOOKS = ["studio.tracking.ingest.rebuild_summary"]

# What the scheduler process calls: (every so many seconds, dotted name of a function without arguments).
SCHEDULED: list[tuple[float, str]] = [
    (REAP_EVERY_S, "studio.runs.reap.reap_lost"),
    (REAP_EVERY_S, "studio.runs.reap.reconcile"),
    (REAP_EVERY_S, "studio.runs.chains.resolve_waiting"),
    (REAP_EVERY_S, "studio.runs.preflight.tidy"),
    (600.0, "studio.runs.register.forget_old"),
    (30.0, "studio.tracking.compact.compact_waiting"),
    (3600.0, "studio.ops.schedule.clear_sessions"),
    (3600.0, "studio.registry.uploads.clear_stale_uploads"),
    (60.0, "studio.storage.measure.measure_attempts"),
    (3600.0, "studio.storage.measure.measure_manifests"),
    (3600.0, "studio.storage.retention.apply_rules"),
    (3600.0, "studio.storage.trash.purge_old"),
    (3600.0, "studio.storage.sweep.sweep"),
    (60.0, "studio.registry.versions.requeue_silent_inspections"),
    (5.0, "studio.runs.shared_checkpoints.remove_due"),
    (60.0, "studio.storage.cache.keep_small"),
    (30.0, "studio.runs.columns.catch_up"),
    (600.0, "studio.runs.table.statistics.refresh"),
    (60.0, "studio.reports.left_links.tell_left_behind"),
    (5.0, "studio.notifications.rules.check_rules"),
    (3.0, "studio.notifications.tell.tell_new"),
    (3.0, "studio.notifications.deliver.deliver_due"),
    (3600.0, "studio.notifications.deliver.forget_old"),
]

AUTH_USER_MODEL = "accounts.User"
CSRF_FAILURE_VIEW = "studio.core.errors.csrf_failure"
LOGIN_URL, LOGIN_REDIRECT_URL, LOGOUT_REDIRECT_URL = "login", "home", "login"
AUTH_PASSWORD_VALIDATORS = [
    {"NAME": "django.contrib.auth.password_validation.UserAttributeSimilarityValidator"},
    {"NAME": "django.contrib.auth.password_validation.MinimumLengthValidator", "OPTIONS": {"min_length": 12}},
    {"NAME": "django.contrib.auth.password_validation.CommonPasswordValidator"},
]

LANGUAGE_CODE, TIME_ZONE, USE_I18N, USE_TZ = "en", "UTC", False, True
STATIC_URL, STATIC_ROOT, STATICFILES_DIRS = "/static/", DATA_DIR / "static", [BASE_DIR / "static"]
WHITENOISE_USE_FINDERS = True
WHITENOISE_MAX_AGE = 3600

# Bodies are bounded before anything reads them; large files come as 8 MB chunks.
MAX_BODY_BYTES = 16 << 20
UPLOAD_CHUNK_BYTES = 8 << 20
DATA_UPLOAD_MAX_MEMORY_SIZE = MAX_BODY_BYTES
DATA_UPLOAD_MAX_NUMBER_FIELDS = 1500  # a field for each of the 1,000 columns that a table may have
ALLOW_FILE_REPOSITORIES = False  # tests fetch from a repository beside them
MAX_UPLOAD_BYTES = int(_env("MAX_UPLOAD_BYTES", str(10 << 30)))


LOGGING = {
    "version": 1,
    "disable_existing_loggers": False,
    "formatters": {"plain": {"format": "{asctime} {levelname} {name}: {message}", "style": "{"}},
    "filters": {"masked": {"()": "studio.core.masking.MaskAddresses"}},
    "handlers": {"console": {"class": "logging.StreamHandler", "formatter": "plain", "filters": ["masked"]}},
    "root": {"handlers": ["console"], "level": _env("LOG_LEVEL", "INFO")},
    "loggers": {"daphne.http_protocol": {"level": "WARNING"}, "django.channels.server": {"level": "WARNING"}},
}
