"""The backbone's own metrics; every name begins with ``uca_``. Durations are seconds."""

from prometheus_client import Counter, Gauge, Histogram

FAST = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 300)

HANDLED = Counter("uca_messages_handled_total", "Messages by type and outcome", ("type", "outcome"))
HANDLING = Histogram("uca_message_handling_seconds", "From delivery to ack", ("type",), buckets=FAST)
AGE = Histogram("uca_message_age_seconds", "From an event's commit to its delivery", ("type",), buckets=(*FAST, 3600))
IN_FLIGHT = Gauge("uca_messages_in_flight", "Deliveries being handled")
RETRIES = Counter("uca_message_retries_total", "Messages sent to a retry rung", ("type", "rung"))
PARKED = Counter("uca_messages_parked_total", "Messages parked as dead letters", ("reason",))
PARKED_OPEN = Gauge("uca_parked_messages", "Dead letters that wait for a person")
PUBLISHED = Counter("uca_messages_published_total", "Messages confirmed by the broker", ("lane",))
PUBLISH_FAILURES = Counter("uca_publish_failures_total", "Publishes without a confirm; the outbox keeps them")
OUTBOX_ROWS = Gauge("uca_outbox_messages", "Messages committed and not yet confirmed by the broker, 100,000 at most")
OUTBOX_AGE = Gauge("uca_outbox_oldest_seconds", "Age of the oldest message not yet confirmed")
QUEUE_DEPTH = Gauge("uca_queue_messages", "Messages ready in this service's queue", ("queue",))
QUEUE_CONSUMERS = Gauge("uca_queue_consumers", "Consumers of this service's queue", ("queue",))
CONNECTED = Gauge("uca_broker_connected", "1 while consuming")
RECONNECTS = Counter("uca_broker_reconnects_total", "Times that the consumer had to start over", ("reason",))
DATABASE_UP = Gauge("uca_database_up", "1 while the last look at the database succeeded")
LEASES_HELD = Gauge("uca_leases_held", "Rows that this process holds a lease on")
LEASES_LOST = Counter("uca_leases_lost_total", "Leases that another worker or a newer run took over")
TASK_FAILURES = Counter("uca_background_failures_total", "Failed rounds of a background task", ("task",))
TASK_FAILING = Gauge(
    "uca_background_failing", "1 from a failed round of a background task to its next good one", ("task",)
)
FAILPOINTS = Counter("uca_failpoint_hits_total", "Failpoints that acted", ("name",))
