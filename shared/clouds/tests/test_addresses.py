"""Only a configured region's address can be called, however it is written or resolved."""

import pytest
from clouds import addresses
from clouds.addresses import GuardedResolver, check_url


@pytest.mark.parametrize(
    "url",
    [
        "http://169.254.169.254/latest",
        "https://169.254.169.254",
        "https://[::1]:5000",
        "https://[::ffff:127.0.0.1]",
        "https://[fe80::1]",
        "https://2130706433",
        "https://0x7f000001",
        "https://0177.0.0.1",
        "https://127.1",
        "https://0.0.0.0",
        "https://224.0.0.1",
        "https://127.0.0.2",
        "https://10.0.0.8",
        "https://[2002:7f00:1::]",
        "https://[64:ff9b::a9fe:a9fe]",
        "https://[64:ff9b::7f00:1]",
        "https://[::169.254.169.254]",
        "https://user@zadara.example.com",
        "https://zadara.example.com:x@169.254.169.254",
        "https://zadara.example.com?next=x",
        "http://zadara.example.com",
        "https://zadara.example.com:99999",
        "https://",
        "file:///etc/passwd",
        "zadara.example.com",
    ],
)
def test_urls_that_no_region_may_have(url: str) -> None:
    """Metadata and loopback in any disguise, credentials in the URL, plain http to the world."""
    with pytest.raises(ValueError, match=r"."):
        check_url(url, allow_private=False)


@pytest.mark.parametrize(
    "url",
    [
        "https://zadara.example.com/",
        "https://zadara.example.com:8443/v3",
        "http://127.0.0.1:5000",
        "http://localhost:1",
        "https://[64:ff9b::808:808]",
    ],
)
def test_urls_that_a_region_may_have(url: str) -> None:
    """Names over https, and loopback where it is written as such."""
    assert check_url(url, allow_private=False) == url.rstrip("/")


def test_private_networks_are_opened_on_purpose() -> None:
    """allow_private lets 10/8 be called, also by plain http, and the metadata address still not."""
    assert check_url("http://10.0.0.8:5000", allow_private=True)
    assert check_url("http://cloud-simulator:8080", allow_private=True)
    with pytest.raises(ValueError, match="no region may have"):
        check_url("http://169.254.169.254", allow_private=True)


@pytest.mark.parametrize("host", ["127.0.0.2", "127.1", "2130706433"])
async def test_a_name_that_leads_inside_is_refused_when_it_is_resolved(host: str) -> None:
    """What a name resolves to is checked again at each look-up, as a rebound name would be."""
    with pytest.raises(OSError, match="no region may have"):
        await GuardedResolver(host, 80, allow_private=True).resolve()


async def test_localhost_may_be_loopback(monkeypatch: pytest.MonkeyPatch) -> None:
    """Where it is the configured name; and it is looked up once a minute at most."""
    monkeypatch.setattr(addresses, "KNOWN_FOR", -1.0)
    resolver = GuardedResolver("localhost", 80, allow_private=False)
    assert await resolver.resolve() is not await resolver.resolve()
    monkeypatch.undo()
    found = await resolver.resolve()
    assert {address[4][1] for address in found} == {80}
    assert await resolver.resolve() is found
