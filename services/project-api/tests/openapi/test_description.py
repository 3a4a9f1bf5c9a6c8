"""What the API says of itself."""

from collections.abc import Iterator
from typing import Any

import httpx
import pytest
from fastapi import FastAPI
from project_api.openapi import cloud, projects
from project_api.testing import World
from project_api.timeline import Timeline
from pydantic import BaseModel

Operation = tuple[str, str, dict[str, Any]]


def operations(app: FastAPI) -> Iterator[Operation]:
    """Path, method and description of every operation that needs a token."""
    for path, found in app.openapi()["paths"].items():
        for method, operation in found.items():
            if path.startswith(("/admin/v1/", "/tenant/v1/", "/api/v1/", "/broadcasting/")) and "sanctum" not in path:
                yield path, method, operation


def test_every_success_has_a_schema(app: FastAPI) -> None:
    """A client's generator gets a type for every answer that has a body."""
    for path, method, operation in operations(app):
        for status, answer in operation["responses"].items():
            if status.startswith("2"):
                schema = answer["content"]["application/json"]["schema"]
                assert "$ref" in schema or schema.get("properties"), (method, path, status)


def test_every_refusal_has_the_one_form(app: FastAPI) -> None:
    """Tokens, limits and a service that is away can meet every operation; each refusal is a Problem with an example."""
    components = app.openapi()["components"]
    for path, method, operation in operations(app):
        assert operation["security"], (method, path)
        refusals = {status: answer for status, answer in operation["responses"].items() if status >= "4"}
        assert {"401", "403", "422", "429", "503"} <= refusals.keys(), (method, path)
        for status, answer in refusals.items():
            form = components["responses"][answer["$ref"].rpartition("/")[2]]["content"]["application/json"]
            assert form["schema"] == {"$ref": "#/components/schemas/Problem"}
            assert form["example"]["status"] == int(status)


def test_operations_and_types_have_short_names_of_their_own(app: FastAPI) -> None:
    """No two operations share an id, and no type carries the path of its module."""
    ids = [operation["operationId"] for _, _, operation in operations(app)]
    assert len(ids) == len(set(ids))
    assert [name for name in app.openapi()["components"]["schemas"] if "__" in name] == []


def models_with_examples() -> Iterator[tuple[type[BaseModel], dict[str, Any]]]:
    for module in (projects, cloud):
        for model in vars(module).values():
            if isinstance(model, type) and issubclass(model, BaseModel):
                extra = model.__dict__["model_config"].get("json_schema_extra")
                for example in extra["examples"] if isinstance(extra, dict) else ():
                    yield model, example


@pytest.mark.parametrize(("model", "example"), list(models_with_examples()))
def test_examples_are_what_they_show(model: type[BaseModel], example: dict[str, Any]) -> None:
    """Each example has every field of its type and no other."""
    assert unlike(model.model_validate(example), example) == []


async def test_answers_are_as_described(world: World) -> None:
    """What is sent has every field that is described, and none that is not."""
    tenant = await world.tenant()
    body = {"name": "Described", "region": "region-1", "tenant_id": tenant.id}
    created = await world.post("", json=body)
    place = f"/{created.json()['identifier']}"
    answers: dict[type[BaseModel], httpx.Response] = {
        projects.Created: created,
        projects.StatusAnswer: await world.get(f"{place}/status"),
        projects.OneProject: await world.get(place),
        projects.ProjectList: await world.get(f"?tenant_id={tenant.id}"),
        Timeline: await world.get(f"{place}/events"),
        projects.Accepted: await world.post(f"{place}/cancel"),
        projects.StatusSynced: await world.post(f"{place}/sync-status"),
        projects.StatusesSynced: await world.post("/bulk-sync-status", json={"identifiers": [place[1:]]}),
        cloud.Preview: await world.post("/provision-simulated", json={**body, "name": "Previewed"}),
    }
    for model, answer in answers.items():
        assert answer.is_success, answer.text
        assert unlike(model.model_validate(answer.json()), answer.json()) == [], model


def unlike(model: BaseModel, sent: Any, at: str = "") -> list[str]:
    """Fields that were sent and not described, at any depth; what is described and missing fails before."""
    fields = type(model).model_fields
    known = {field.alias or name: getattr(model, name) for name, field in fields.items()}
    wrong = [f"{at}.{name}" for name in sent.keys() - known.keys()]
    for name, value in sent.items():
        for one, sent_one in zip(_each(known.get(name)), _each(value), strict=False):
            if isinstance(one, BaseModel):
                wrong += unlike(one, sent_one, f"{at}.{name}")
    return wrong


def _each(value: Any) -> list[Any]:
    return list(value) if isinstance(value, list | tuple) else [value]
