"""The copy of a status that lists are filtered by, put right."""

from project_api.testing import World


async def test_a_run_that_goes_on_is_opened_again(world: World) -> None:
    """A project closed while its run goes on is put right though its word is: else no sweep would look at it."""
    identifier = await world.create()
    await world.rows("UPDATE projects SET open = false WHERE identifier = $1", identifier)
    for fixed in (1, 0):
        assert (await world.post(f"/{identifier}/sync-status")).json()["fixed"] == fixed
        (row,) = await world.rows("SELECT open, status FROM projects WHERE identifier = $1", identifier)
        assert tuple(row) == (True, "provisioning")
