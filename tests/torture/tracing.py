"""System calls of a child, by strace: recorded, or the n-th of a kind answered by SIGKILL."""

from __future__ import annotations

import re
import shutil
import signal
import subprocess
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import pytest
from torture_world import run

CHANGING = [
    *("write", "pwrite64", "writev", "pwritev", "pwritev2", "sendfile", "copy_file_range"),
    *("fallocate", "truncate", "ftruncate", "fsync", "fdatasync", "msync"),
    *("rename", "renameat", "renameat2", "link", "linkat", "symlink", "symlinkat"),
    *("unlink", "unlinkat", "mkdir", "mkdirat", "rmdir"),
]
"""Calls that change files, or promise that they were changed."""
OPENING = ["open", "openat", "creat", "close", "lseek", "mmap"]
"""What else a replay has to know: where files come from, and where the next write goes."""
_LINE = re.compile(r"\d+ +(\w+)\((.*)\) += (-?\d+|\?)")
_HEX = re.compile(r"(?:\\x[0-9a-f]{2})+")
_PLACE = re.compile(r"(\d+|AT_FDCWD)<([^<>]*)>(?:\(deleted\))?")


@dataclass(frozen=True)
class Call:
    """One system call that was made.

    number: how many of its kind came before it, and it. arguments: as strace prints them, strings in hex.
    """

    name: str
    number: int
    arguments: tuple[str, ...]
    result: int

    @property
    def paths(self) -> list[str]:
        """Every path that the arguments tell, those of descriptors first."""
        descriptors = [decoded(found[2]).decode() for found in map(_PLACE.match, self.arguments) if found]
        strings = [decoded(part).decode(errors="replace") for part in self.arguments if part.startswith('"')]
        return descriptors + (strings if self.name not in {"write", "pwrite64"} else [])

    @property
    def descriptor(self) -> int:
        """The first argument, where that is a descriptor."""
        found = _PLACE.match(self.arguments[0])
        return int(found[1]) if found and found[1].isdigit() else -1

    def touches(self, folder: Path) -> bool:
        """Whether it is about a file below ``folder``; the whole of a relative path need not be told."""
        return any(path.startswith(str(folder)) for path in self.paths)

    def short(self, folder: Path) -> list[str]:
        """The paths without what is above ``folder``."""
        return [path.removeprefix(f"{folder}/") for path in self.paths]


def needed() -> None:
    """Skip a test where strace is missing or may not trace."""
    if shutil.which("strace") is None:
        pytest.skip("strace is not installed: apt-get install strace")
    if subprocess.run(["strace", "-qq", "-o", "/dev/null", "true"], capture_output=True, check=False).returncode:
        pytest.skip("strace may not trace processes here")


def record(command: Sequence[str], trace: Path) -> list[Call]:
    """Run ``command`` to its end and tell its calls in their order."""
    done = run([*_strace(trace, CHANGING + OPENING, "--seccomp-bpf", "-y", "-xx", "-s", "100000000"), *command])
    assert done.returncode == 0, done.stderr
    return list(_parsed(trace.read_text()))


def kill_at(call: Call, command: Sequence[str], trace: Path) -> str:
    """Run ``command`` and kill it as it makes ``call``; what it had printed."""
    # Without --seccomp-bpf: with it strace 6.1 sends no signal.
    inject = ["-e", f"inject={call.name}:signal=KILL:when={call.number}"]
    done = run([*_strace(trace, [call.name]), *inject, *command])
    assert done.returncode in {-signal.SIGKILL, 128 + signal.SIGKILL}, f"lived through {call}: {done.stderr}"
    return done.stdout


def decoded(text: str) -> bytes:
    """The bytes of a string that strace printed in hex."""
    return bytes.fromhex("".join(_HEX.findall(text)).replace("\\x", ""))


def _strace(trace: Path, calls: Sequence[str], *options: str) -> list[str]:
    # A call that this machine does not know is left out by the question mark.
    wanted = ",".join(f"?{call}" for call in calls)
    return ["strace", "-f", "-qq", "-o", str(trace), "-e", f"trace={wanted}", *options]


def _parsed(text: str) -> Iterator[Call]:
    seen: Counter[str] = Counter()
    for line in text.splitlines():
        found = _LINE.match(line)
        if found is None:
            assert "---" in line or "+++" in line, f"a call that was interrupted: {line[:200]}"
            continue
        seen[found[1]] += 1
        yield Call(found[1], seen[found[1]], tuple(found[2].split(", ")), int(found[3].replace("?", "0")))
