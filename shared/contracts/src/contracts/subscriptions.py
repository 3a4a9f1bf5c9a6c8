"""Who listens to what: the bindings of each service's work queue.

A test of each service compares this table with its handlers, so neither can drift.
"""

from collections.abc import Mapping

from contracts import events

USER_SYNCER_CHUNK_PLANNED = "user-syncer.chunk-planned"
"""user-syncer's own ticket: one message per planned chunk, so that its queue depth is honest."""

SUBSCRIPTIONS: Mapping[str, tuple[str, ...]] = {
    "project-api": (events.LinkRemoved.routing_key,),
    "link-provisioner": (
        events.ProjectCreated.routing_key,
        events.ProvisioningRequested.routing_key,
        events.ProvisioningCancelled.routing_key,
        events.SuspensionRequested.routing_key,
        events.RemovalRequested.routing_key,
        events.AccessRevoked.routing_key,
    ),
    "user-syncer": (
        events.ProjectCreated.routing_key,
        events.ProvisioningRequested.routing_key,
        events.ProvisioningCancelled.routing_key,
        events.SuspensionRequested.routing_key,
        events.RemovalRequested.routing_key,
        events.LinkEnsured.routing_key,
        USER_SYNCER_CHUNK_PLANNED,
    ),
    "status-projector": tuple(event.routing_key for event in events.RECORDED),
}
