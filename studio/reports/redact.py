"""Words that must not leave the studio are taken out of what a link or an exported file shows.

Paths, e-mail addresses, secrets, variables of the environment, addresses of machines, and the given names of machines
and people. What is shown is chosen field by field elsewhere; this is the second net, for the words inside those fields.
"""

from __future__ import annotations

import re
from collections.abc import Collection
from typing import Any

HIDDEN = "•••"
SENSITIVE = r"(?:pass(?:word|wd|phrase)?|secret|token|api[_-]?key|access[_-]?key|private[_-]?key|credentials?|auth)"
ROOTS = "bin|boot|dev|etc|home|lib|media|mnt|opt|proc|root|run|srv|sys|tmp|usr|var|Users|Volumes|data|scratch"
VALUE = (
    r"(?:\"[^\"\n]{1,1000}\"|'[^'\n]{1,1000}'|[\"']?[^\s\"',;}]+)"  # as people write one: in quotes it may have spaces
)
RULES = [
    (re.compile(r"-----BEGIN [A-Z ]{0,40}PRIVATE KEY-----.*?(?:-----END [A-Z ]{0,40}PRIVATE KEY-----|\Z)", re.S), HIDDEN),
    (re.compile(rf"(\bauthorization[\"']?\s{{0,5}}[=:]\s{{0,5}}[\"']?(?:[a-z]{{1,20}} )?){VALUE}", re.I), rf"\1{HIDDEN}"),
    (re.compile(r"\b(bearer )[\w.~+/-]{8,}=*", re.I), rf"\1{HIDDEN}"),
    (re.compile(r"(://(?:hooks\.slack\.com|(?:[\w-]{1,40}\.)?discord(?:app)?\.com/api/webhooks|[\w.-]{1,100}\.webhook\.office\.com)/)[^\s\"'<>]+", re.I), rf"\1{HIDDEN}"),
    (re.compile(r"([?&][\w-]{0,40}(?:signature|sig|key)=)[^\s&\"'<>]+", re.I), rf"\1{HIDDEN}"),
    (re.compile(rf"(--[\w-]{{0,60}}{SENSITIVE}[\w-]{{0,60}} ){VALUE}", re.I), rf"\1{HIDDEN}"),
    (re.compile(r"\b([a-z][a-z0-9+.-]{1,20}://)[^\s/@]{1,400}@", re.I), r"\1"),
    (re.compile(r"\bfile://\S+", re.I), HIDDEN),
    (re.compile(r"[\w.+%-]{1,100}@[\w-]{1,100}(?:\.[\w-]{1,100})+"), HIDDEN),
    (re.compile(r"\b(?:studio_|gh[pousr]_|github_pat_|glpat-|hf_|sk-|xox[abprs]-|AKIA|ASIA|eyJ)[\w.-]{8,}"), HIDDEN),
    (re.compile(rf"(\b[\w.-]{{0,60}}{SENSITIVE}[\w.-]{{0,60}}[\"']?\s{{0,5}}[=:]\s{{0,5}}){VALUE}", re.I), rf"\1{HIDDEN}"),
    (re.compile(r"\b[A-Z][A-Z0-9_]{2,60}=[^\s,;]+"), HIDDEN),
    (re.compile(r"([\"'])(?:~?/|[A-Za-z]:[\\/]|\\\\)[^\"'\n]{1,1000}\1"), HIDDEN),
    (re.compile(r"(?<!\w)[A-Za-z]:[\\/][^\s\"'<>|]+"), HIDDEN),
    (re.compile(r"\\\\[\w.-]+\\[^\s\"'<>|]+"), HIDDEN),
    (re.compile(r"(?<![\w.:/~-])(?:~(?:/[^\s\"'<>|:;,()\[\]{}]+)+|(?:/[^\s\"'<>|:;,()/\[\]{}]+){2,}/?)"), HIDDEN),
    (re.compile(rf"(?<![\w.:/~-])/(?:{ROOTS})\b/?"), HIDDEN),
    (re.compile(r"\b(?:\d{1,3}\.){3}\d{1,3}\b(?::\d{1,5})?"), HIDDEN),
    (re.compile(r"\b(?:[0-9a-f]{1,4}:){4,7}[0-9a-f]{1,4}\b", re.I), HIDDEN),
    (re.compile(r"(?<![\w:])(?=[0-9a-f:]{0,39}\d)(?:[0-9a-f]{1,4}:){1,6}(?::[0-9a-f]{1,4}){1,6}(?![\w:])", re.I), HIDDEN),
    (re.compile(r"(?<![\w.-])(?:[\w-]{1,63}\.){1,6}(?:internal|localdomain|local|lan|corp|intranet)(?![\w.(-])", re.I), HIDDEN),
    (re.compile(r"\b((?:https?|wss?|tcp|redis|mysql|postgres|postgresql)://)[\w-]{1,63}(?![\w.-])", re.I), rf"\1{HIDDEN}"),
]  # fmt: skip
IS_SECRET = re.compile(SENSITIVE, re.I)
CONTROL = re.compile(r"\x1b(?:\[[0-?]*[ -/]*[@-~]|\][^\x07\x1b]*(?:\x07|\x1b\\))|[\x00-\x08\x0b-\x1f\x7f]")
SHORTEST = 3  # letters of a name that is hidden wherever it stands as a word


def text(value: str, names: Collection[str] = ()) -> str:
    """`value` without such words and without control characters; `names` are hidden where they stand as words."""
    value = CONTROL.sub("", value)
    for pattern, instead in RULES:
        value = pattern.sub(instead, value)
    known = sorted((re.escape(name) for name in names if len(name) >= SHORTEST), key=len, reverse=True)
    return re.sub(rf"(?<![\w-])(?:{'|'.join(known)})(?![\w-])", HIDDEN, value, flags=re.I) if known else value


def tree(value: Any, names: Collection[str] = ()) -> Any:
    """The same for every text in nested lists and mappings, keys and all."""
    if isinstance(value, str):
        return text(value, names)
    if isinstance(value, dict):
        return {text(str(key), names): tree(item, names) for key, item in value.items()}
    return [tree(item, names) for item in value] if isinstance(value, list | tuple) else value


def option(name: str, value: str, names: Collection[str] = ()) -> str:
    """The value of a named choice: all of it is hidden where the name says that it is a secret."""
    return HIDDEN if IS_SECRET.search(name) and not _is_plain(value) else text(value, names)


def _is_plain(value: str) -> bool:
    """Numbers and yes or no tell no secret: `max_tokens: 512`."""
    return re.fullmatch(r"[\d.,eE+-]{1,12}|yes|no|none|default|", value) is not None
