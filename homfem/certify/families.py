"""Tables of cells: the tensors of a family of cells, solved once and kept in a file."""

from __future__ import annotations

import hashlib
import inspect
import json
import logging
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, Unpack

from homfem.cells.unitcell import UnitCell
from homfem.certify.accuracy import Accuracy, AccuracyOptions
from homfem.certify.diffusion import homogenize_diffusion
from homfem.certify.loop import solve_cell
from homfem.keywords import inherits, takes
from homfem.local.diffusion import Coefficient
from homfem.parameters import FileError, InputError
from homfem.ranks import on_root
from homfem.tensors.family import TensorFamily

log = logging.getLogger("homfem")


@takes(Accuracy)
@inherits(solve_cell)
def homogenize_family(
    make: Callable[[float], UnitCell],
    points: Sequence[float],
    diffusivities: Mapping[str, Coefficient],
    *,
    parameter: str = "edge",
    grows: str | None = None,
    unit: str = "um^2/s",
    file: str | Path | None = None,
    **accuracy: Unpack[AccuracyOptions],
) -> TensorFamily:
    """Return the tensors of all phases of a family of cells, each phase alone; solved once, if a file keeps them.

    Parameters
    ----------
    make
        Makes the cell of a point; collective.
    points
        Values of the parameter, rising; at least two.
    diffusivities
        Of each phase, in ``unit``: numbers or matrices.
    parameter
        What the points are of.
    grows
        The phase that only gains ground with the parameter: then there are bounds between the points
        (:mod:`homfem.tensors.family`).
    unit
        Of the diffusivities.
    file
        Where the table is kept; what is there already is taken if it is of the same maker, points, diffusivities and
        accuracy, and replaced if not.
    **accuracy
        As :class:`homfem.certify.Accuracy` has them; of each tensor.

    Returns
    -------
    TensorFamily

    Raises
    ------
    InputError
        For points that do not rise, diffusivities that are functions where a file is given, and what the cells refuse.
    ConvergenceError

    Examples
    --------
    >>> from homfem import three_pipe
    >>> pipes = homogenize_family(
    ...     lambda edge: three_pipe(edge, resolution=0.3), [0.2, 0.3], {"er": 220.0, "cytosol": 220.0}, grows="er"
    ... )
    >>> er = pipes.at("er", 0.15)["er"]
    >>> bool(er.lower[0, 0] < er.value[0, 0] < er.upper[0, 0])
    True
    """
    key = _key(make, points, diffusivities, parameter, grows, unit, accuracy)
    if file is not None:
        kept = _kept(Path(file), key)
        if kept is not None:
            return kept
    tensors: dict[str, list[Any]] = {phase: [] for phase in diffusivities}
    comm = None
    for point in points:
        cell = make(point)
        comm = cell.comm
        for phase, coefficient in diffusivities.items():
            tensors[phase].append(homogenize_diffusion(cell, {phase: coefficient}, unit=unit, **accuracy))
    family = TensorFamily(
        parameter=parameter,
        points=tuple(points),
        tensors={phase: tuple(row) for phase, row in tensors.items()},
        grows=grows,
        made_from=key,
    )
    if file is not None and comm is not None:
        on_root(comm, lambda: family.to_json(file))
    return family


def _key(
    make: Callable[[float], UnitCell],
    points: Sequence[float],
    diffusivities: Mapping[str, Coefficient],
    parameter: str,
    grows: str | None,
    unit: str,
    accuracy: AccuracyOptions,
) -> str:
    """Return what tells a table from others: the source of its maker and all numbers."""
    from homfem import __version__

    functions = [phase for phase, one in diffusivities.items() if callable(one)]
    if functions:
        raise InputError(f"diffusivities.{functions[0]}", "a function", "a number or a matrix")
    try:
        source = inspect.getsource(make)
    except (OSError, TypeError):
        source = f"{getattr(make, '__module__', '')}.{getattr(make, '__qualname__', repr(make))}"
    closure = inspect.getclosurevars(make).nonlocals if inspect.isfunction(make) else {}
    plain = {
        "version": __version__,
        "maker": source,
        "closure": {name: repr(value) for name, value in sorted(closure.items())},
        "points": [float(point) for point in points],
        "diffusivities": {phase: repr(one) for phase, one in diffusivities.items()},
        "parameter": parameter,
        "grows": grows,
        "unit": unit,
        "accuracy": {name: repr(value) for name, value in sorted(accuracy.items())},
    }
    return hashlib.sha256(json.dumps(plain, sort_keys=True).encode()).hexdigest()


def _kept(file: Path, key: str) -> TensorFamily | None:
    """Return the table of a file if it is the one of a key; the same on every rank, which all read it."""
    if not file.exists():
        return None
    try:
        found = TensorFamily.from_json(file)
    except FileError as error:
        log.warning("%s: made anew (%s)", file, error)
        return None
    if found.made_from != key:
        log.info("%s: of another family or accuracy, made anew", file)
        return None
    return found
