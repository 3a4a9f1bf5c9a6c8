from pathlib import Path

import pytest
from local import debian, programs


def test_a_missing_program_names_the_ways_out(monkeypatch: pytest.MonkeyPatch) -> None:
    """Where nothing may be installed, the message says what to install or which variables to set."""
    monkeypatch.setattr(programs, "RABBITMQ_SERVERS", ())
    monkeypatch.setenv("PATH", "/nonexistent")
    monkeypatch.setattr(debian, "may_install", lambda: False)
    with pytest.raises(programs.MissingProgramError) as caught:
        programs.rabbitmq()
    assert "apt-get install rabbitmq-server" in str(caught.value)
    assert "UCA_AMQP_URL and UCA_RABBITMQ_API_URL" in str(caught.value)


def test_an_installation_that_fails_says_how(monkeypatch: pytest.MonkeyPatch) -> None:
    """In words of apt's, as what a person can put right."""

    def refused(_: str) -> None:
        raise RuntimeError("apt-get update failed:\nno network")

    monkeypatch.setattr(programs, "RABBITMQ_SERVERS", ())
    monkeypatch.setenv("PATH", "/nonexistent")
    monkeypatch.setattr(debian, "may_install", lambda: True)
    monkeypatch.setattr(debian, "install", refused)
    with pytest.raises(programs.MissingProgramError, match=r"RabbitMQ .* could not be installed: .*\n.*no network"):
        programs.rabbitmq()


def test_an_old_postgresql_is_passed_over(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """The newest version of 15 or above is taken, whatever else lies there."""
    for version in ("9.6.1", "15.2", "16.0"):
        folder = tmp_path / version / "bin"
        folder.mkdir(parents=True)
        (folder / "initdb").touch()
        (folder / "postgres").write_text(f"#!/bin/sh\necho 'postgres (PostgreSQL) {version}'\n")
        (folder / "postgres").chmod(0o755)
    monkeypatch.setattr(programs, "POSTGRESQL_FOLDERS", (f"{tmp_path}/*/bin",))
    assert programs.postgresql() == tmp_path / "16.0" / "bin"
