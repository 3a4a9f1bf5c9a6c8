from pathlib import Path

import pytest
from local import debian


@pytest.mark.parametrize("before", [None, "#!/bin/sh\nexit 0\n"])
def test_no_service_starts_while_a_package_is_installed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, before: str | None
) -> None:
    """Debian's scripts would start it at once. A policy that was there comes back; none stays where there was none."""
    policy = tmp_path / "policy-rc.d"
    monkeypatch.setattr(debian, "POLICY", policy)
    if before:
        policy.write_text(before)
    with debian._no_service_starts():
        assert policy.read_text().endswith("exit 101\n")
        assert policy.stat().st_mode & 0o111
    assert (policy.read_text() if policy.exists() else None) == before


def test_the_mirror_is_the_systems(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """In either of the formats that apt reads."""
    monkeypatch.setattr(debian, "SOURCES", tmp_path / "sources.list")
    assert debian.mirror() is None
    (tmp_path / "sources.list.d").mkdir()
    (tmp_path / "sources.list.d/debian.sources").write_text("Types: deb\nURIs: http://new.test/debian\n")
    assert debian.mirror() == "http://new.test/debian"
    (tmp_path / "sources.list").write_text("# none\ndeb [arch=amd64] http://old.test/debian bookworm main\n")
    assert debian.mirror() == "http://old.test/debian"
