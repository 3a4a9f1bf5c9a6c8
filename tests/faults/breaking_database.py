"""Rows 6, 7, 9 and 14: the database is ended at once, freezes, is cut at COMMIT, or has no room left."""

import asyncio
import os
import shutil
import signal
import subprocess
import sys
import time
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

from tests.faults import probe as probes
from tests.faults.trial import NotHere, Trial

LONGEST_REQUEST = 8.0
"""Seconds within which a request must end, whatever the database does."""


async def database_restarts(trial: Trial) -> None:
    """PostgreSQL's immediate shutdown, as a crash leaves it."""
    async with trial.load():
        for _ in range(trial.scale.database_restarts):
            trial.ground.send("database", signal.SIGQUIT)
            await asyncio.sleep(0.3)
            await trial.ground.database_answers()
            await asyncio.sleep(1)
    trial.note(f"{trial.scale.database_restarts} restarts; slowest answer {trial.stream.slowest:.1f} s")
    _honest(trial)


def _honest(trial: Trial) -> None:
    trial.expect(set(trial.stream.answers) <= {"2xx", "503"}, "an answer was neither 2xx nor 503")
    trial.expect(trial.stream.slowest <= LONGEST_REQUEST, f"a request took {trial.stream.slowest:.1f} s")


async def database_freezes(trial: Trial) -> None:
    """Every process of it stops; connections stay open and say nothing.

    More than a thousand projects are asked for again and again meanwhile, so somebody else times the answers.
    """
    async with _probing(trial) as seconds, trial.load():
        await asyncio.sleep(0.5)
        frozen = trial.ground.family("database")
        _signal(frozen, signal.SIGSTOP)
        await asyncio.sleep(trial.scale.freeze)
        _signal(frozen, signal.SIGCONT)
    trial.note(
        f"frozen {trial.scale.freeze:.0f} s; slowest of {len(seconds)} answers {max(seconds, default=0):.1f} s,"
        f" {trial.stream.slowest:.1f} s to the load's own client"
    )
    trial.expect(set(trial.stream.answers) <= {"2xx", "503"}, "an answer was neither 2xx nor 503")
    trial.expect(len(seconds) > trial.scale.freeze / LONGEST_REQUEST, "too few requests were timed")
    trial.expect(max(seconds, default=0) <= LONGEST_REQUEST, f"a request took {max(seconds, default=0):.1f} s")


@asynccontextmanager
async def _probing(trial: Trial) -> AsyncIterator[list[float]]:
    """The seconds that answers took to a caller of its own, known once the block has ended."""
    probe = await asyncio.create_subprocess_exec(
        sys.executable, probes.__file__, *trial.ground.api_urls, stdout=asyncio.subprocess.PIPE,
        env={"TOKEN": trial.ground.values["UCA_ADMIN_TOKEN"]},
    )  # fmt: skip
    seconds: list[float] = []
    try:
        yield seconds
    finally:
        probe.terminate()
        out, _ = await probe.communicate()
        seconds += map(float, out.split())


def _signal(pids: list[int], number: signal.Signals) -> None:
    for pid in pids:
        try:
            os.kill(pid, number)
        except ProcessLookupError:
            continue


async def cut_at_commit(trial: Trial) -> None:
    """Of ten COMMITs one is cut before it arrives, and one after it took effect and before its answer."""
    cuts: Counter[str] = Counter()

    def fate(piece: bytes) -> str:
        if b"COMMIT" not in piece:
            return "pass"
        cuts["commits"] += 1
        chosen = {4: "before", 9: "after"}.get(cuts["commits"] % 10, "pass")
        cuts[chosen] += 1
        return chosen

    trial.stream.urls = [trial.ground.api_urls[1]]
    trial.ground.proxies["database"].fate = fate
    async with trial.load():
        pass
    trial.ground.proxies["database"].heal()
    trial.note(f"cut before {cuts['before']} commits and after {cuts['after']} of {cuts['commits']}")
    trial.expect(cuts["before"] > 0 and cuts["after"] > 0, "no commit was cut")


async def disk_full(trial: Trial) -> None:
    """The data moves to a small tmpfs, which is filled to the last byte while the load runs."""
    if os.geteuid() != 0:
        raise NotHere("needs root, to mount a tmpfs")
    data = trial.ground.parts.database.data
    with _Room(trial) as room:
        await room.move_in()
        async with trial.load():
            await asyncio.sleep(0.5)
            filler = data / "filler"
            _fill(filler)
            begin = time.monotonic()
            await asyncio.sleep(trial.scale.freeze / 2)
            filler.unlink()
            await trial.ground.database_answers()
            trial.note(f"full for {time.monotonic() - begin:.0f} s; slowest answer {trial.stream.slowest:.1f} s")
        _honest(trial)
        trial.expect(trial.stream.answers["503"] > 0, "no answer was a 503")
        await room.move_out()


class _Room:
    """The database's data on a tmpfs, and back on the disk at the end whatever happened."""

    def __init__(self, trial: Trial) -> None:
        self._ground = trial.ground
        self._data = trial.ground.parts.database.data
        self._kept = self._data.with_name("database.kept")
        self._megabytes = 0

    def __enter__(self) -> "_Room":
        return self

    def __exit__(self, *_: object) -> None:
        if self._kept.exists():
            subprocess.run(["umount", "--lazy", str(self._data)], check=False)
            shutil.rmtree(self._data, ignore_errors=True)
            self._kept.rename(self._data)

    async def move_in(self) -> None:
        await self._ground.stop("database")
        await asyncio.to_thread(self._mount)
        await self._ground.start("database")
        await self._ground.database_answers()

    def _mount(self) -> None:
        used = int(
            subprocess.run(["du", "-sm", str(self._data)], capture_output=True, text=True, check=True).stdout.split()[0]
        )
        owner = self._data.stat()
        self._data.rename(self._kept)
        self._data.mkdir(mode=0o700)
        size = f"size={used + 200}m,mode=700,uid={owner.st_uid},gid={owner.st_gid}"
        subprocess.run(["mount", "-t", "tmpfs", "-o", size, "tmpfs", str(self._data)], check=True)
        subprocess.run(["cp", "-a", f"{self._kept}/.", str(self._data)], check=True)

    async def move_out(self) -> None:
        await self._ground.stop("database")
        await asyncio.to_thread(self._unmount)
        await self._ground.start("database")
        await self._ground.database_answers()

    def _unmount(self) -> None:
        shutil.rmtree(self._kept)
        subprocess.run(["cp", "-a", str(self._data), str(self._kept)], check=True)
        subprocess.run(["umount", str(self._data)], check=True)
        self._data.rmdir()
        self._kept.rename(self._data)


def _fill(path: Path) -> None:
    block = b"\0" * 1_000_000
    with path.open("wb", buffering=0) as file:
        while block:
            try:
                if file.write(block) < len(block):
                    block = block[: len(block) // 2]
            except OSError:
                block = block[: len(block) // 2]
