"""What there is to act on, as far as answers tell: projects, users, tenants, and addresses that are free again."""

import itertools
from random import Random

from tests.chaos.history import Sent

REGIONS = "region-1", "region-2"
ROLES = "member", "member", "tenant_admin", "admin"
FEWEST_USERS = 10
BUSY = 5
"""Users to whom half of all changes of users go: two changes of one user are what is hard."""


class Population:
    """Drawn from by operations; :meth:`learn` is told of every answer.

    Addresses come back on purpose: a user who takes one that another had takes over an account on the cloud.
    """

    def __init__(self, seed: int) -> None:
        self.seed = seed
        self.users: dict[int, str] = {}
        """E-mail by id."""
        self.tenants: list[int] = []
        self.projects: dict[str, str] = {}
        """Name by identifier."""
        self.members: dict[str, list[int]] = {}
        """Users who were named last, by identifier."""
        self.leaving: set[str] = set()
        """Projects whose removal was asked for; they are asked of now and then all the same."""
        self._free: list[str] = []
        self._numbers = itertools.count(1)

    def new_name(self, kind: str) -> str:
        """A name that nothing has yet."""
        return f"{kind}{self.seed}-{next(self._numbers)}"

    def some_project(self, random: Random) -> str | None:
        """None where there is none."""
        there = [each for each in self.projects if each not in self.leaving or random.random() < 0.15]
        return random.choice(there) if there else None

    def some_users(self, random: Random) -> list[int]:
        return random.sample(sorted(self.users), min(len(self.users), random.randint(0, 5)))

    def some_user(self, random: Random, identifier: str | None) -> int | None:
        """Mostly one who is in that project; without one anybody, the busy ones first. None where there is nobody."""
        inside = [each for each in self.members.get(identifier or "", ()) if each in self.users]
        among = inside if inside and random.random() < 0.8 else sorted(self.users)
        if among and identifier is None and random.random() < 0.5:
            among = among[:BUSY]
        return random.choice(among) if among else None

    def some_email(self, random: Random, again: float) -> str:
        """An address; with the chance ``again`` one that was somebody else's."""
        if self._free and random.random() < again:
            return random.choice(self._free)
        return f"{self.new_name('e')}@X.test"

    def learn(self, sent: Sent) -> None:
        """Takes over what an answer, or its absence, tells."""
        data = sent.answer.get("data")
        match sent.name:
            case "create" if sent.accepted:
                self.projects.setdefault(sent.answer["identifier"], sent.body["name"])
                self.members.setdefault(sent.answer["identifier"], sent.body["user_ids"])
            case "members" if sent.project and sent.accepted:
                self.members[sent.project] = sent.body["user_ids"]
            case "delete" if sent.project and (sent.accepted or sent.unsure):
                self.leaving.add(sent.project)
            case "user-create" if sent.accepted and isinstance(data, dict):
                self.users[data["id"]] = data["email"]
            case "users-import" if sent.accepted and isinstance(data, list):
                self.users |= {each["id"]: each["email"] for each in data}
            case "user-email" if sent.user in self.users and (sent.accepted or sent.unsure):
                self._free.append(self.users[sent.user])
                if sent.accepted:
                    self.users[sent.user] = sent.body["email"]
            case "user-remove" if sent.user in self.users and (sent.accepted or sent.unsure):
                self._free.append(self.users.pop(sent.user))
            case "tenant-create" if sent.accepted and isinstance(data, dict):
                self.tenants.append(data["id"])
            case "tenant-remove" if sent.accepted or sent.unsure:
                self.tenants = [each for each in self.tenants if each != sent.tenant]
            case _:
                return
