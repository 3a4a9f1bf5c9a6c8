"""How the cloud refuses: one exception per HTTP status, its words meant for the caller."""


class Refusal(Exception):
    """Ends a call with `status`, and with nothing changed."""

    status = 400

    def __init__(self, message: str, *, code: str | None = None) -> None:
        """`code` is the AWS error code where a call speaks that protocol and the status alone does not tell it."""
        super().__init__(message)
        self.message = message
        self.code = code


class Invalid(Refusal):
    """The request cannot be served as it is."""

    status = 400


class Unauthorized(Refusal):
    """No token, a wrong or old one, or a login that failed."""

    status = 401


class Forbidden(Refusal):
    """The caller is known and may not do this."""

    status = 403


class NotFound(Refusal):
    """What the path names does not exist."""

    status = 404


class Conflict(Refusal):
    """A name is taken, or a limit is reached."""

    status = 409
