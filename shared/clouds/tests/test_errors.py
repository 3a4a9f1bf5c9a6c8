"""Errors show a cloud's words, and never a secret or markup."""

import pytest
from clouds.errors import (
    Conflict,
    Forbidden,
    ProviderUnavailable,
    RateLimited,
    TimeoutUnknown,
    Transient,
    clean,
    waits_for,
)

SECRET = "wJalrXUtnFEMIK7MDENGbPxRfiCYEXAMPLEKEY"


@pytest.mark.parametrize(
    "text",
    [
        f'{{"secret": "{SECRET}"}}',
        f"secretKey={SECRET}&x=1",
        f"password: '{SECRET}'",
        f"Authorization: Bearer {SECRET}",
        f"<SecretAccessKey>{SECRET}</SecretAccessKey>",
        f"X-Subject-Token: {SECRET}",
        f"something {SECRET}",
        "password=hunter2 was refused",
    ],
)
def test_secrets_are_hidden(text: str) -> None:
    """Whatever shape the cloud's words have, what looks like a secret is gone."""
    shown = str(Forbidden(text))
    assert SECRET not in shown
    assert "hunter2" not in shown


def test_words_are_cleaned_and_cut() -> None:
    """Markup and control characters vanish, and the rest is short."""
    assert clean("<html><b>404</b>\x00\n Not  Found</html>") == "404 Not Found"
    assert len(clean("word " * 1000)) == 200


def test_each_error_says_whether_to_try_again() -> None:
    """A lost answer may be tried again, a refusal may not, and a wait costs no try."""
    assert Transient("x").retryable
    assert TimeoutUnknown("x").code == "cloud_timeout"
    assert not Conflict("x", code="name_taken").retryable
    assert Conflict("x", code="name_taken").code == "name_taken"
    assert RateLimited("x", retry_after=3).retry_after == 3
    parked = ProviderUnavailable("x", retry_after=5, reason="maintenance")
    assert (parked.retryable, parked.costs_try, parked.reason) == (True, False, "maintenance")


def widely_failing() -> Transient:
    """As a region raises it that is in trouble."""
    error = Transient("x")
    error.costs_try = False
    return error


@pytest.mark.parametrize(
    ("error", "code"),
    [
        (ProviderUnavailable("x", retry_after=1, reason="breaker"), "provider"),
        (ProviderUnavailable("x", retry_after=1, reason="login"), "provider"),
        (ProviderUnavailable("x", retry_after=1, reason="maintenance"), "maintenance"),
        (ProviderUnavailable("x", retry_after=1, reason="rate"), "rate"),
        (RateLimited("x", retry_after=1), "rate"),
        (Transient("x"), "retry"),
        (widely_failing(), "provider"),
        (KeyError("secret"), "retry"),
    ],
)
def test_a_wait_has_one_of_four_reasons(error: Exception, code: str) -> None:
    """An error of ours tells people nothing of its inside."""
    word, message = waits_for(error)
    assert (word, "secret" in message) == (code, False)
