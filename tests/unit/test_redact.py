"""What is blacked out, and what is not."""

from __future__ import annotations

import pytest

from bench.redact import redacted


@pytest.mark.parametrize(
    "text",
    [
        "refused: sk-proj-abcdefghijklmnop1234 is no key",
        "hf_AbCdEfGhIjKlMnOpQrStUv",
        "ghp_0123456789abcdef0123456789abcdef0123",
        "AKIAIOSFODNN7EXAMPLE",
        "GET https://me:hunter22@example.org/x failed",
        "Authorization: Bearer abc.def-ghi_jkl==",
    ],
)
def test_what_looks_like_a_key_is_blacked_out(text: str) -> None:
    found = redacted(text)
    assert "[redacted]" in found
    for secret in ("proj", "AbCd", "0123456789", "IOSFO", "hunter22", "abc.def"):
        assert secret not in found


def test_a_secret_of_the_environment_is_blacked_out_wherever_it_stands(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MY_PASSWORD", "correct horse battery")
    monkeypatch.setenv("MY_PASSWORD_LONG", "correct horse battery staple")
    assert redacted("it was 'correct horse battery staple'!") == "it was '[redacted]'!"
    assert redacted("it was correct horse battery, no more") == "it was [redacted], no more"


def test_other_texts_stay_as_they_are(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("A_TOKEN", "short")
    monkeypatch.setenv("TOKENIZERS_PARALLELISM", "false")
    for text in (
        "",
        "a short text, which is false",
        "folder:/data/set: line 3: no such document 'sk-1'",
        "https://example.org:443/a@b",
        "the bearer of this has a key",
        "risk-based-assessment-of-everything",
        "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855",
    ):
        assert redacted(text) == text
