import pytest
from cloud_simulator.cloud import Cloud, Project, User
from cloud_simulator.errors import Conflict, NotFound, Unauthorized
from cloud_simulator.keys import Keyring
from cloud_simulator.stats import duplicate_keys


@pytest.fixture
def cloud() -> Cloud:
    return Cloud(["uca"])


@pytest.fixture
def keyring(cloud: Cloud) -> Keyring:
    return Keyring(cloud, limit=2, secret_mark="canary-")


@pytest.fixture
def shop(cloud: Cloud) -> Project:
    return cloud.create_project(cloud.account("uca").id, "shop", "", [])


@pytest.fixture
def ann(cloud: Cloud) -> User:
    return cloud.create_user(cloud.account("uca").id, "ann", "", "pw", None)


def test_a_key_works_with_both_a_role_and_a_policy(cloud: Cloud, keyring: Keyring, shop: Project, ann: User) -> None:
    """Neither alone is enough, and revoking the role ends it."""
    key, secret = keyring.issue(shop, ann)
    with pytest.raises(Unauthorized, match="no role"):
        keyring.authenticate(key.access_key, secret)
    cloud.grant(shop, ann, "_member_")
    with pytest.raises(Unauthorized, match="no policy"):
        keyring.authenticate(key.access_key, secret)
    cloud.hold(shop, ann).policies.add("Full")
    assert keyring.authenticate(key.access_key, secret) == key
    with pytest.raises(Unauthorized, match="wrong"):
        keyring.authenticate(key.access_key, "another secret")
    cloud.revoke(shop, ann, "_member_")
    with pytest.raises(Unauthorized):
        keyring.authenticate(key.access_key, secret)


def test_secrets_bear_the_mark_and_are_not_kept(keyring: Keyring, shop: Project, ann: User) -> None:
    """A secret can be found wherever it leaks to, and not in the simulator."""
    key, secret = keyring.issue(shop, ann)
    assert secret.startswith("canary-")
    assert secret not in repr(key)


def test_the_limit_is_per_user_and_project(cloud: Cloud, keyring: Keyring, shop: Project, ann: User) -> None:
    """A third key is refused until one is revoked; another project has its own count."""
    keyring.issue(shop, ann)
    newer, _ = keyring.issue(shop, ann)
    with pytest.raises(Conflict):
        keyring.issue(shop, ann)
    keyring.issue(cloud.create_project(ann.account_id, "other", "", []), ann)
    keyring.revoke(ann, newer.access_key)
    keyring.issue(shop, ann)


def test_a_key_left_beside_a_newer_one_counts_while_it_is_there(
    cloud: Cloud, keyring: Keyring, shop: Project, ann: User
) -> None:
    """A rotation that ends by revoking the old key leaves no duplicate."""
    older, _ = keyring.issue(shop, ann)
    keyring.issue(shop, ann)
    assert duplicate_keys(cloud) == 1
    keyring.revoke(ann, older.access_key)
    assert duplicate_keys(cloud) == 0


def test_a_key_is_revoked_by_its_own_user_only(cloud: Cloud, keyring: Keyring, shop: Project, ann: User) -> None:
    """Another user's name does not reach it."""
    bob = cloud.create_user(ann.account_id, "bob", "", "pw", None)
    key, _ = keyring.issue(shop, ann)
    with pytest.raises(NotFound):
        keyring.revoke(bob, key.access_key)


def test_keys_go_with_their_project_or_user(cloud: Cloud, keyring: Keyring, shop: Project, ann: User) -> None:
    """No key outlives what it gives access to."""
    keyring.issue(shop, ann)
    keyring.drop(cloud.delete_project(shop))
    keyring.issue(cloud.create_project(ann.account_id, "other", "", []), ann)
    keyring.drop(cloud.delete_user(ann))
    assert keyring.keys == {}
