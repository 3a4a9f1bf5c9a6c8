"""What the command line says before it asks anybody."""

import subprocess
import sys
from pathlib import Path

import pytest

UCA = Path(sys.executable).with_name("uca")


def uca(*words: str, **environment: str) -> subprocess.CompletedProcess[str]:
    whole = {"PATH": "/usr/bin:/bin", "COLUMNS": "100", **environment}
    return subprocess.run([UCA, *words], env=whole, capture_output=True, text=True, check=False)


def test_a_missing_setting_is_named() -> None:
    """Without an address or a token it ends with 2, and says which variable to set."""
    done = uca("project", "list")
    assert (done.returncode, "UCA_API_URL" in done.stderr) == (2, True)
    done = uca("project", "list", UCA_API_URL="http://127.0.0.1:9")
    assert (done.returncode, "UCA_TOKEN" in done.stderr) == (2, True)


def test_an_unreachable_api_is_3() -> None:
    """Nobody at the address is its own exit code; with --json the words are JSON too."""
    done = uca("tenants", "list", "--json", UCA_API_URL="http://127.0.0.1:9", UCA_TOKEN="any")
    assert done.returncode == 3
    assert '"success": false' in done.stdout


@pytest.mark.parametrize(
    "words",
    [("project", "paint"), ("project", "create", "A"), ("dead-letters", "replay"), ("dead-letters", "show", "7")],
)
def test_wrong_usage_is_2(words: tuple[str, ...]) -> None:
    """An unknown command, a missing option, no choice and a malformed name end with 2 and a word of help."""
    done = uca(*words, UCA_API_URL="http://127.0.0.1:9", UCA_TOKEN="any")
    assert done.returncode == 2
    assert done.stderr


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_completion_is_there(shell: str) -> None:
    """Each shell gets its completion."""
    done = uca("--show-completion", shell, _TYPER_COMPLETE_TEST_DISABLE_SHELL_DETECTION="1")
    assert done.returncode == 0
    assert "uca" in done.stdout.lower()
