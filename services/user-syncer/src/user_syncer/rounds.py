"""What a round of results means: the rows to record, the events to tell, the orders that are left. No I/O."""

from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any

from backbone.retries import GiveUp
from clouds.port import Capabilities, UserOutcome
from contracts.events import Event, ProvisioningFailed, UserRevoked, UserSynced

from user_syncer.model import Chunk, Report, Success
from user_syncer.orders import Later, Order, settled_later, step_of


@dataclass(frozen=True, slots=True)
class Result:
    """How one order went: an outcome (with a new key also its sealed secret), or a verdict on its failure.

    After ``settle_user`` there is no outcome to tell of but the one that was stored before.
    """

    order: Order
    outcome: UserOutcome | None = None
    sealed: bytes | None = None
    verdict: Later | GiveUp | None = None

    @property
    def unsettled(self) -> Order | None:
        """What is still to be revoked, once the outcome is stored."""
        if self.outcome is None or not self.order.settles:
            return None
        return settled_later(self.order, self.outcome)


@dataclass(slots=True)
class Round:
    """Results taken together, for one transaction."""

    chunk: Chunk
    capabilities: Capabilities
    report: Report = field(init=False)
    strays: int = 0
    untaken: list[tuple[int, GiveUp]] = field(default_factory=list)
    """Users whom the run doesn't name, and what of theirs the cloud refuses to take: of interest to operators alone."""
    events: list[Event] = field(default_factory=list)
    left: dict[int, Order | None] = field(default_factory=dict)
    """By user: the order that takes the place of the one carried out; ``None`` where nothing is left."""
    unsettled: list[Order] = field(default_factory=list)
    """Of those, the ones to be carried out as soon as the outcomes are stored."""

    def __post_init__(self) -> None:
        self.report = Report(self.chunk.identifier, self.chunk.run)

    def take(self, results: Iterable[Result]) -> None:
        for result in results:
            self._take(result)

    def _take(self, result: Result) -> None:
        order, rest = result.order, result.unsettled
        self.left[order.user_id] = rest
        if rest is not None:
            self.unsettled.append(rest)
        if isinstance(result.verdict, Later):
            self.left[order.user_id] = result.verdict.order
        elif result.verdict is not None:
            self._give_up(order, result.verdict)
        elif order.revokes:
            self._revoke(order)
        elif order.quiet:
            if rest is None:
                self.report.certain.append(order.user_id)
            self.strays += len(order.change.keys.strays)
        else:
            self._succeed(result, rest)

    def _succeed(self, result: Result, rest: Order | None) -> None:
        order, outcome = result.order, result.outcome
        key = outcome.key if outcome else None
        changed = outcome.changed if outcome else order.changed
        self.report.successes.append(
            Success(
                order.user_id,
                order.email,
                self.capabilities.cloud_role(order.role),
                outcome.provider_user_id if outcome else order.change.provider_user_id,
                changed,
                key.id if key else None,
                result.sealed,
                rest.change.keys.retire if rest else (),
                rest.change.former if rest else (),
                done=rest is None,
                doubtful=outcome.doubtful if outcome else order.change.keys.look,
            )
        )
        if rest is None:
            credential_id = key.id if key else order.change.keys.current
            self.events.append(
                UserSynced(
                    **self._about, user_id=order.user_id, role=order.role, changed=changed, credential_id=credential_id
                )
            )

    def _revoke(self, order: Order) -> None:
        self.report.revoked.append((order.user_id, order.email))
        if not order.quiet:
            self.events.append(UserRevoked(**self._about, user_id=order.user_id))

    def _give_up(self, order: Order, failure: GiveUp) -> None:
        if order.revokes:
            self.report.doubted.append(order.user_id)
        if order.quiet:
            self.untaken.append((order.user_id, failure))
            return
        event = ProvisioningFailed(
            **self._about,
            step=step_of(self.chunk.kind),
            code=failure.code,
            message=failure.message,
            retryable=failure.retryable,
            tries=failure.tries,
            user_id=order.user_id,
            email=order.email,
        )
        begun = not (order.revokes or order.stored)
        self.report.failures.append((event, self.capabilities.cloud_role(order.role) if begun else None))
        self.events.append(event)

    @property
    def _about(self) -> dict[str, Any]:
        return {"identifier": self.chunk.identifier, "run": self.chunk.run}
