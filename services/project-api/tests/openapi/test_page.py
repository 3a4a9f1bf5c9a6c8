"""The page that shows the API's description."""

import re

import httpx


async def test_the_page_needs_nothing_from_elsewhere(client: httpx.AsyncClient) -> None:
    """Every file that it names is served here, and its policy lets in no other, and no script within the page."""
    page = await client.get("/docs")
    assert page.status_code == 200
    policy = page.headers["content-security-policy"]
    assert "script-src 'self';" in policy
    assert "http" not in policy
    assert "http" not in page.text
    named = re.findall(r'(?:src|href)="(/[^"]+)"', page.text)
    assert len(named) == 3
    for path in named:
        served = await client.get(path)
        assert served.status_code == 200, path
        assert served.headers["content-type"].startswith(("text/css", "text/javascript")), path
    assert re.findall(r"<script>", page.text) == []


async def test_only_its_files_are_served(client: httpx.AsyncClient) -> None:
    """Nothing else of the machine can be asked for below their address, and what is not there is a 404 of ours."""
    for path in ("/docs/files/../core.py", "/docs/files/%2e%2e/core.py", "/docs/files/nothing.js"):
        answer = await client.get(path)
        assert (answer.status_code, answer.json()["success"]) == (404, False), path
