import pytest
from cloud_simulator.settings import Settings
from pydantic import ValidationError


def test_accounts_are_separated_by_commas(monkeypatch: pytest.MonkeyPatch) -> None:
    """Spaces and empty places do not count."""
    monkeypatch.setenv("SIMULATOR_ACCOUNTS", "uca, north ,")
    assert Settings().accounts == ["uca", "north"]


@pytest.mark.parametrize("value", [",", "uca,UCA"])
def test_accounts_must_be_distinct(monkeypatch: pytest.MonkeyPatch, value: str) -> None:
    """At least one, and none twice in another case."""
    monkeypatch.setenv("SIMULATOR_ACCOUNTS", value)
    with pytest.raises(ValidationError, match="each once"):
        Settings()


def test_secrets_are_not_shown() -> None:
    """Settings can be logged."""
    settings = Settings(password="hidden-1", secret_key="hidden-2")
    assert "hidden" not in repr(settings)
