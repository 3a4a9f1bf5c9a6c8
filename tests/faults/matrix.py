"""The matrix: every fault by number, and what carries it out."""

from collections.abc import Sequence

from tests.faults import breaking_broker, breaking_database, clouds_and_clocks, killing, messages, network, overload
from tests.faults.trial import Row

ROWS: Sequence[Row] = (
    Row(1, "SIGKILL at each failpoint", killing.die_at_failpoints),
    Row(2, "a random service killed every 3 s for 5 min", killing.die_at_random, quick=False),
    Row(3, "SIGSTOP of workers that hold leases", killing.freeze),
    Row(4, "broker SIGKILL and graceful restarts", breaking_broker.broker_ends),
    Row(5, "broker SIGSTOP", breaking_broker.broker_freezes),
    Row(6, "Postgres immediate restarts", breaking_database.database_restarts),
    Row(7, "Postgres SIGSTOP", breaking_database.database_freezes),
    Row(8, "network cut, late, deaf on one side", network.bad_network, quick=False),
    Row(9, "cut exactly at COMMIT", breaking_database.cut_at_commit),
    Row(10, "every event 5 times, shuffled", messages.shuffled),
    Row(11, "poison", messages.poison),
    Row(12, "cloud: 500, 429, hang, success then cut", clouds_and_clocks.cloud_misbehaves),
    Row(13, "broker disk alarm", breaking_broker.disk_alarm),
    Row(14, "Postgres data on a full tmpfs", breaking_database.disk_full),
    Row(15, "clocks 10 min ahead and behind", clouds_and_clocks.clocks_differ),
    Row(16, "queue and bindings deleted while running", breaking_broker.queue_deleted),
    Row(17, "handler beyond consumer_timeout", breaking_broker.consumer_timeout, quick=False),
    Row(18, "event loop blocked", killing.block),
    Row(19, "a tenant's flood", overload.flood, quick=False),
)
