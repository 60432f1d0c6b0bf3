"""The second net: words that people, programs and libraries print, and that no page for others may hold."""

from __future__ import annotations

import time

import pytest

from studio.reports import redact

PEM = "-----BEGIN RSA PRIVATE KEY-----\nMIIEpcanaryAIBAAKC\nAQEAcanary0Z3\n-----END RSA PRIVATE KEY-----"


@pytest.mark.parametrize(
    "said",
    [
        "Authorization: Bearer canary.canary-12",
        "{'Authorization': 'Basic canaryQ2FuYXJ5'}",
        "sent with bearer canary.canary-12",
        'password="canary with canary in it"',
        "client_secret = 'canary and canary'",
        '{"api_key": "canary canary", "x": 1}',
        "train.py --api-key canary12 --lr 1",
        "train.py --db-password 'canary and canary'",
        PEM,
        PEM.partition("-----END")[0],
        "https://hooks.slack.com/services/T0/B0/canary",
        "https://discord.com/api/webhooks/1/canary",
        "https://some.s3.amazonaws.com/x?X-Amz-Date=1&X-Amz-Signature=canary",
        "https://some.blob.core.windows.net/c?sv=1&sig=canary%2B1",
        "ssh canary-7.eu.internal",
        "canary.cluster.local refused",
        "http://canary:6006/ is up",
        "tcp://canary:29500",
        "postgres://user:canary@db.example/x",
        "export TOKEN=canary",
        "'/srv/my canary/x' and ~/canary and C:\\canary\\x and \\\\canary\\share",
    ],
)
def test_what_must_not_leave_the_studio_is_hidden(said: str) -> None:
    for text in (said, f"before {said} after", said.replace("canary", "CANARY")):
        assert "canary" not in redact.text(text).lower(), redact.text(text)


@pytest.mark.parametrize(
    "said", ["fe80::1ff:fe23:4567:890a", "2001:db8::8a2e:370:7334", "10.9.8.7:80", "0:1:2:3:4:5:6:7"]
)
def test_addresses_of_machines_are_hidden(said: str) -> None:
    assert redact.text(f"from {said} now") == f"from {redact.HIDDEN} now"


@pytest.mark.parametrize(
    "said",
    [
        "val_loss 0.25 at step 1,200", "train/loss and val/acc", "std::vector<int>, torch::jit", "at 10:20:30",
        "a bearer of news", "a threading.local()", "see https://wiki.example/page?a=1", "key: no, keys: many",
        "sha256 0123456789abcdef0123456789abcdef", "epoch 3 of 10", "lr=3e-4, batch_size=32",
    ],
)  # fmt: skip
def test_what_tells_of_the_training_stays(said: str) -> None:
    assert redact.text(said) == said


@pytest.mark.parametrize(
    "piece", ["a", "a.", "--", "?a", "token-", 'secret="', "-----BEGIN PRIVATE KEY-----", "a:", "/a"]
)
def test_no_text_takes_long(piece: str) -> None:
    began = time.process_time()
    redact.text(piece * (64_000 // len(piece)))
    assert time.process_time() - began < 5.0
