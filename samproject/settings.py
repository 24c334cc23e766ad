"""Django settings; everything an administrator may choose is an environment variable read here."""

from __future__ import annotations

import os
from pathlib import Path

import django_stubs_ext

from engines.network.guard import place_of_url
from samproject import env
from samproject.configuration.celery import celery_settings
from samproject.configuration.mail import mail_settings
from samproject.configuration.sign_in import sign_in_settings
from samproject.endpoints import broker_url, database_settings, redis_url
from samproject.engine_keys import engine_keys
from samproject.generated_secrets import generated_secret
from samproject.host_name import host_name
from samproject.supervisor.locations import ensure_data_folder, locate

# Lets the admin's and views' classes carry their model's type, as mypy --strict wants.
django_stubs_ext.monkeypatch()

BASE_DIR = Path(__file__).resolve().parent.parent
VERSION = "0.1.0"


def _default_data_folder() -> Path:
    if os.geteuid() == 0:
        return Path("/var/lib/sam")
    return env.read_path("XDG_DATA_HOME", Path.home() / ".local" / "share") / "sam"


# --- where things are -------------------------------------------------------------------------

SAM_DATA_DIR = env.read_path("SAM_DATA_DIR", _default_data_folder())
SAM_LOCATIONS = locate(SAM_DATA_DIR)
SAM_MODELS_DIR = env.read_path("SAM_MODELS_DIR", SAM_DATA_DIR / "models")
SAM_SHARE_MODELS = env.read_bool("SAM_SHARE_MODELS", default=False)
HF_HUB_CACHE = env.read_path("HF_HUB_CACHE", Path.home() / ".cache" / "huggingface" / "hub")
OLLAMA_MODELS = env.read_path("OLLAMA_MODELS", Path.home() / ".ollama" / "models")
SAM_ARTIFACT_STORE = env.read_str("SAM_ARTIFACT_STORE", f"file://{SAM_DATA_DIR / 'artifacts'}")
SAM_BATCH_SETTINGS = SAM_DATA_DIR / "batch-settings"
SAM_WATCHED_FOLDERS = env.read_folders("SAM_WATCHED_FOLDERS")
SAM_JOIN_TOKEN = env.read_secret("SAM_JOIN_TOKEN")

_database_url = env.read_secret("DATABASE_URL")
_redis_url = env.read_secret("REDIS_URL")
SAM_EMBEDDED_POSTGRES = not _database_url
SAM_EMBEDDED_REDIS = not _redis_url
# Machines that share a database may share a home as well, and each has a name of its own.
SAM_HOST_NAME = host_name(SAM_LOCATIONS.host_name if SAM_EMBEDDED_POSTGRES else None)
DEFAULT_AUTO_FIELD = "django.db.models.BigAutoField"

# --- how SAM works ----------------------------------------------------------------------------

SAM_LEASE_SECONDS = env.read_int("SAM_LEASE_SECONDS", 60, minimum=1, maximum=3600)
SAM_RESTART_SECONDS = env.read_int("SAM_RESTART_SECONDS", 30, minimum=1, maximum=3600)
SAM_SWEEP_SECONDS = env.read_int("SAM_SWEEP_SECONDS", 10, minimum=1, maximum=3600)
SAM_ENGINE_THREADS = env.read_int("SAM_ENGINE_THREADS", 0, minimum=0, maximum=1024)
SAM_MEASURE_EMBEDDING = env.read_bool("SAM_MEASURE_EMBEDDING", default=True)
SAM_EMBEDDING_LANES = env.read_int("SAM_EMBEDDING_LANES", 0, minimum=0, maximum=256)
SAM_EMBEDDING_PACK_TOKENS = env.read_int("SAM_EMBEDDING_PACK_TOKENS", 0, minimum=0, maximum=65_536)
SAM_OPENVINO = env.read_str("SAM_OPENVINO", "", choices=("", "never", "f32", "bf16"))
SAM_LLAMA_SERVER = env.read_str("SAM_LLAMA_SERVER", "")
SAM_VLLM = env.read_str("SAM_VLLM", "")
SAM_VLLM_ARGUMENTS = env.read_arguments("SAM_VLLM_ARGUMENTS")
SAM_RERANKER = env.read_str("SAM_RERANKER", "")
SAM_MAX_ANSWER_TOKENS = env.read_int("SAM_MAX_ANSWER_TOKENS", 2048, minimum=0, maximum=1_000_000)
SAM_DRAFT_DAYS = env.read_int("SAM_DRAFT_DAYS", 30, minimum=0, maximum=3650)
SAM_LOAD_WAIT_SECONDS = env.read_int("SAM_LOAD_WAIT_SECONDS", 300, minimum=1, maximum=3600)
SAM_APPROXIMATE_FROM = env.read_int("SAM_APPROXIMATE_FROM", 50_000, minimum=0, maximum=2**31)
SAM_RETENTION_DAYS = env.read_int("SAM_RETENTION_DAYS", 14, minimum=0, maximum=3650)
SAM_HISTORY_DAYS = env.read_int("SAM_HISTORY_DAYS", 365, minimum=0, maximum=36_500)

