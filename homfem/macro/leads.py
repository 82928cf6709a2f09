r"""Leads: potentials at electrodes, and differences of them, as linear functionals of the membrane potential.

What an electrode sees of a potential V of the membrane is linear in V, so it is a vector w over the nodes, made once
(:mod:`homfem.macro.ecg`, :mod:`homfem.macro.recovery`), and one dot product :math:`\varphi = w\cdot V` per time.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from mpi4py import MPI

from homfem.macro.samples import Samples
from homfem.macro.series import DataSet
from homfem.macro.state import Model, with_unit
from homfem.parameters import Array, InputError, check_choice, check_number
from homfem.step_control import Interval, plain

LIMBS = ("RA", "LA", "LL")
"""Electrodes of the limb leads: right arm, left arm, left leg."""
CHEST = ("V1", "V2", "V3", "V4", "V5", "V6")
"""Electrodes of the chest."""


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class Leads:
    """Linear functionals of the nodal values of a field.

    Parameters
    ----------
    comm
        The communicator of its mesh.
    names
        Of the electrodes or leads.
    weights : array, shape (names, owned nodes)
        The vectors.
    """

    comm: MPI.Comm
    names: tuple[str, ...]
    weights: Array
    _counts: npt.NDArray[np.bool_] = field(init=False, repr=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "_counts", np.any(self.weights != 0.0, axis=0))

    def __call__(self, values: Array) -> Array:
        """Return the potentials for the owned values of the field, in its unit, shape (names,); collective.

        Values without a weight, such as NaN in a bath, do not count.
        """
        found = np.ascontiguousarray(self.weights @ np.where(self._counts, values, 0.0))
        self.comm.Allreduce(MPI.IN_PLACE, found, op=MPI.SUM)
        return found

    def combined(self, leads: Mapping[str, Mapping[str, float]]) -> Leads:
        """Return leads as sums of these with coefficients: ``{"I": {"LA": 1, "RA": -1}}``.

        Raises
        ------
        InputError
            For an electrode that there is not.
        """
        table = np.zeros((len(leads), len(self.names)))
        for row, (name, parts) in enumerate(leads.items()):
            for electrode, coefficient in parts.items():
                known = check_choice(f"leads[{name!r}]", electrode, self.names)
                table[row, self.names.index(known)] = check_number(f"leads[{name!r}]", coefficient)
        return Leads(comm=self.comm, names=tuple(leads), weights=table @ self.weights)


def standard_leads(electrodes: Iterable[str]) -> dict[str, dict[str, float]]:
    """Return the leads of the standard electrocardiogram that electrodes give, for :meth:`Leads.combined`.

    I, II and III (Einthoven) and aVR, aVL, aVF (Goldberger) of ``RA``, ``LA``, ``LL``, and of each of ``V1`` to ``V6``
    that is there the potential against the mean of these three (Wilson's central terminal).

    Raises
    ------
    InputError
        If an electrode of the limbs is missing.

    Example
    -------
    >>> standard_leads(["RA", "LA", "LL"])["aVR"]
    {'RA': 1.0, 'LA': -0.5, 'LL': -0.5}
    """
    there = list(electrodes)
    missing = [name for name in LIMBS if name not in there]
    if missing:
        raise InputError("electrodes", there, f"with {', '.join(LIMBS)}; missing: {', '.join(missing)}")
    leads = {"I": {"LA": 1.0, "RA": -1.0}, "II": {"LL": 1.0, "RA": -1.0}, "III": {"LL": 1.0, "LA": -1.0}}
    for name, limb in (("aVR", "RA"), ("aVL", "LA"), ("aVF", "LL")):
        leads[name] = {limb: 1.0} | {other: -0.5 for other in LIMBS if other != limb}
    for name in CHEST:
        if name in there:
            leads[name] = {name: 1.0} | dict.fromkeys(LIMBS, -1.0 / 3.0)
    return leads


class LeadSeries(Samples):
    """Leads over time: an electrocardiogram, or electrograms.

    Parameters
    ----------
    leads
        What is recorded, made on the space of the field.
    field
        Name of a field of the model's state.
    every, path, name
        As of :class:`homfem.macro.samples.Samples`.

    Raises
    ------
    InputError
        For names that files cannot hold, and at the start of the march for a field that there is not, or one with
        another number of nodes.

    Notes
    -----
    ``times`` and ``values(lead)`` are the same on every rank, and stand in the checkpoints.
    """

    def __init__(
        self,
        leads: Leads,
        field: str = "V",
        *,
        every: int | Interval = 1,
        path: Path | str | None = None,
        name: str = "leads",
    ) -> None:
        super().__init__(name, every=every, path=path)
        self.leads, self.field = leads, field
        for lead in leads.names:
            if lead in ("", ".", "time") or "/" in lead:
                raise InputError("leads", lead, "names that are not empty, hold no '/', and are neither '.' nor 'time'")

    def begin(self, model: Model, time: float) -> None:
        """Take the start; collective."""
        self.comm, self.units = model.comm, model.units
        state = model.state()
        self._values = state[check_choice("field", self.field, list(state))].values
        sizes = (self.leads.weights.shape[1], self._values.size)
        if self.comm.allreduce(sizes[0] != sizes[1], op=MPI.LOR):
            raise InputError("leads", sizes[0], f"made on the space of {self.field!r}, with {sizes[1]} nodes here")
        self.take(model, time)

    def labels(self) -> list[str]:
        """Return the names with the unit of the field."""
        return [with_unit(name, self.units.fields.get(self.field, "")) for name in self.leads.names]

    def sample(self, model: Model, time: float) -> Array:
        """Return the potentials; one reduction. Collective."""
        return self.leads(self._values)

    def data_sets(self) -> Iterator[DataSet]:
        """Every lead by its name."""
        unit = self.units.fields.get(self.field, "")
        for column, name in enumerate(self.leads.names):
            yield DataSet(name, self.rows[:, column], unit)

    def identity(self, model: Model) -> Mapping[str, Any]:
        """The series of a run are of the same leads from its start to its end; collective."""
        squares = np.ascontiguousarray((self.leads.weights**2).sum(axis=1))
        self.comm.Allreduce(MPI.IN_PLACE, squares, op=MPI.SUM)
        norms = {"about": np.sqrt(squares).tolist()}
        return {
            self.name: {
                "leads": list(self.leads.names),
                "field": self.field,
                "every": plain(self.every),
                "norms": norms,
            }
        }

    def values(self, lead: str) -> Array:
        """Return a lead over time, in the unit of the field; raise :class:`InputError` for a name that there is not."""
        return np.asarray(self.rows[:, self.leads.names.index(check_choice("lead", lead, self.leads.names))])
