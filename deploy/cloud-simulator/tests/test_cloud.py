import pytest
from cloud_simulator.cloud import Cloud, Project, User, role_name
from cloud_simulator.errors import Conflict, Forbidden, Invalid, NotFound


@pytest.fixture
def cloud() -> Cloud:
    return Cloud(["uca", "other"])


def project(cloud: Cloud, name: str = "shop-p1", description: str = "", account: str = "uca") -> Project:
    return cloud.create_project(cloud.account(account).id, name, description, [])


def user(cloud: Cloud, name: str = "ann@x.org", account: str = "uca") -> User:
    return cloud.create_user(cloud.account(account).id, name, name, "pw", None)


def test_account_ids_survive_a_restart() -> None:
    """An account has the same id in every cloud that has its name."""
    assert Cloud(["uca"]).account("uca") == Cloud(["other", "uca"]).account("UCA")


def test_names_are_unique_in_an_account_whatever_their_case(cloud: Cloud) -> None:
    """A second project or user of a name conflicts in its account, and not in another one."""
    project(cloud, "Shop")
    user(cloud, "Ann@x.org")
    with pytest.raises(Conflict):
        project(cloud, "shop")
    with pytest.raises(Conflict):
        user(cloud, "ann@X.org")
    project(cloud, "shop", account="other")
    user(cloud, "ann@x.org", account="other")


def test_a_name_is_free_again_after_a_deletion(cloud: Cloud) -> None:
    """What was deleted does not hold its name."""
    cloud.delete_project(project(cloud))
    cloud.delete_user(user(cloud))
    project(cloud)
    user(cloud)


def test_a_second_project_of_one_mark_is_a_duplicate_for_good(cloud: Cloud) -> None:
    """It counts when it is made, and deleting it takes nothing back."""
    project(cloud, "one", "uca:p1")
    second = project(cloud, "two", "made for uca:p1")
    assert cloud.duplicates_made == 1
    cloud.delete_project(second)
    assert cloud.duplicates_made == 1


def test_a_project_made_again_after_its_deletion_is_no_duplicate(cloud: Cloud) -> None:
    """A mark is taken only while its project is there."""
    cloud.delete_project(project(cloud, "one", "uca:p1"))
    project(cloud, "one", "uca:p1")
    assert cloud.duplicates_made == 0


def test_a_mark_may_stand_in_a_tag(cloud: Cloud) -> None:
    """The description and the tags are searched for the mark."""
    made = cloud.create_project(cloud.account("uca").id, "shop", "", ["blue", "uca:p1"])
    assert made.mark == "uca:p1"


def test_a_user_has_one_role_in_an_account(cloud: Cloud) -> None:
    """Another role takes the place of the first one in every project where the user had one, and adds no grant."""
    ann, first, second, third = user(cloud), project(cloud, "1"), project(cloud, "2"), project(cloud, "3")
    cloud.grant(first, ann, "_member_")
    cloud.hold(third, ann)
    cloud.grant(second, ann, "admin")
    assert {project_id: access.role for project_id, access in cloud.held(ann)} == {
        first.id: "admin",
        second.id: "admin",
        third.id: None,
    }


def test_a_role_or_policy_is_revoked_once(cloud: Cloud) -> None:
    """The second time there is nothing to revoke."""
    ann, shop = user(cloud), project(cloud)
    cloud.grant(shop, ann, "_member_")
    cloud.hold(shop, ann).policies.add("Full")
    cloud.revoke(shop, ann, "_member_")
    cloud.detach_policy(shop, ann, "Full")
    with pytest.raises(NotFound):
        cloud.revoke(shop, ann, "_member_")
    with pytest.raises(NotFound):
        cloud.detach_policy(shop, ann, "Full")


def test_accounts_are_apart(cloud: Cloud) -> None:
    """A token of one account reaches nothing of another, and nobody joins a project of another account."""
    shop, stranger = project(cloud), user(cloud, account="other")
    with pytest.raises(Forbidden):
        cloud.project(shop.id, stranger.account_id)
    with pytest.raises(Forbidden):
        cloud.user(stranger.id, shop.account_id)
    with pytest.raises(Invalid):
        cloud.hold(shop, stranger)


def test_a_role_is_named_by_name_or_id() -> None:
    """The plain member role's id is its name."""
    assert role_name("_member_") == "_member_"
    with pytest.raises(NotFound):
        role_name("emperor")
