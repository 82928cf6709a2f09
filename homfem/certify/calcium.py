r"""The effective tensors of calcium and its buffers in one cell: cytosol, endoplasmic reticulum (ER), mobile buffers.

Each diffuses in its own phase with an insulating membrane: what the membrane, and the binding, move is of the order of
the macroscale (eqs 2.27, 2.28, 3.12 to 3.15). Where a diffusivity is a number times one that is solved already,
:math:`D_b=\alpha D`, the correctors are the same and :math:`D_b^*=\alpha D^*`: the tensor is scaled with its bounds.

Source: Goel, Sneyd, Friedman 2006, Multiscale Model. Simul. 5(4), 1045, sections 2.6 and 3.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Unpack

import numpy as np

from homfem.cells.unitcell import UnitCell
from homfem.certify.accuracy import Accuracy, AccuracyOptions
from homfem.certify.diffusion import homogenize_diffusion
from homfem.certify.loop import solve_cell
from homfem.keywords import inherits, takes
from homfem.kinetics.calcium import Buffer
from homfem.local.diffusion import Coefficient
from homfem.parameters import InputError, check_choice
from homfem.tensors import EffectiveTensor
from homfem.tensors.conversion import scaled

UNIT = "um^2/s"


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class CalciumTensors:
    """The effective tensors of a cell, um^2/s.

    Parameters
    ----------
    cytosol, er : EffectiveTensor
        Of free calcium.
    buffers : mapping of str to EffectiveTensor
        Of the mobile buffers by name.
    shared : mapping of str to str
        Buffers whose correctors are those of another tensor, with its name (``"cytosol"``, ``"er"`` or a buffer's).
    """

    cytosol: EffectiveTensor
    er: EffectiveTensor
    buffers: Mapping[str, EffectiveTensor] = field(default_factory=dict)
    shared: Mapping[str, str] = field(default_factory=dict)


@takes(Accuracy)
@inherits(solve_cell)
def homogenize_calcium(
    cell: UnitCell,
    diffusivities: Mapping[str, Coefficient],
    buffers: Sequence[Buffer] = (),
    *,
    of_buffers: Mapping[str, Coefficient] | None = None,
    config: Mapping[str, Any] | None = None,
    **accuracy: Unpack[AccuracyOptions],
) -> CalciumTensors:
    """Return the effective tensors of calcium in both phases and of the mobile buffers, with bounds; collective.

    Parameters
    ----------
    cell
        A cell with the phases ``cytosol`` and ``er``.
    diffusivities
        Of free calcium in the two phases, um^2/s: numbers, matrices, functions of position.
    buffers
        Buffers; those of diffusivity 0 have no tensor.
    of_buffers
        Diffusivities of buffers by name that are no numbers, in place of their own.
    config
    **accuracy
        As :class:`homfem.certify.Accuracy` has them; of each tensor.

    Returns
    -------
    CalciumTensors

    Raises
    ------
    InputError
        For a phase that is missing or too many, two buffers of one name, diffusivities of no buffer.
    BudgetError, MemoryLimitError
    ConvergenceError

    Examples
    --------
    >>> from homfem import three_pipe
    >>> dye = Buffer(name="dye", total=50.0, k_on=100.0, k_off=50.0, diffusivity=20.0)
    >>> cell = three_pipe(0.3, resolution=0.3, period=0.5, length_unit="um")
    >>> found = homogenize_calcium(cell, {"cytosol": 220.0, "er": 220.0}, [dye])
    >>> found.shared["dye"], round(float(found.buffers["dye"].value[0, 0] / found.cytosol.value[0, 0]), 12)
    ('cytosol', 0.090909090909)
    """
    if set(diffusivities) != {"cytosol", "er"}:
        raise InputError("diffusivities", sorted(diffusivities), "given for cytosol and er")
    names = [buffer.name for buffer in buffers]
    twice = sorted({name for name in names if names.count(name) > 1})
    if twice:
        raise InputError("buffers", twice, "with names that differ")
    for name in of_buffers or {}:
        check_choice("of_buffers", name, names)

    def solve(phase: str, coefficient: Coefficient) -> EffectiveTensor:
        return homogenize_diffusion(cell, {phase: coefficient}, unit=UNIT, config=config, **accuracy)

    solved = {phase: solve(phase, coefficient) for phase, coefficient in diffusivities.items()}
    known = [(phase, phase, diffusivities[phase]) for phase in diffusivities]
    found: dict[str, EffectiveTensor] = {}
    shared = {}
    for buffer in buffers:
        coefficient = (of_buffers or {}).get(buffer.name, buffer.diffusivity)
        if _is_zero(coefficient):
            continue
        for name, phase, other in known:
            factor = ratio(coefficient, other) if phase == buffer.phase else None
            if factor is not None:
                found[buffer.name] = scaled((solved | found)[name], factor)
                shared[buffer.name] = name
                break
        else:
            found[buffer.name] = solve(buffer.phase, coefficient)
            known.append((buffer.name, buffer.phase, coefficient))
    return CalciumTensors(cytosol=solved["cytosol"], er=solved["er"], buffers=found, shared=shared)


def ratio(coefficient: Coefficient, other: Coefficient) -> float | None:
    """Return the number by which a coefficient is another one; None if by no number.

    Example
    -------
    >>> ratio([[2.0, 0.0], [0.0, 4.0]], [[1.0, 0.0], [0.0, 2.0]]), ratio(20.0, [[1.0, 0.0], [0.0, 2.0]])
    (2.0, None)
    """
    if callable(coefficient) or callable(other):
        return 1.0 if coefficient is other else None
    one, two = (np.asarray(given, dtype=np.float64) for given in (coefficient, other))
    if one.shape != two.shape or not one.size:
        return None
    place = np.unravel_index(int(np.abs(two).argmax()), two.shape)
    if not two[place]:
        return None
    factor = float(one[place] / two[place])
    same = factor > 0.0 and np.allclose(factor * two, one, rtol=1e-14, atol=0.0)
    return factor if same else None


def _is_zero(coefficient: Coefficient) -> bool:
    return not callable(coefficient) and not np.any(np.asarray(coefficient, dtype=np.float64))
