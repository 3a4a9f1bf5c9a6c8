"""What can go wrong on a cloud, as one family: a code for clients, whether to try again, words safe to show.

The text of a cloud's answer is untrusted: it is cleaned and cut here, and nothing that looks like a secret survives.
"""

import re
from typing import Literal

TEXT_LIMIT = 200
"""Characters of a cloud's own words that an error may carry."""

Reason = Literal["breaker", "login", "maintenance", "rate"]

_UNPRINTABLE = re.compile(r"[^\x20-\x7e\u00a0-\uffff]+")
_MARKUP = re.compile(r"<[^>]{0,200}>")
_SECRETS = re.compile(
    r"""(?ix) (["']? [\w-]* (?: secret | password | passwd | token | api[_-]?key | authorization | signature )
        [\w-]* ["']? \s*[:=]\s*) (?: "[^"]*" | '[^']*' | (?:bearer\s+)? [^\s,;&"'}]+ )"""
)
_LONG_WORDS = re.compile(r"[A-Za-z0-9+/=_-]{30,}")


def clean(text: str) -> str:
    """A cloud's words made safe to show: no markup, control character or secret, at most ``TEXT_LIMIT`` long.

    A run of 30 letters and digits is taken for a key or token, and so is what follows a word like ``password``.
    """
    text = _MARKUP.sub(" ", text[: TEXT_LIMIT * 10])
    text = _SECRETS.sub(r"\1[hidden]", _UNPRINTABLE.sub(" ", text))
    text = " ".join(_LONG_WORDS.sub("[hidden]", text).split())
    return text if len(text) <= TEXT_LIMIT else text[: TEXT_LIMIT - 1] + "…"


class CloudError(Exception):
    """A call on a cloud failed; ``code`` is for clients, ``str()`` is for people, ``retryable`` for the worker."""

    code = "cloud_error"
    retryable = False
    retry_after: float | None = None
    """Seconds that the cloud asks to be left alone, where it says so."""
    costs_try = True
    """False where the work only waits: a rate limit, an open breaker, maintenance, a cloud that fails as a whole."""

    def __init__(self, message: str, *, code: str | None = None) -> None:
        super().__init__(clean(message))
        if code is not None:
            self.code = code


class AuthExpired(CloudError):
    """The cloud refuses our token, also after one fresh login. A refused login is a ProviderUnavailable."""

    code = "auth_failed"
    retryable = True


class Forbidden(CloudError):
    """Our account on the cloud lacks the right."""

    code = "forbidden"


class NotFound(CloudError):
    """The object is not there (or the address is not the cloud's)."""

    code = "not_found"


class Conflict(CloudError):
    """It is there already: ``name_taken`` where it does not bear our mark, ``key_limit`` where no key more fits."""

    code = "conflict"


class Invalid(CloudError):
    """The cloud does not accept what was sent, or answers what cannot be understood; the same again fails again."""

    code = "invalid"


class RateLimited(CloudError):
    """429; ``retry_after`` is in seconds. It costs no try."""

    code = "rate_limited"
    retryable = True
    costs_try = False

    def __init__(self, message: str, *, retry_after: float) -> None:
        super().__init__(message)
        self.retry_after: float = retry_after


class Transient(CloudError):
    """The call had no effect, or may safely be made again."""

    code = "cloud_unavailable"
    retryable = True


class TimeoutUnknown(Transient):
    """No answer to a call that may have had its effect: look before making it again."""

    code = "cloud_timeout"


class ProviderUnavailable(CloudError):
    """No call was made: the work waits ``retry_after`` seconds, and no try is spent."""

    code = "waiting_for_provider"
    retryable = True
    costs_try = False

    def __init__(self, message: str, *, retry_after: float, reason: Reason) -> None:
        super().__init__(message)
        self.retry_after: float = retry_after
        self.reason = reason


def waits_for(error: Exception) -> tuple[str, str]:
    """What a further try waits for (provider, rate, maintenance or retry), and the words for a person."""
    match error:
        case ProviderUnavailable(reason="breaker" | "login"):
            return "provider", str(error)
        case ProviderUnavailable():
            return error.reason, str(error)
        case RateLimited():
            return "rate", str(error)
        case CloudError():
            return "retry" if error.costs_try else "provider", str(error)
    return "retry", "Something went wrong on our side."
