"""What the command line says before it asks anybody."""

import json
import subprocess
import sys
import threading
from collections.abc import Mapping
from functools import partial
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from typing import Any, NamedTuple

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


class _Handler(BaseHTTPRequestHandler):
    """An API that answers each method as it is told."""

    def __init__(self, answers: Mapping[str, tuple[int, Any]], asked: list[tuple[str, Any]], *more: Any) -> None:
        self.answers, self.asked = answers, asked
        super().__init__(*more)

    def _answer(self) -> None:
        body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
        self.asked.append((self.path, json.loads(body) if body else None))
        status, content = self.answers[self.command]
        self.send_response(status)
        self.end_headers()
        self.wfile.write(json.dumps(content).encode())

    do_GET = do_POST = do_DELETE = _answer  # noqa: N815 - the names that the library calls

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - the library's own name
        pass


class Told(NamedTuple):
    """How it ended, and what the API was asked: paths with bodies."""

    code: int
    out: str
    err: str
    asked: list[tuple[str, Any]]


def told(*words: str, columns: int = 100, **answers: tuple[int, Any]) -> Told:
    """`told("project", "list", GET=(200, …))` runs it against an API that answers so."""
    asked: list[tuple[str, Any]] = []
    with HTTPServer(("127.0.0.1", 0), partial(_Handler, answers, asked)) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        url = f"http://127.0.0.1:{server.server_port}"
        done = uca(*words, UCA_API_URL=url, UCA_TOKEN="any", COLUMNS=str(columns))
        server.shutdown()
    return Told(done.returncode, done.stdout, done.stderr, asked)


def project(**more: Any) -> dict[str, Any]:
    known = {"identifier": "P1", "name": "P", "status": "active", "region": "region-1"}
    return known | {"created_at": "2026-11-29T07:00:00Z", "progress": PROGRESS} | more


def page(*data: Mapping[str, Any]) -> tuple[int, Any]:
    return 200, {"data": data, "meta": {"current_page": 1, "last_page": 1, "total": len(data)}}


PROGRESS = {"percent": 100, "completed": 3, "total": 3, "message": ""}


def status(status: str, name: str = "P", **more: Any) -> tuple[int, Any]:
    project = {"name": name, "region": "region-1", "provisioning_progress": [], "users": {"local": []}}
    content = {"identifier": "P1", "status": status, "run": 1, "error": None, "progress": PROGRESS, "actions": {}}
    return 200, content | {"project": project} | more


@pytest.mark.parametrize(("words", "code"), [(("delete", "P1", "--yes", "--wait"), 0), (("watch", "P1"), 1)])
def test_a_project_that_is_gone_before_the_first_look_was_deleted(words: tuple[str, ...], code: int) -> None:
    """Its deletion has ended well; a project that somebody merely watches is not there."""
    deleting = 202, {"success": True, "message": "The project is being deleted."}
    done = told("project", *words, DELETE=deleting, GET=(404, {"message": "There is no such project."}))
    assert (done.code, "The project is deleted." in done.out) == (code, code == 0), done.err


@pytest.mark.parametrize(
    "words",
    [
        ("project", "delete", "../users/20", "--yes"),
        ("project", "delete", "..", "--yes"),
        ("project", "cancel", "X/../../users/3/sync-projects?"),
        ("project", "verify", "P1%2F..%2F..%2Fusers"),
        ("project", "show", "P1?wait=1"),
        ("project", "watch", ""),
        ("dead-letters", "show", "../7"),
    ],
)
def test_what_names_nothing_leads_nowhere_else(words: tuple[str, ...]) -> None:
    """What can be no project's or service's name ends with 2 and a word of help, and the API is asked nothing."""
    fine = 200, {"message": "Done."}
    done = told(*words, GET=fine, POST=fine, DELETE=fine)
    assert (done.code, "is no name" in done.err, done.asked) == (2, True, []), done


STEERING = "\x1b[2J\x9b31m\x07\r"


@pytest.mark.parametrize(
    ("words", "answer"),
    [
        (("project", "list"), page(project(name=f"one{STEERING} name"))),
        (("project", "show", "P1"), status("failed", name=f"one{STEERING}", error=f"{STEERING} name")),
        (("project", "watch", "P1"), status("active", name=f"one{STEERING} name")),
        (("project", "verify", "P1"), (409, {"message": f"one{STEERING} name"})),
        (("project", "suspend", "P1"), (202, {"message": f"one{STEERING} name"})),
    ],
)
def test_a_name_does_not_steer_the_terminal(words: tuple[str, ...], answer: tuple[int, Any]) -> None:
    """Control characters of a name or an error are left out of what a person reads; the words stay."""
    done = told(*words, GET=answer, POST=answer)
    said = done.out + done.err
    assert [each for each in said if each != "\n" and not each.isprintable()] == []
    assert "one" in said
    assert "name" in said


def test_json_keeps_a_name_as_it_is() -> None:
    """With --json a name is the API's own, escaped as JSON has it."""
    done = told("project", "list", "--json", GET=page(project(name=STEERING)))
    assert json.loads(done.out)["data"][0]["name"] == STEERING


def letter(**more: Any) -> dict[str, Any]:
    known = {"service": "link-provisioner", "id": 1234, "type": "ProvisioningRequested", "project": "F8Z4RK2M"}
    known |= {"reason": "handler_failed", "error": "TimeoutError: no answer within 300 s", "tries": 3, "state": "open"}
    return known | {"parked_at": "2026-11-29T07:00:00Z"} | more


@pytest.mark.parametrize("columns", [80, 100])
def test_a_letters_name_is_whole_in_a_narrow_terminal(columns: int) -> None:
    """The list shows what show and replay take, whatever else has to be shortened."""
    done = told("dead-letters", "list", columns=columns, GET=page(letter()))
    assert "link-provisioner/1234 " in done.out


@pytest.mark.parametrize(
    ("written", "time"),
    [
        ("2026-11-29T07:00:00", "2026-11-29T07:00:00+00:00"),
        ("2026-11-29 07:00:00", "2026-11-29T07:00:00+00:00"),
        ("2026-11-29", "2026-11-29T00:00:00+00:00"),
        ("2026-11-29T07:00:00Z", "2026-11-29T07:00:00+00:00"),
        ("2026-11-29T07:00:00.123456Z", "2026-11-29T07:00:00.123456+00:00"),
        ("2026-11-29T09:00:00+02:00", "2026-11-29T09:00:00+02:00"),
    ],
)
def test_a_time_is_taken_with_a_zone_and_without(written: str, time: str) -> None:
    """As the API and --json write it, or any other zone's; without one it is UTC."""
    done = told("dead-letters", "replay", "--since", written, POST=(202, {"message": "Done."}))
    assert (done.code, done.asked) == (0, [("/admin/v1/dead-letters/replay", {"since": time})]), done.err


def test_what_is_no_time_is_2() -> None:
    """It is refused with the form that is wanted."""
    done = told("dead-letters", "list", "--until", "yesterday", GET=page())
    assert (done.code, "2026-01-31T12:00:00Z" in done.err, done.asked) == (2, True, [])


@pytest.mark.parametrize(("code", "ended"), [("cancelled", 0), ("deadline", 1)])
def test_a_cancel_that_worked_is_0(code: str, ended: int) -> None:
    """Its run has ended as asked; one that failed for another reason has not, nor has one that is only watched."""
    failed = status("failed", failure={"code": code})
    assert told("project", "cancel", "P1", "--wait", POST=(202, {"message": "Cancelled."}), GET=failed).code == ended
    assert told("project", "watch", "P1", GET=failed).code == 1
