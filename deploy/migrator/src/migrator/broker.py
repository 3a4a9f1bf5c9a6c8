"""Imports exchanges, queues, policies, users and rights into the broker through its management HTTP API."""

from collections.abc import Iterable, Mapping
from typing import Any
from urllib.parse import quote

import httpx


class BrokerError(Exception):
    """The broker refused; the message has its own words."""


def load(api_url: str, definitions: Mapping[str, Any], virtual_host: str) -> None:
    """Imports a definitions document, then takes away bindings of its queues that it doesn't have.

    An import adds and changes; it removes nothing, and a binding left over would deliver what nobody handles any more.

    Raises:
        BrokerError: the broker refuses, or has users with rights elsewhere.
        httpx.TransportError: it cannot be reached.
    """
    with httpx.Client(base_url=f"{api_url}/api", timeout=60) as api:
        _check_own(api, definitions["users"], virtual_host)
        _checked(api.post("/definitions", json=definitions))
        _remove_stale_bindings(api, definitions["bindings"], quote(virtual_host, safe=""))


def _check_own(api: httpx.Client, users: Iterable[Mapping[str, str]], virtual_host: str) -> None:
    """Users belong to the broker: another stack's would get our password, and that stack could not log in any more."""
    ours = {user["name"] for user in users}
    for each in _checked(api.get("/permissions")).json():
        if each["user"] in ours and each["vhost"] != virtual_host:
            raise BrokerError(
                f"user {each['user']} has rights on the virtual host {each['vhost']} of this broker: give each stack"
                " a broker of its own, or, if that one is no longer used, take these rights away"
            )


def missing(api_url: str, definitions: Mapping[str, Any], virtual_host: str) -> list[str]:
    """What a definitions document has and the broker has not (any more); all of it where its virtual host is gone.

    Raises:
        BrokerError: the broker refuses.
        httpx.TransportError: it cannot be reached.
    """
    vhost = quote(virtual_host, safe="")
    places = {
        "users": "/users",
        "permissions": f"/vhosts/{vhost}/permissions",
        "topic_permissions": f"/vhosts/{vhost}/topic-permissions",
        **{kind: f"/{kind}/{vhost}" for kind in ("exchanges", "queues", "bindings", "policies")},
    }
    with httpx.Client(base_url=f"{api_url}/api", timeout=10) as api:
        return [
            name for kind, place in places.items() for name in _names(definitions[kind]) - _names(_listed(api, place))
        ]


def _listed(api: httpx.Client, place: str) -> list[dict[str, Any]]:
    answer = api.get(place)
    return [] if answer.status_code == 404 else list(_checked(answer).json())


def _names(items: Iterable[Mapping[str, Any]]) -> set[str]:
    return {_name(item) for item in items}


def _name(item: Mapping[str, Any]) -> str:
    """A binding's and a right's has all that makes it what it is: one that was changed is missing."""
    if "name" in item:
        return str(item["name"])
    keys = (
        ("user", "exchange", "configure", "write", "read")
        if "user" in item
        else ("source", "routing_key", "destination")
    )
    return " ".join(item[key] for key in keys if key in item)


def _remove_stale_bindings(api: httpx.Client, wanted: Iterable[Mapping[str, str]], virtual_host: str) -> None:
    meant = {(binding["source"], binding["destination"], binding["routing_key"]) for binding in wanted}
    queues = {queue for _, queue, _ in meant}
    for binding in _checked(api.get(f"/bindings/{virtual_host}")).json():
        source, queue, key = binding["source"], binding["destination"], binding["routing_key"]
        if source and queue in queues and (source, queue, key) not in meant:
            _checked(api.delete(f"/bindings/{virtual_host}/e/{source}/q/{queue}/{binding['properties_key']}"))


def _checked(response: httpx.Response) -> httpx.Response:
    if response.is_error:
        request = response.request
        raise BrokerError(f"{request.method} {request.url.path}: {response.status_code} {response.text[:500]}")
    return response
