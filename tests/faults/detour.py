"""The way of the second replicas: through a proxy to the broker, the database and the cloud."""

import json
from collections.abc import Mapping
from pathlib import Path
from urllib.parse import urlsplit

from local import ports
from local.infrastructure import Infrastructure
from local.services import Services

from tests.faults.proxy import Proxy

WAYS = "amqp", "database", "cloud"


def proxies(directory: Path, parts: Infrastructure, services: Services) -> dict[str, Proxy]:
    """One for each way, not yet open."""
    targets = {
        "amqp": parts.broker.amqp_port,
        "database": parts.database.port,
        "cloud": urlsplit(services.simulator_url).port or 0,
    }
    port = ports.allocate(directory / "ports.json", [f"proxy {way}" for way in WAYS], in_use=True)
    return {way: Proxy(port[f"proxy {way}"], targets[way]) for way in WAYS}


def settings(
    directory: Path, services: Services, proxies: Mapping[str, Proxy], roles: Mapping[str, str]
) -> dict[str, dict[str, str]]:
    """What the second replicas must be told to take these ways, and all of them for regions to have roles."""
    services.write_regions()
    regions = [each | {"roles": dict(roles)} for each in json.loads((directory / "regions.json").read_text())]
    direct = directory / "regions-direct.json"
    direct.write_text(json.dumps(regions))
    for region in regions:
        region["url"] = _through(region["url"], proxies["cloud"])
    file = directory / "regions-by-proxy.json"
    file.write_text(json.dumps(regions))
    ways = {"DATABASE_URL": "database", "TENANT_DATABASE_URL": "database", "AMQP_URL": "amqp"}
    return {name: {"CLOUD_REGIONS_FILE": str(direct)} for name in services.metrics_urls} | {
        program.name: {
            name: _through(url, proxies[ways[name]]) for name, url in program.environment.items() if name in ways
        }
        | {"CLOUD_REGIONS_FILE": str(file)}
        for program in services.programs({}, {})
        if program.name.endswith(".2")
    }


def _through(url: str, proxy: Proxy) -> str:
    parts = urlsplit(url)
    return parts._replace(netloc=f"{parts.netloc.rpartition(':')[0]}:{proxy.port}").geturl()
