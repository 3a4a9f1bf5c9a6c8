"""Whether the database is away, or the statement is at fault: the driver has many ways to tell of the first."""

from collections.abc import Iterator
from contextlib import contextmanager

import asyncpg

_AWAY = (
    asyncpg.exceptions.PostgresConnectionError,
    asyncpg.exceptions.CannotConnectNowError,
    asyncpg.exceptions.OperatorInterventionError,
    asyncpg.exceptions.InsufficientResourcesError,
    asyncpg.exceptions.ReadOnlySQLTransactionError,
    asyncpg.exceptions.IdleInTransactionSessionTimeoutError,
    asyncpg.exceptions.SerializationError,
    asyncpg.exceptions.DeadlockDetectedError,
)

OUTDATED = (asyncpg.exceptions.InvalidCachedStatementError, asyncpg.exceptions.OutdatedSchemaCacheError)
"""The schema has changed since statements were prepared; the driver prepares anew by itself outside a transaction."""


class DatabaseUnavailable(Exception):
    """The database, not the statement, is at fault: the same work may be tried again later as it is.

    Whether a commit in flight took effect is unknown, which is why every piece of work can be told from its repeat.
    """


@contextmanager
def telling_apart() -> Iterator[None]:
    """Gives the many ways in which a database can be away one name."""
    try:
        yield
    except DatabaseUnavailable:
        raise
    except Exception as error:
        if is_away(error):
            raise DatabaseUnavailable(repr(error)) from error
        raise


def is_away(error: Exception) -> bool:
    if isinstance(error, (TimeoutError, OSError, *_AWAY)):
        return True
    if isinstance(error, asyncpg.InternalClientError):
        return True  # a server that ends in the middle of an answer leaves the driver in a state that it doesn't know
    # A value that the driver cannot send is a mistake of ours.
    return isinstance(error, asyncpg.InterfaceError) and not isinstance(error, ValueError)
