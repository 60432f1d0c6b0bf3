from django.apps import AppConfig


class RegistryConfig(AppConfig):
    name = "studio.registry"
    default_auto_field = "django.db.models.BigAutoField"
