"""Runs a stack's processes under supervisord, which starts again what dies."""

import hashlib
import os
import shlex
import signal
import subprocess
import sys
import tempfile
import time
import xmlrpc.client
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from supervisor.xmlrpc import SupervisorTransport

from local import credentials, processes

INHERITED = "PATH", "LANG", "LC_ALL", "TZ", "SSL_CERT_FILE"
"""Of the caller's environment only these reach the processes, so that a stack is the same from any shell."""

SECTION = """
[program:{name}]
command = {command}
environment = {environment}
directory = {directory}
priority = {priority}
autostart = false
autorestart = true
startsecs = 1
startretries = 20
stopsignal = {stop_signal}
stopwaitsecs = {stop_seconds}
killasgroup = true
redirect_stderr = true
stdout_logfile = {log}
stdout_logfile_maxbytes = 20MB
stdout_logfile_backups = 2
"""

HEAD = """\
[supervisord]
logfile = {directory}/logs/supervisord.log
logfile_maxbytes = 5MB
logfile_backups = 1
pidfile = {directory}/supervisord.pid
childlogdir = {directory}/logs
minfds = 1024
{user}
[unix_http_server]
file = {socket}
chmod = 0700

[rpcinterface:supervisor]
supervisor.rpcinterface_factory = supervisor.rpcinterface:make_main_rpcinterface
"""

_RUNS = {"RUNNING", "STARTING", "BACKOFF"}
_ENDS = {*_RUNS, "STOPPING"}


@dataclass(frozen=True)
class Program:
    """One process to keep running. Its command must replace its shell, so that the pid file holds the worker."""

    name: str
    command: Sequence[str]
    environment: Mapping[str, str] = field(default_factory=dict)
    stop_signal: str = "TERM"
    stop_seconds: int = 30


class Supervisor:
    """The supervisord of one run directory."""

    def __init__(self, directory: Path) -> None:
        self._directory = directory
        self._configuration = directory / "supervisord.conf"
        self._socket = _socket_path(directory)

    def log(self, name: str) -> Path:
        return self._directory / "logs" / f"{name}.log"

    def is_running(self) -> bool:
        """Whether supervisord answers."""
        try:
            self._call("getState")
        except (OSError, xmlrpc.client.Error):
            return False
        return True

    def configure(self, programs: Sequence[Program]) -> None:
        """Makes these the programs: starts supervisord if need be, ends what is not among them or has changed.

        They stop in the reverse of the given order.
        """
        (self._directory / "logs").mkdir(exist_ok=True)
        user = "user = root\n" if os.geteuid() == 0 else ""
        head = HEAD.format(directory=self._directory, socket=self._socket, user=user)
        sections = "".join(self._section(program, priority) for priority, program in enumerate(programs))
        credentials.write_private(self._configuration, _escaped(head + sections))
        if not self.is_running():
            self._start_supervisord()
        added, changed, removed = self._call("reloadConfig")[0]
        self.stop([*changed, *removed])
        for name in [*changed, *removed]:
            self._call("removeProcessGroup", name)
        for name in [*added, *changed]:
            self._call("addProcessGroup", name)

    def start(self, name: str) -> bool:
        """Starts a program unless it runs; says whether it had to."""
        if self.state(name) in _RUNS:
            return False
        self._call("startProcess", name, False)
        return True

    def state(self, name: str) -> str:
        """supervisord's word for it: RUNNING, STARTING, BACKOFF, STOPPING, STOPPED, EXITED, FATAL."""
        return str(self._call("getProcessInfo", name)["statename"])

    def overview(self) -> list[dict[str, Any]]:
        """supervisord's description of every program: name, statename, pid, description, …"""
        return list(self._call("getAllProcessInfo"))

    def stop(self, names: Collection[str]) -> None:
        """Ends programs side by side, each gracefully and after its own time by force."""
        for process in self.overview():
            if process["name"] in names and process["statename"] in _RUNS:
                self._call("stopProcess", process["name"], False)
        while any(process["name"] in names and process["statename"] in _ENDS for process in self.overview()):
            time.sleep(0.05)

    def shut_down(self, *, at_once: bool = False) -> None:
        """Ends all programs in the reverse order of their start, then supervisord.

        Args:
            at_once: by force; otherwise each is asked, and forced only after its own time.

        Raises:
            TimeoutError: supervisord did not end.
        """
        supervisord = int(self._call("getPID"))
        self._call("shutdown")
        if at_once:  # it no longer starts anything again, but still reaps
            processes.send(processes.find(self._directory) - {supervisord}, signal.SIGKILL)
        deadline = time.monotonic() + 120
        while supervisord in processes.find(self._directory):
            if time.monotonic() > deadline:
                raise TimeoutError(f"supervisord did not end within 120 s; see {self.log('supervisord')}")
            time.sleep(0.05)

    def _start_supervisord(self) -> None:
        self._socket.unlink(missing_ok=True)
        environment = {name: os.environ[name] for name in INHERITED if name in os.environ}
        environment[processes.MARK] = str(self._directory)
        executable = Path(sys.executable).with_name("supervisord")
        subprocess.run(
            [str(executable), "-c", str(self._configuration)], env=environment, check=True, stdin=subprocess.DEVNULL
        )
        deadline = time.monotonic() + 10
        while not self.is_running():
            if time.monotonic() > deadline:
                raise TimeoutError(f"supervisord does not answer; see {self.log('supervisord')}")
            time.sleep(0.05)

    def _section(self, program: Program, priority: int) -> str:
        pid = self._directory / f"{program.name}.pid"
        script = f"echo $$ > {shlex.quote(str(pid))} && exec {shlex.join(program.command)}"
        pairs = ",".join(f'{name}="{value}"' for name, value in sorted(program.environment.items()))
        return SECTION.format(
            name=program.name,
            command=shlex.join(["/bin/sh", "-c", script]),
            environment=pairs,
            directory=self._directory,
            priority=priority,
            stop_signal=program.stop_signal,
            stop_seconds=program.stop_seconds,
            log=self.log(program.name),
        )

    def _call(self, method: str, *arguments: object) -> Any:
        transport = SupervisorTransport(None, None, f"unix://{self._socket}")
        with xmlrpc.client.ServerProxy("http://127.0.0.1", transport=transport) as server:
            return getattr(server.supervisor, method)(*arguments)


def _socket_path(directory: Path) -> Path:
    """In the run directory, or for one too deep for a socket's 107 bytes, in the folder for temporary files."""
    path = directory / "supervisor.sock"
    if len(str(path)) <= 100:
        return path
    digest = hashlib.sha256(str(directory).encode()).hexdigest()[:12]
    return Path(tempfile.gettempdir()) / f"uca-{digest}.sock"


def _escaped(text: str) -> str:
    """supervisord expands `%(name)s`; a plain per cent sign is doubled."""
    return text.replace("%", "%%")
