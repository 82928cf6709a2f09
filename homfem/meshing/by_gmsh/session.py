"""Gmsh as a guest: a session that leaves it as it was found, and its failures with their text."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import TracebackType
from typing import Any

from homfem.parameters import CellError

log = logging.getLogger("homfem")


class Failure:
    """Turn Gmsh's own failure, which has no class of its own, into ``error(text)``."""

    def __init__(self, error: Callable[[str], Exception]) -> None:
        self.error = error

    def __enter__(self) -> None:
        pass

    def __exit__(
        self, kind: type[BaseException] | None, value: BaseException | None, trace: TracebackType | None
    ) -> None:
        if kind is Exception:
            raise self.error(_last_error(str(value))) from value


def _last_error(text: str) -> str:
    import gmsh

    lines = [line.split(":", 1)[1].strip() for line in gmsh.logger.get() if line.startswith("Error")]
    return "; ".join(dict.fromkeys([*lines, text.strip()])) if lines or text.strip() else "unknown error"


@contextmanager
def gmsh_session(**options: float) -> Iterator[Any]:
    """Give the module ``gmsh`` with an empty model, and leave Gmsh as it was found, also after an error.

    Meshing is repeatable: one thread, no configuration files of the user. Messages go to the log at level DEBUG.

    Parameters
    ----------
    **options
        Numbers for Gmsh's options, with ``_`` for the dot: ``Mesh_ElementOrder=2``.

    Raises :class:`CellError` with Gmsh's text, if Gmsh fails in a place that has no better error.
    """
    import gmsh

    settings = {"General.Terminal": 0.0, "General.NumThreads": 1.0, "Mesh.Algorithm3D": 10.0}
    settings |= {name.replace("_", ".", 1): float(value) for name, value in options.items()}
    started = not gmsh.isInitialized()
    if started:
        gmsh.initialize(argv=["gmsh"], readConfigFiles=False, run=False, interruptible=False)
    before = {name: gmsh.option.getNumber(name) for name in settings}
    models, current = gmsh.model.list(), gmsh.model.getCurrent()
    try:
        for name, value in settings.items():
            gmsh.option.setNumber(name, value)
        gmsh.model.add("homfem")
        gmsh.logger.start()
        with Failure(lambda text: CellError("gmsh", text, "a geometry that Gmsh can mesh")):
            yield gmsh
    finally:
        if log.isEnabledFor(logging.DEBUG):
            for line in gmsh.logger.get():
                log.debug("gmsh: %s", line)
        gmsh.logger.stop()
        if started:
            gmsh.finalize()
        else:
            for name in [model for model in gmsh.model.list() if model not in models]:
                gmsh.model.setCurrent(name)
                gmsh.model.remove()
            gmsh.model.setCurrent(current)
            for name, value in before.items():
                gmsh.option.setNumber(name, value)
