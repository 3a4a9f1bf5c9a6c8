from cloud_simulator.answers import NO_CONTENT, Answer
from cloud_simulator.routes import Call, Route, Routes
from cloud_simulator.simulator import Simulator


def answer(_: Simulator, __: Call) -> Answer:
    return NO_CONTENT


ROUTES = Routes([Route("GET /users", answer), Route("PUT /users/{id}", answer), Route("PUT /users/{id}/x/{y}", answer)])


def test_a_template_gives_its_parameters() -> None:
    """The route comes with what stands in the place of each parameter."""
    found = ROUTES.find("PUT", "/users/7/x/9")
    assert found is not None
    assert (found[0].label, found[1]) == ("PUT /users/{id}/x/{y}", {"id": "7", "y": "9"})


def test_anything_else_is_not_found() -> None:
    """Another method, another length, another word and an empty parameter have no route."""
    wrong = [("PATCH", "/users/7"), ("GET", "/users/"), ("PUT", "/users/"), ("PUT", "/users/7/z/9"), ("GET", "")]
    assert [ROUTES.find(method, path) for method, path in wrong] == [None] * 5
