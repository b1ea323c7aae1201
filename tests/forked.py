"""The command line as real processes that are forked off one which has imported everything.

A test of the command line is about what a process does, and half of the time of a small run is importing. So each test
process has one server, which imports what a run imports, runs nothing, and forks a process off for each command that it
is asked for: with folder, variables and path of its own, and with nothing in it that any other command has done.
"""

from __future__ import annotations

import atexit
import contextlib
import gc
import importlib
import json
import os
import runpy
import signal
import socket
import subprocess
import sys
import tempfile
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import IO, Any

_READ_AT_IMPORT = ("PYTHON", "POLARS_", "RUST_", "LC_", "LANG", "ARROW_", "MALLOC_")
"""How variables begin that are heeded where an interpreter or a library begins, which in a fork is over."""


class Server:
    """The server of this process; it ends with it."""

    def __init__(self) -> None:
        self._control, theirs = socket.socketpair()
        with theirs:
            command = [sys.executable, __file__, str(theirs.fileno())]
            self._process = subprocess.Popen(command, pass_fds=[theirs.fileno()], stdin=subprocess.DEVNULL)
        self._environment = dict(os.environ)
        atexit.register(self._close)

    def _close(self) -> None:
        self._control.close()
        self._process.wait()

    def may_run(self, env: Mapping[str, str]) -> bool:
        """Whether a process with these variables is the same where it is forked as where it begins anew."""
        differing = {name for name, _ in env.items() ^ self._environment.items()}
        if any(name.startswith(_READ_AT_IMPORT) for name in differing - {"PYTHONPATH"}):
            return False
        more = _folders(env) - _folders(self._environment)
        found = {each.name.partition(".")[0] for folder in more if folder.is_dir() for each in folder.iterdir()}
        # In place of what the server has imported, or to be imported where an interpreter begins.
        return not found & {*sys.modules, "sitecustomize", "usercustomize"}

    def run(self, *args: str, cwd: Path, env: Mapping[str, str], timeout: float) -> subprocess.CompletedProcess[str]:
        """`oreflow` with arguments in a folder, with these variables and no others, until it has ended.

        Raises:
            subprocess.TimeoutExpired: it has not ended in so many seconds, and was killed.
        """
        asking, theirs = socket.socketpair()
        with asking, _file() as out, _file() as err:
            with theirs:
                socket.send_fds(self._control, [b"."], [theirs.fileno()])
            asking.settimeout(timeout)
            request = json.dumps({"args": [*map(str, args)], "cwd": str(cwd), "env": dict(env)}).encode() + b"\n"
            socket.send_fds(asking, [b"."], [0, out.fileno(), err.fileno()])
            asking.sendall(request)
            with asking.makefile("r") as answers:
                pid = int(answers.readline())
                try:
                    code = int(answers.readline())
                except TimeoutError:
                    os.kill(pid, signal.SIGKILL)
                    raise subprocess.TimeoutExpired(["oreflow", *args], timeout) from None
            for file in (out, err):
                file.seek(0)
            return subprocess.CompletedProcess(args, code, out.read(), err.read())


def _file() -> IO[str]:
    return tempfile.TemporaryFile("w+", encoding="utf-8")


def _folders(env: Mapping[str, str]) -> set[Path]:
    """The folders that variables have Python look for modules in."""
    return {Path(each) for each in env.get("PYTHONPATH", "").split(os.pathsep) if each}


def _serve(control: socket.socket) -> dict[str, Any]:
    """Fork a process off for each that is asked for; gives, in each of these, what it is to do."""
    while found := socket.recv_fds(control, 1, 1)[1]:
        if os.fork() == 0:
            control.close()
            return _accompany(socket.socket(fileno=found[0]))
        os.close(found[0])
        with contextlib.suppress(ChildProcessError):
            while os.waitpid(-1, os.WNOHANG)[0]:
                pass
    raise SystemExit  # nobody is there to ask any more


def _accompany(asking: socket.socket) -> dict[str, Any]:
    """Fork the process off, and say which it is and how it has ended."""
    _, places, _, _ = socket.recv_fds(asking, 1, 3)
    with asking.makefile("r") as lines:
        request: dict[str, Any] = json.loads(lines.readline())
    pid = os.fork()
    if pid == 0:
        asking.close()
        for place, fileno in enumerate(places):
            os.dup2(fileno, place)
            os.close(fileno)
        return request
    with contextlib.suppress(ConnectionError):  # whoever asked has ended
        asking.sendall(f"{pid}\n".encode())
        code = os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
        asking.sendall(f"{code}\n".encode())
    os._exit(0)


def _import_what_a_run_imports() -> None:
    """Have imported, in this process, what another one that has run a pipeline has."""
    script = "import sys, oreflow; oreflow.init('.'); oreflow.run('.'); print(*sys.modules)"
    with tempfile.TemporaryDirectory() as folder:
        command = [sys.executable, "-c", script]
        done = subprocess.run(command, cwd=folder, check=True, capture_output=True, text=True)
    for name in ("oreflow.cli.commands", *done.stdout.splitlines()[-1].split()):
        if name != "__main__":
            with contextlib.suppress(ImportError):  # a module that another one has made up
                importlib.import_module(name)


def _path(paths: Iterable[str]) -> list[str]:
    """Where modules are looked for, in a process with these folders on PYTHONPATH that runs a module of it."""
    ours = {str(Path(__file__).parent), *os.environ.get("PYTHONPATH", "").split(os.pathsep)}
    return [str(Path.cwd()), *filter(None, paths), *(each for each in sys.path if each not in ours)]


def main() -> None:
    """Be the server, and then one of the processes."""
    _import_what_a_run_imports()
    gc.freeze()  # what all have in common is not gone through, and so not copied
    request = _serve(socket.socket(fileno=int(sys.argv[1])))
    os.chdir(request["cwd"])
    sys.path[:] = _path(request["env"].get("PYTHONPATH", "").split(os.pathsep))
    os.environ.clear()
    os.environ.update(request["env"])
    importlib.invalidate_caches()
    sys.argv[1:] = request["args"]
    runpy.run_module("oreflow", run_name="__main__", alter_sys=True)


if __name__ == "__main__":
    main()
