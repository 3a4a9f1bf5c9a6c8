"""What user-syncer counts beside the backbone and the clouds. Durations are seconds."""

from prometheus_client import Counter, Gauge, Histogram

USERS = Counter("uca_users_synced_total", "Users by outcome: synced, unchanged, revoked, failed", ("outcome",))
STRAYS = Counter("uca_stray_keys_revoked_total", "Keys revoked because their secret was never stored")
UNTAKEN = Counter(
    "uca_access_not_taken_total",
    "Users whom no run names and whose access or stray keys the cloud refused to take; the sweep tries again",
)
DRIFT = Gauge(
    "uca_drift_users", "Users, and projects themselves, whose cloud differs from our records by the last sweep"
)
ORPHANS = Gauge("uca_orphan_projects", "Cloud projects with our mark that no project of ours should have", ("region",))
CHUNK_SECONDS = Histogram(
    "uca_chunk_seconds",
    "From taking a chunk to its last record, a wait for another try included as its end",
    buckets=(0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 300),
)
CHUNKS_OPEN = Gauge("uca_chunks_open", "Chunks not yet done, those in hand and those that wait for their time included")
CHUNKS_WAITING = Gauge("uca_chunks_waiting", "Chunks that wait for another try, a rate limit or a region")
CHUNK_OLDEST = Gauge("uca_chunk_oldest_seconds", "Age of the oldest chunk not yet done")
