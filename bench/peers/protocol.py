"""Questions and answers between a command and a worker in another environment: one JSON object a line.

The worker answers on what was its standard output; whatever libraries print goes to standard error, so that it cannot be
taken for an answer. Needs the standard library alone.
"""

from __future__ import annotations

import json
import os
import select
import signal
import subprocess
import sys
import tempfile
import traceback
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[2]
ENVIRONMENTS = ROOT / ".peers"
WORKER = Path(__file__).with_name("worker.py")


class PeerError(Exception):
    """A worker that cannot be started, or that failed at what it was asked."""


def serve(handlers: Mapping[str, Callable[..., Mapping[str, Any]]]) -> None:
    """Answer questions until standard input ends: `{"ask": NAME, ...}` calls handler NAME with the other fields."""
    with os.fdopen(os.dup(1), "w", encoding="utf-8") as answers:
        os.dup2(2, 1)
        for line in sys.stdin:
            question = json.loads(line)
            try:
                answer = handlers[question.pop("ask")](**question)
            except Exception as error:
                traceback.print_exc()
                answer = {"error": f"{type(error).__name__}: {error}"}
            print(json.dumps(answer), file=answers, flush=True)


def python_of(group: str, folder: Path = ENVIRONMENTS) -> Path:
    """The Python of an environment.

    Raises:
        PeerError: it has not been made.
    """
    path = folder / group / "bin" / "python"
    if not path.exists():
        raise PeerError(f"there is no environment {group}; make it with: python bench/peers/environments.py {group}")
    return path


class Worker:
    """A child process that answers questions; close it, or use it in a `with` statement."""

    def __init__(
        self,
        python: Path,
        *arguments: str,
        script: Path = WORKER,
        threads: int = 2,
        cpus: frozenset[int] | None = None,
        limit: float | None = None,
    ) -> None:
        """Start `script` with arguments.

        Args:
            threads: what OpenMP and the numerical libraries of the child may use.
            cpus: the processors that the child may use, all if None.
            limit: seconds that an answer may take; then the child is ended, with all processes that it has started.
        """
        self.name = " ".join((script.stem, *arguments))
        self._noise = tempfile.TemporaryFile()  # noqa: SIM115  (closed with the worker)
        limits = dict.fromkeys(("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS"), str(threads))
        self._child = subprocess.Popen(
            [python, script, *arguments],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self._noise,
            text=True,
            env={**os.environ, **limits},
            start_new_session=limit is not None,
        )
        self._limit = limit
        if cpus is not None:
            os.sched_setaffinity(self._child.pid, cpus)

    def ask(self, question: str, **fields: Any) -> dict[str, Any]:
        """The answer to a question.

        Raises:
            PeerError: the worker failed or ended.
        """
        assert self._child.stdin is not None
        assert self._child.stdout is not None
        try:
            print(json.dumps({"ask": question, **fields}), file=self._child.stdin, flush=True)
            if self._limit is not None and not select.select([self._child.stdout], [], [], self._limit)[0]:
                os.killpg(self._child.pid, signal.SIGKILL)
            line = self._child.stdout.readline()
        except BrokenPipeError:
            line = ""
        answer = json.loads(line) if line else {"error": f"ended with status {self._child.wait()}"}
        if "error" in answer:
            self._noise.seek(0)
            said = self._noise.read().decode(errors="replace").splitlines()[-15:]
            raise PeerError("\n".join((f"{self.name}: {question}: {answer['error']}", *said)))
        return answer

    def close(self) -> None:
        """End the child: its input ends, and it has nothing more to answer."""
        self._child.communicate()
        self._noise.close()

    def __enter__(self) -> Worker:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()
