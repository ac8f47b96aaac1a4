"""The program for many command lines: imported once, then a forked process for each, which has nothing left to import.

What a command does, prints and leaves behind is what a process of its own would: the forked one has its terminal,
folder, environment and arguments, and nothing but modules is loaded before the fork. A command whose environment is not
that of the server runs in a process of its own.
"""

import atexit
import contextlib
import importlib
import json
import os
import pkgutil
import select
import signal
import socket
import subprocess
import sys
import tempfile
import traceback
import types
from collections.abc import Iterator, Mapping
from pathlib import Path

# Differs from command to command and says nothing to the program.
OF_SHELL = ("PWD", "OLDPWD", "SHLVL", "_")
HEAVY = ("pandas", "pyarrow.parquet", "matplotlib.backends.backend_agg", "matplotlib.figure", "rich.progress")

PROGRAM = Path(sys.executable).parent / "mfmi"

# The stand-in for the program: hands its streams, folder and arguments to the server, and ends as the command does.
CLIENT = """\
#!{python} -IS
import json, os, signal, socket, sys
environment = {{name: value for name, value in os.environ.items() if name not in {of_shell!r}}}
if environment != json.loads({environment!r}):
    os.execv({program!r}, [{program!r}, *sys.argv[1:]])
server = socket.socket(socket.AF_UNIX)
server.connect({address!r})
message = json.dumps([sys.argv, dict(os.environ)]).encode()
socket.send_fds(server, [len(message).to_bytes(8, "big")], [0, 1, 2, os.open(".", os.O_RDONLY)])
server.sendall(message)
code = int(server.recv(16) or 1)
if code < 0:
    signal.signal(-code, signal.SIG_DFL)
    os.kill(os.getpid(), -code)
sys.exit(code)
"""


@contextlib.contextmanager
def served(environment: Mapping[str, str]) -> Iterator[Path]:
    """Yield a folder whose program ``mfmi`` runs commands in forks of one process, in the environment that is given."""
    with tempfile.TemporaryDirectory(prefix="mfmi-") as place:
        folder = Path(place)
        address = folder / "socket"
        own = {name: value for name, value in environment.items() if name not in OF_SHELL}
        own["PATH"] = f"{folder}{os.pathsep}{own['PATH']}"
        names = {"python": sys.executable, "program": str(PROGRAM), "address": str(address)}
        client = CLIENT.format(environment=json.dumps(own), of_shell=OF_SHELL, **names)
        (folder / "mfmi").write_text(client)
        (folder / "mfmi").chmod(0o755)
        with socket.socket(socket.AF_UNIX) as listener:
            listener.bind(str(address))
            listener.listen()
            command = [sys.executable, __file__, str(listener.fileno()), str(PROGRAM)]
            server = subprocess.Popen(
                command, env=own, stdin=subprocess.PIPE, pass_fds=[listener.fileno()], start_new_session=True
            )
        try:
            yield folder
        finally:
            os.killpg(server.pid, signal.SIGKILL)
            server.communicate()


def serve(listener: socket.socket, program: str) -> None:
    """Import the program, then run each command that is sent in a fork; end when standard input does."""
    import mfmi

    for module in pkgutil.walk_packages(mfmi.__path__, "mfmi."):
        if not module.name.endswith("__main__"):
            importlib.import_module(module.name)
    for name in HEAVY:
        importlib.import_module(name)
    running = 0
    while True:
        ready, _, _ = select.select([listener, 0], [], [])
        if listener not in ready:
            return
        connection, _ = listener.accept()
        while running and os.waitpid(-1, os.WNOHANG)[0]:
            running -= 1
        running += 1
        if not os.fork():
            listener.close()
            _answer(connection, program)
            os._exit(0)
        connection.close()


def _answer(connection: socket.socket, program: str) -> None:
    """Run one command in a process of its own and send back how it ended."""
    head, streams, *_ = socket.recv_fds(connection, 8, 4)
    with connection.makefile("rb") as file:
        arguments, environment = json.loads(file.read(int.from_bytes(head, "big")))
    pid = os.fork()
    if not pid:
        connection.close()
        _run(arguments, environment, streams, program)
    _, status = os.waitpid(pid, 0)
    connection.sendall(str(os.waitstatus_to_exitcode(status)).encode())


def _run(arguments: list[str], environment: dict[str, str], streams: list[int], program: str) -> None:
    """Become the command: its streams, folder, environment and arguments, then the program's main."""
    code = 1
    try:
        for place, stream in enumerate(streams[:3]):
            os.dup2(stream, place)
        os.fchdir(streams[3])
        for stream in streams:
            os.close(stream)
        os.environ.clear()
        os.environ.update(environment)
        sys.argv = arguments
        sys.path[0] = str(Path(program).parent)
        sys.modules["__main__"] = types.ModuleType("__main__")
        sys.stdin = open(0, closefd=False)  # noqa: SIM115
        sys.stdout = open(1, "w", buffering=1 if os.isatty(1) else -1, closefd=False)  # noqa: SIM115
        sys.stderr = open(2, "w", buffering=1, errors="backslashreplace", closefd=False)  # noqa: SIM115
        from mfmi.cli.main import main

        main()
    except SystemExit as leave:
        code = leave.code if isinstance(leave.code, int) else int(leave.code is not None)
    except BaseException:
        traceback.print_exc()
    finally:
        atexit._run_exitfuncs()
        for file in (sys.stdout, sys.stderr):
            with contextlib.suppress(OSError, ValueError):
                file.flush()
        os._exit(code)


if __name__ == "__main__":
    serve(socket.socket(fileno=int(sys.argv[1])), sys.argv[2])