HF_ENDPOINT = env.read_url("HF_ENDPOINT", "https://huggingface.co")
HF_TOKEN = env.read_secret("HF_TOKEN")
SAM_ENGINE_KEYS = engine_keys("SAM_ENGINE_KEYS", env.read_secret("SAM_ENGINE_KEYS"))
SAM_ALLOWED_PLACES = [
    *env.read_places("SAM_ALLOWED_PRIVATE_HOSTS"),
    # Addresses that the administrator gave, wherever they lead.
    *map(place_of_url, (HF_ENDPOINT, *SAM_ENGINE_KEYS)),
]

# --- secrets ----------------------------------------------------------------------------------

DEBUG = env.read_bool("DEBUG", default=False)


def _secret(variable: str, file_name: str) -> str:
    """Read a secret; a machine on its own makes one, machines sharing a database must agree."""
    given = env.read_secret(variable)
    if given:
        return given
    if not (SAM_EMBEDDED_POSTGRES or DEBUG):
        raise env.EnvironmentVariableError(
            f"{variable} is not set; with DATABASE_URL every machine needs the same one. "
            f"Set {variable} or {variable}_FILE."
        )
    return _own_secret(SAM_DATA_DIR / file_name)


def _own_secret(file: Path) -> str:
    """Read a secret, which the supervisor may have made for processes that own nothing else here."""
    if not file.exists():
        ensure_data_folder(SAM_DATA_DIR)
    return generated_secret(file)


def _last_origin() -> str:
    """Return the address that the web process was given here: a command beside it knows no other."""
    try:
        return SAM_LOCATIONS.origin.read_text().strip()
    except OSError:
        return "http://127.0.0.1:8000"


SECRET_KEY = _secret("SECRET_KEY", "secret-key")
SECRET_KEY_FALLBACKS = env.read_list("SECRET_KEY_FALLBACKS")
SAM_BACKUP_KEY = _secret("SAM_BACKUP_KEY", "backup-key")
SAM_GENERATED_SECRETS = [
    name for name in ("SECRET_KEY", "SAM_BACKUP_KEY") if not env.read_secret(name)
]
env.require_hexadecimal("SAM_BACKUP_KEY", SAM_BACKUP_KEY, size=32)
SAM_BACKUP_OLD_KEYS = env.read_secret("SAM_BACKUP_OLD_KEYS").replace(",", " ").split()
for _key in SAM_BACKUP_OLD_KEYS:
    env.require_hexadecimal("SAM_BACKUP_OLD_KEYS", _key, size=32)

# --- servers ----------------------------------------------------------------------------------


def _password(file: Path, *, embedded: bool) -> str:
    """Read the password of a server that SAM runs itself; others have theirs in their URL."""
    return _own_secret(file) if embedded else ""


_database_password = _password(SAM_LOCATIONS.postgres_password, embedded=SAM_EMBEDDED_POSTGRES)
_redis_password = _password(SAM_LOCATIONS.redis_password, embedded=SAM_EMBEDDED_REDIS)
DATABASES = {"default": database_settings(_database_url, SAM_LOCATIONS, _database_password)}
REDIS_URL = redis_url(_redis_url, SAM_LOCATIONS, _redis_password)

CELERY = celery_settings(broker_url(REDIS_URL), SAM_HOST_NAME, SAM_SWEEP_SECONDS)

# --- web --------------------------------------------------------------------------------------

ALLOWED_HOSTS = env.read_list("SAM_ALLOWED_HOSTS", "localhost,127.0.0.1,[::1]")
CSRF_TRUSTED_ORIGINS = env.read_list("SAM_TRUSTED_ORIGINS")
ROOT_URLCONF = "samproject.urls"
ASGI_APPLICATION = "samproject.asgi.application"

