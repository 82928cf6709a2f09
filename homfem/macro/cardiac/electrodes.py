"""What electrodes see of a cardiac run: :mod:`homfem.macro.ecg` and :mod:`homfem.macro.recovery` for its problem."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from typing import Any

from homfem.macro.cardiac.problem import CardiacMethod, CardiacProblem
from homfem.macro.cardiac.tissue import Tissue
from homfem.macro.ecg import pseudo_ecg
from homfem.macro.leads import Leads
from homfem.macro.recovery import Recovery
from homfem.parameters import InputError


def cardiac_ecg(
    problem: CardiacProblem,
    electrodes: Mapping[str, Sequence[float]],
    *,
    bath: float,
    method: CardiacMethod | None = None,
    section: float | None = None,
) -> Leads:
    """Return the electrodes of a pseudo-ECG, mV, against a reference at infinity; collective.

    Parameters
    ----------
    problem, method
        Those of the run; a monodomain with its ``intracellular`` and ``extracellular`` conductivities.
    electrodes, section
        See :func:`homfem.macro.ecg.pseudo_ecg`; mm.
    bath
        Conductivity of the conductor that fills space, mS/mm.

    Raises
    ------
    InputError
        See :func:`homfem.macro.ecg.pseudo_ecg`; for a monodomain without the intracellular conductivity, and a problem
        with a bath, which has electrodes of its own (:func:`cardiac_recovery`).
    """
    if problem.kind == "bath":
        raise InputError("problem", problem.kind, "without a bath", "Take cardiac_recovery.")
    tissue = _bidomain(problem, method)
    return pseudo_ecg(
        tissue.domain, tissue.space, tissue.tensors["intracellular"], electrodes, bath=bath, section=section
    )


def cardiac_recovery(
    problem: CardiacProblem, *, method: CardiacMethod | None = None, grounded: Sequence[str] = (), **options: Any
) -> Recovery:
    """Return what recovers the extracellular potential from V, and makes leads within the domain; collective.

    Parameters
    ----------
    problem, method
        As of :func:`cardiac_ecg`; with or without a bath. Currents from outside are left out.
    grounded, options
        See :class:`homfem.macro.recovery.Recovery`.

    Raises
    ------
    InputError
        See :class:`homfem.macro.recovery.Recovery`; for a monodomain without intra- and extracellular conductivities.
    """
    tissue = _bidomain(problem, method)
    intracellular = tissue.inside * tissue.tensors["intracellular"]
    return Recovery(
        tissue.domain, tissue.space, intracellular=intracellular,
        extracellular=tissue.whole_coefficient() - intracellular, grounded=grounded, **options,
    )  # fmt: skip


def _bidomain(problem: CardiacProblem, method: CardiacMethod | None) -> Tissue:
    """Return the tissue with both conductivities."""
    if problem.intracellular is None or problem.extracellular is None:
        raise InputError("intracellular", None, "given with extracellular, in place of the conductivity of both")
    kind = "bidomain" if problem.kind == "monodomain" else problem.kind
    return Tissue(dataclasses.replace(problem, kind=kind), CardiacMethod() if method is None else method)
