import pytest
from pydantic import ValidationError
from status_projector.settings import Settings

GOOD = {"database_url": "postgresql://db", "amqp_url": "amqp://mq"}


@pytest.mark.parametrize(
    ("name", "value"),
    [
        *((name, value) for name in ("slow_seconds", "slow_told_seconds") for value in ("inf", "nan", "1e13")),
        *((name, "1e13") for name in ("link_seconds", "users_seconds", "estimate_refresh_seconds")),
        ("retention_days", "10000000"),
        ("estimate_runs", "10000000000000000000"),
    ],
)
def test_a_wrong_setting_is_named(name: str, value: str) -> None:
    """At the start, rather than by a task that fails for good."""
    with pytest.raises(ValidationError) as caught:
        Settings.model_validate({**GOOD, name: value})
    assert [error["loc"] for error in caught.value.errors()] == [(name,)]