_https = env.read_bool("SAM_HTTPS", default=False)
SECURE_SSL_REDIRECT = _https
SECURE_REDIRECT_EXEMPT = [r"^healthz$"]
SECURE_HSTS_SECONDS = 31_536_000 if _https else 0
SECURE_HSTS_INCLUDE_SUBDOMAINS = _https
SECURE_HSTS_PRELOAD = _https
SESSION_COOKIE_SECURE = _https
CSRF_COOKIE_SECURE = _https
_is_behind_proxy = env.read_bool("SAM_BEHIND_PROXY", default=False)
if _is_behind_proxy:
    # Only then: without a proxy that sets it, any client could send this header.
    SECURE_PROXY_SSL_HEADER = ("HTTP_X_FORWARDED_PROTO", "https")
SAM_CORS_ORIGINS = env.read_origins("SAM_CORS_ORIGINS")
SAM_TRUSTED_PROXIES = env.read_int(
    "SAM_TRUSTED_PROXIES", int(_is_behind_proxy), minimum=0, maximum=16
)

INSTALLED_APPS = [
    # Its templates come before those of allauth and Unfold, and Unfold's before those of Django's admin.
    "migrations_app",
    "unfold.apps.BasicAppConfig",
    "samproject.apps.SamAdminConfig",
    "django.contrib.auth",
    "django.contrib.contenttypes",
    "django.contrib.sessions",
    "django.contrib.messages",
    "django.contrib.staticfiles",
    "django_htmx",
    "allauth",
    "allauth.account",
    "allauth.mfa",
    "allauth.socialaccount",
    "allauth.socialaccount.providers.openid_connect",
    "allauth.usersessions",
    "rest_framework",
    "drf_spectacular",
    "drf_spectacular_sidecar",
    "engines",
    "worker",
    "samproject",
]

MIDDLEWARE = [
    "samproject.web.headers.AnswerHeaders",
    "migrations_app.openai_api.middleware.ApiDoor",
    "django.middleware.security.SecurityMiddleware",
    "whitenoise.middleware.WhiteNoiseMiddleware",
    "django.contrib.sessions.middleware.SessionMiddleware",
    "django.middleware.common.CommonMiddleware",
    "django.middleware.csrf.CsrfViewMiddleware",
    "django.contrib.auth.middleware.AuthenticationMiddleware",
    "django.contrib.messages.middleware.MessageMiddleware",
    "django.middleware.clickjacking.XFrameOptionsMiddleware",
    "django_htmx.middleware.HtmxMiddleware",
    "samproject.web.reader_zone.reader_zone",
    "migrations_app.audit.middleware.name_person",
    "allauth.account.middleware.AccountMiddleware",
    "migrations_app.accounts.middleware.RequireSecondFactor",
]

TEMPLATES = [
    {
        "BACKEND": "django.template.backends.django.DjangoTemplates",
        "APP_DIRS": True,
        "OPTIONS": {
            "context_processors": [
                "django.template.context_processors.request",
                "django.contrib.auth.context_processors.auth",
                "django.contrib.messages.context_processors.messages",
                "migrations_app.pages.context.shell",
            ]
        },
    }
]

LOGOUT_REDIRECT_URL = "account_login"
CSRF_FAILURE_VIEW = "migrations_app.pages.errors.form_refused"
AUTHENTICATION_BACKENDS = ["migrations_app.limits.sign_in.GuardedBackend"]
SAM_ORIGIN = env.read_url("SAM_ORIGIN", _last_origin())
"""Where people find SAM: links in mails begin with it, whatever a request's Host says."""
SAM_FLOWER_URL = env.read_url("SAM_FLOWER_URL", "") if env.read_str("SAM_FLOWER_URL") else ""
"""Flower's own server, which operators read under /flower/; empty: there is none."""
SAM_FLOWER_PASSWORD = env.read_secret("SAM_FLOWER_PASSWORD")
SAM_OIDC_SIGN_UP = env.read_bool("SAM_OIDC_SIGN_UP", default=False)
SAM_REQUIRE_SECOND_FACTOR = env.read_str(
    "SAM_REQUIRE_SECOND_FACTOR", "nobody", choices=("nobody", "staff", "everybody")
)
globals().update(sign_in_settings())
globals().update(mail_settings())
CACHES = {"default": {"BACKEND": "migrations_app.limits.shared_cache.SharedCache"}}
SAM_SIGN_IN_FAILURES = env.read_int("SAM_SIGN_IN_FAILURES", 10, minimum=0, maximum=10_000)
SAM_TOKEN_DAYS = env.read_int("SAM_TOKEN_DAYS", 365, minimum=0, maximum=3650)
AUTH_PASSWORD_VALIDATORS = [
    {"NAME": f"django.contrib.auth.password_validation.{name}"}
    for name in (
        "UserAttributeSimilarityValidator",
        "MinimumLengthValidator",
        "CommonPasswordValidator",
        "NumericPasswordValidator",
    )
]
AUTH_PASSWORD_VALIDATORS.append({"NAME": "engines.services.people.tokens.EndTokensWithPassword"})

