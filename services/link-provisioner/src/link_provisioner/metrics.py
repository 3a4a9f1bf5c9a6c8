"""What link-provisioner counts beside the backbone and the clouds."""

from prometheus_client import Counter

LINKS = Counter(
    "uca_links_total",
    "Runs settled, by outcome: created, adopted, unchanged, suspended, removed, failed; came_late: removed again",
    ("outcome",),
)
