"""What holds for every route."""

from collections.abc import Callable

import httpx

Bearer = Callable[..., dict[str, str]]


async def test_errors_have_one_body_for_both_worlds(client: httpx.AsyncClient, bearer: Bearer) -> None:
    """An unknown address is a 404 with RFC 9457's members beside the frontend's, as application/json."""
    answer = await client.get("/admin/v1/nothing", headers=bearer())
    assert answer.status_code == 404
    assert answer.headers["content-type"] == "application/json"
    words = "There is nothing at this address."
    assert answer.json() == {
        "type": "about:blank",
        "title": "Not Found",
        "status": 404,
        "detail": words,
        "success": False,
        "message": words,
    }


async def test_another_method_is_a_405(client: httpx.AsyncClient, bearer: Bearer) -> None:
    """It says which methods there are."""
    answer = await client.delete("/api/v1/business/auth/user", headers=bearer())
    assert (answer.status_code, answer.headers["allow"], answer.json()["success"]) == (405, "GET", False)
