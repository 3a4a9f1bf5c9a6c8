"""What the command line says before it asks anybody."""

import json
import subprocess
import sys
import threading
from http.server import BaseHTTPRequestHandler, HTTPServer
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


class _Gone(BaseHTTPRequestHandler):
    """An API whose project is gone by the time of the first look after its deletion was accepted."""

    def do_DELETE(self) -> None:
        self._answer(202, {"success": True, "message": "The project is being deleted."})

    def do_GET(self) -> None:
        self._answer(404, {"success": False, "message": "There is no such project."})

    def _answer(self, status: int, content: dict[str, object]) -> None:
        self.send_response(status)
        self.end_headers()
        self.wfile.write(json.dumps(content).encode())

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - the library's own name
        pass


@pytest.mark.parametrize(("words", "code"), [(("delete", "P1", "--yes", "--wait"), 0), (("watch", "P1"), 1)])
def test_a_project_that_is_gone_before_the_first_look_was_deleted(words: tuple[str, ...], code: int) -> None:
    """Its deletion has ended well; a project that somebody merely watches is not there."""
    with HTTPServer(("127.0.0.1", 0), _Gone) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        done = uca("project", *words, UCA_API_URL=f"http://127.0.0.1:{server.server_port}", UCA_TOKEN="any")
        server.shutdown()
    assert (done.returncode, "The project is deleted." in done.stdout) == (code, code == 0), done.stderr
