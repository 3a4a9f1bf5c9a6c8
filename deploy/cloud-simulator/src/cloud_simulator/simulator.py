"""One simulated cloud with all that belongs to it, so that a reset has one place."""

from collections import Counter

from cloud_simulator.behaviour import Behaviour, Faults
from cloud_simulator.cloud import Cloud
from cloud_simulator.keys import Keyring
from cloud_simulator.settings import Settings
from cloud_simulator.stats import Stats
from cloud_simulator.tokens import Tokens


class Simulator:
    """What the HTTP side works on."""

    def __init__(self, settings: Settings) -> None:
        self.settings = settings
        self.tokens = Tokens()
        self.faults = Faults(Behaviour())
        self.stats = Stats()
        self._begin()

    def reset(self) -> None:
        """Objects, counts and behaviour as at the start. Tokens live on: a session is no object of the cloud."""
        self.faults.set(Behaviour())
        self.stats.reset()
        self._begin()

    def wraps(self, collection: str) -> bool:
        """Whether this answer puts its list into an object: by default every second one does, the first does not."""
        shape = self.faults.behaviour.list_shape
        self._lists_answered[collection] += 1
        return shape == "wrapped" or (shape == "alternate" and self._lists_answered[collection] % 2 == 0)

    def _begin(self) -> None:
        self.cloud = Cloud(self.settings.accounts)
        self.keyring = Keyring(self.cloud, limit=self.settings.key_limit, secret_mark=self.settings.mark_secrets)
        self._lists_answered: Counter[str] = Counter()
