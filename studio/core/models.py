"""The only table of this app: when a blob was put last, since machines that share an object store share no clock of files."""

from __future__ import annotations

from django.db import models
from django.db.models.functions import Now


class SharedBlob(models.Model):
    """A blob that lies, or will lie, in the object store. Empty without one."""

    sha256 = models.CharField(max_length=64, primary_key=True)
    size_bytes = models.BigIntegerField()
    put_at = models.DateTimeField(db_default=Now(), help_text="whoever needs it next names it soon after")
    stored_at = models.DateTimeField(null=True, blank=True, help_text="empty: only machines that put it have it so far")

    class Meta:
        indexes = [models.Index(fields=["put_at"], name="shared_blob_waits", condition=models.Q(stored_at=None))]

    def __str__(self) -> str:
        return self.sha256
