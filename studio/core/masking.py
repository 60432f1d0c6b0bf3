"""Addresses that are secrets are masked in what is logged."""

from __future__ import annotations

import logging
import re

SECRET_ADDRESS = re.compile(r"(/(?:s|join|login/link)/)[^/\s\"'<>]{8,}")


class MaskAddresses(logging.Filter):
    """Shared links, invitations and log-in links stand in the log without their tokens."""

    def filter(self, record: logging.LogRecord) -> bool:
        text = record.getMessage()
        if (masked := SECRET_ADDRESS.sub(r"\1•••", text)) != text:
            record.msg, record.args = masked, ()
        return True
