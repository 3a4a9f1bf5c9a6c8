import base64
import stat
from pathlib import Path

import pytest
from local import credentials


def test_credentials_are_made_once_and_kept_private(tmp_path: Path) -> None:
    """A second read gives the same, a new name is added, and nobody else may read the file."""
    file = tmp_path / "credentials.json"
    first = credentials.load(file, ["password"])
    second = credentials.load(file, ["password", "sealing-key"])
    assert second["password"] == first["password"]
    assert len(base64.b64decode(second["sealing-key"])) == 32
    assert stat.S_IMODE(file.stat().st_mode) == 0o600


def test_half_a_file_is_named_and_stays(tmp_path: Path) -> None:
    """New passwords would open none of the data that is there, so the words say how to go on."""
    file = tmp_path / "credentials.json"
    file.write_text('{"password": "abc')
    with pytest.raises(credentials.UnreadableError, match=f"{file} is not whole.*WIPE=1"):
        credentials.load(file, ["password"])
    assert file.read_text() == '{"password": "abc'