UNFOLD = {"DASHBOARD_CALLBACK": "migrations_app.admin.overview.add_overview"}

LANGUAGE_CODE = "en"
FORMAT_MODULE_PATH = "samproject.formats"
TIME_ZONE = "UTC"
USE_TZ = True

STATIC_URL = "static/"
# Served straight from the packages: a fresh clone needs no collecting step.
WHITENOISE_USE_FINDERS = True

# --- REST -------------------------------------------------------------------------------------

REST_FRAMEWORK = {
    "DEFAULT_AUTHENTICATION_CLASSES": [
        "rest_framework.authentication.SessionAuthentication",
    ],
    "DEFAULT_PERMISSION_CLASSES": ["rest_framework.permissions.IsAuthenticated"],
    "DEFAULT_SCHEMA_CLASS": "drf_spectacular.openapi.AutoSchema",
    "DEFAULT_PAGINATION_CLASS": "rest_framework.pagination.CursorPagination",
    "PAGE_SIZE": 50,
    "EXCEPTION_HANDLER": "migrations_app.api.problems.problem_handler",
    "DEFAULT_THROTTLE_CLASSES": ["migrations_app.api.throttles.RateThrottle"],
}

SAM_RATES: dict[str, str | None] = {
    "anon": env.read_rate("SAM_RATE_ANONYMOUS", "60/min"),
    "user": env.read_rate("SAM_RATE_USER", "1200/min"),
    "work": env.read_rate("SAM_RATE_WORK", "60/min"),
}
SAM_MAX = {
    "adapters": env.read_int("SAM_MAX_ADAPTERS", 100, minimum=0, maximum=1_000_000),
    "bases": env.read_int("SAM_MAX_BASES", 1_000, minimum=0, maximum=1_000_000),
    "documents": env.read_int("SAM_MAX_DOCUMENTS", 100_000, minimum=0, maximum=100_000_000),
}
SAM_AT_ONCE = {
    "answers": env.read_int("SAM_ANSWERS_AT_ONCE", 8, minimum=0, maximum=10_000),
    "uploads": env.read_int("SAM_UPLOADS_AT_ONCE", 4, minimum=0, maximum=10_000),
    "listeners": env.read_int("SAM_LISTENERS_AT_ONCE", 20, minimum=0, maximum=10_000),
}

SPECTACULAR_SETTINGS = {
    "TITLE": "SAM",
    "DESCRIPTION": "Change the AI engine behind many people's assistants without a pause.",
    "VERSION": VERSION,
    "SERVE_INCLUDE_SCHEMA": False,
    "COMPONENT_SPLIT_REQUEST": True,
    "ENUM_NAME_OVERRIDES": {
        "NoticeKind": "engines.models.notices.NoticeKind",
        "PlanKind": "migrations_app.states.PlanKind",
        "PlanStatus": "migrations_app.states.PlanStatus",
        "StepStatus": "migrations_app.states.StepStatus",
        "HostStatus": "engines.models.HostStatus",
        "CopyStatus": "engines.models.CopyStatus",
        "AdapterStatus": "engines.models.AdapterStatus",
        "ModelRole": "engines.models.ModelRole",
        "MessageRole": "engines.models.Message.Role",
    },
    # From the sidecar package: the documentation also works without the internet.
    "SWAGGER_UI_DIST": "SIDECAR",
    "SWAGGER_UI_FAVICON_HREF": "SIDECAR",
    "REDOC_DIST": "SIDECAR",
}

# --- logs -------------------------------------------------------------------------------------

LOGGING = {
    "version": 1,
    "disable_existing_loggers": False,
    "formatters": {"line": {"format": "{asctime} {levelname} {name}: {message}", "style": "{"}},
    "filters": {"without_trace": {"()": "samproject.web.access_log.WithoutTrace"}},
    "handlers": {
        "console": {
            "class": "logging.StreamHandler",
            "formatter": "line",
            "filters": ["without_trace"],
        }
    },
    # At INFO it writes whole addresses, also those that carry a signature.
    "loggers": {"httpx2": {"level": "WARNING"}, "faiss": {"level": "WARNING"}},
    "root": {
        "handlers": ["console"],
        "level": env.read_str(
            "SAM_LOG_LEVEL", "INFO", choices=("DEBUG", "INFO", "WARNING", "ERROR")
        ),
    },
}
