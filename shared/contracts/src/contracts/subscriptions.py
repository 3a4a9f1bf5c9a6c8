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

PUBLICATIONS: Mapping[str, tuple[str, ...]] = {
    "project-api": (
        events.ProjectCreated.routing_key,
        events.ProvisioningRequested.routing_key,
        events.ProvisioningCancelled.routing_key,
        events.SuspensionRequested.routing_key,
        events.RemovalRequested.routing_key,
        events.ProvisioningFailed.routing_key,
        events.DriftDetected.routing_key,
        "dead-letters.*",
    ),
    "link-provisioner": (
        events.LinkEnsured.routing_key,
        events.LinkSuspended.routing_key,
        events.LinkRemoved.routing_key,
        events.ProvisioningFailed.routing_key,
        events.ProvisioningDelayed.routing_key,
    ),
    "user-syncer": (
        events.UserSynced.routing_key,
        events.UserRevoked.routing_key,
        events.AccessRevoked.routing_key,
        events.ProvisioningFailed.routing_key,
        events.ProvisioningDelayed.routing_key,
        events.DriftDetected.routing_key,
        events.OrphanFound.routing_key,
        USER_SYNCER_CHUNK_PLANNED,
    ),
    "status-projector": (events.StatusChanged.routing_key,),
}
"""Who may say what: the broker refuses a service any other routing key."""

WATCHERS: Mapping[str, str] = {"project-api": events.StatusChanged.routing_key}
"""Services whose replicas each have a short-lived queue of their own, and what it is bound with."""
