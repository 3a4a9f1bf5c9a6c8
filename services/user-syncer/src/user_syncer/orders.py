"""What is to be done for one user, and what follows from how it went. Pure."""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace

from backbone.retries import GiveUp, Retry, decide
from clouds.errors import waits_for
from clouds.port import KeyChange, UserChange, UserOutcome
from contracts.events import Step
from contracts.status import Kind
from pydantic import TypeAdapter


@dataclass(frozen=True, slots=True)
class Order:
    """One user's part of a chunk. ``role`` is the directory's; ``tries`` are those made without success."""

    change: UserChange
    email: str
    role: str = ""
    tries: int = 0
    quiet: bool = False
    """Nobody waits for word of this user: the run doesn't name them, or only a lost key is looked for."""
    changed: tuple[str, ...] = ()
    """What was done already, told once the rest is."""
    stored: bool = False
    """The new key is stored; only what it replaces is still to be revoked."""

    @property
    def user_id(self) -> int:
        return self.change.user_id

    @property
    def revokes(self) -> bool:
        return self.change.leaves

    @property
    def settles(self) -> bool:
        """Something may be revoked only after the outcome is stored."""
        return bool(self.change.keys.retire or self.change.former) and not self.change.leaves


_ORDERS = TypeAdapter(tuple[Order, ...])


def to_json(orders: Iterable[Order]) -> str:
    """For a chunk's row."""
    return _ORDERS.dump_json(tuple(orders), exclude_defaults=True).decode()


def from_json(text: str) -> tuple[Order, ...]:
    """From a chunk's row."""
    return _ORDERS.validate_json(text)


def pieces(orders: Sequence[Order], size: int) -> Iterator[Sequence[Order]]:
    """Chunks of at most ``size`` orders, as even as can be: the last one is no straggler."""
    count = -(-len(orders) // size)
    for number in range(count):
        yield orders[number * len(orders) // count : (number + 1) * len(orders) // count]


def again(order: Order) -> Order:
    """The order for a repeat whose first attempt left no trace: it may have issued a key that nobody knows."""
    if not order.change.keys.issue:
        return order
    return replace(order, change=replace(order.change, keys=replace(order.change.keys, look=True)))


def settled_later(order: Order, outcome: UserOutcome) -> Order:
    """What is left of an order whose outcome is about to be stored: to revoke what that replaces."""
    current = outcome.key.id if outcome.key else order.change.keys.current
    keys = KeyChange(current=current, retire=order.change.keys.retire, look=outcome.doubtful)
    rest = UserChange(
        user_id=order.user_id,
        name=order.change.name,
        provider_user_id=outcome.provider_user_id,
        keys=keys,
        former=order.change.former,
    )
    return replace(order, change=rest, changed=outcome.changed, stored=True, tries=0)


@dataclass(frozen=True, slots=True)
class Later:
    """The order as it is to be tried again, in ``delay`` seconds or more; ``code`` says what is waited for."""

    order: Order
    delay: float
    code: str
    message: str


Verdict = Later | GiveUp


def judge(order: Order, error: Exception, *, overdue: bool, max_tries: int, jitter: float) -> Verdict:
    """What follows a failed try. What only waits costs no try, until the run's deadline."""
    verdict = decide(order.tries + 1, error, max_tries=max_tries, jitter=jitter)
    code, message = waits_for(error)
    if isinstance(verdict, Retry) and overdue:
        return overdue_after(order.tries)
    if isinstance(verdict, Retry):
        return Later(replace(order, tries=verdict.attempt - 1), verdict.delay, code, message)
    return verdict if verdict.expected else replace(verdict, code="internal", message=message)


def overdue_after(tries: int) -> GiveUp:
    """The end of a user whose run's time is up."""
    return GiveUp("deadline", "The run did not end before its deadline.", retryable=True, tries=tries, expected=True)


def step_of(kind: Kind) -> Step:
    """The step that people see a failure or a wait of users at."""
    return Step.REMOVE if kind is Kind.REMOVE else Step.USERS
