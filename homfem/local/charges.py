r"""What is charged in a cell: the ions of its fluid, its walls, its phases; in mesh units, with kT = e = 1.

A potential is in kT/e (25.7 mV at 25 °C), a charge per volume in units of the concentrations, a permittivity in these
units so that the length of Debye is :math:`\kappa^{-1}=\sqrt{\varepsilon/\sum_iz_i^2c_{ib}}` in mesh units.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt

from homfem.cells.features import facet_name
from homfem.cells.unitcell import UnitCell
from homfem.parameters import InputError, check_choice, check_number

Indices = npt.NDArray[np.int32]
#: All walls of the fluid, in place of the name of an interface.
WALLS = "walls"
#: Part of the charge of the bath that may be left: decimal concentrations do not add up to zero.
NEUTRAL = 1e-9
#: The largest |z psi| of a wall: beyond, the numbers mean nothing, and their squares would overflow.
LARGEST = 100.0


@dataclass(frozen=True, kw_only=True, slots=True)
class Charges:
    r"""Ions in a fluid and the charges that hold them, in mesh units with kT = e = 1.

    Parameters
    ----------
    fluid
        The phases in which the ions are.
    valences, baths
        Of each ion its charge number and its concentration in the bath, which is neutral.
    permittivities
        Of each phase of the fluid, and of those solid phases that the field enters; the others end it.
    fixed
        Fixed charge per volume of a phase, signed, where there is some.
    potentials, charges
        Of a wall its potential, or its charge per area, signed: by the name of an interface, or for all of them under
        ``"walls"``. A wall without either is not charged.

    Raises
    ------
    InputError
        For an ion without a bath, a bath that is not neutral, a permittivity that is not positive or missing, a wall
        with a potential and a charge, a wall or fixed charge where no ion has any, a wall potential out of range.
    """

    fluid: tuple[str, ...]
    valences: tuple[int, ...]
    baths: tuple[float, ...]
    permittivities: Mapping[str, float]
    fixed: Mapping[str, float] = field(default_factory=dict)
    potentials: Mapping[str, float] = field(default_factory=dict)
    charges: Mapping[str, float] = field(default_factory=dict)

    def __post_init__(self) -> None:
        if not self.valences or len(self.valences) != len(self.baths):
            raise InputError("valences", self.valences, f"one for each of the {len(self.baths)} baths, at least one")
        for k, bath in enumerate(self.baths):
            check_number(f"ions[{k}].bath", bath, above=0.0, remedy="An ion that the bath does not have is left out.")
        check_neutral(self.valences, self.baths)
        for name in self.fluid:
            if name not in self.permittivities:
                raise InputError(f"permittivity[{name!r}]", None, "given for every phase of the fluid")
        for name, value in self.permittivities.items():
            check_number(f"permittivity[{name!r}]", value, above=0.0)
        held, loaded = (list(map(_sides, given)) for given in (self.potentials, self.charges))
        if held and loaded and (_sides(WALLS) in held + loaded or any(name in held for name in loaded)):
            remedy = "A wall has one or the other: of the one the other follows."
            raise InputError("wall_charge", dict(self.charges), "absent where there is a wall potential", remedy)
        for label, given in (("wall_potential", self.potentials), ("wall_charge", self.charges)):
            if WALLS in given and len(given) > 1:
                raise InputError(label, dict(given), "one number for all walls, or one for each interface")
        self._check_sizes()

    def _check_sizes(self) -> None:
        largest = max(abs(z) for z in self.valences)
        groups = {"wall_potential": self.potentials, "wall_charge": self.charges, "fixed_charge": self.fixed}
        for label, given in groups.items():
            for name, value in given.items():
                number = check_number(f"{label}[{name!r}]", value)
                if number and not largest:
                    remedy = "Ions with a charge shield it; solutes without one do not see it."
                    raise InputError(f"{label}[{name!r}]", value, "zero where the valence of every ion is 0", remedy)
                if label == "wall_potential" and abs(number) * largest > LARGEST:
                    allowed = f"at most {LARGEST / max(largest, 1):g} kT/e in size for valences up to {largest}"
                    remedy = "Point ions stand for nothing there: give the potential where the diffuse layer begins."
                    raise InputError(f"{label}[{name!r}]", value, allowed, remedy)
                if label == "fixed_charge" and name not in self.permittivities:
                    remedy = "Give it a permittivity: the field of the charge is in that phase."
                    raise InputError(
                        f"{label}[{name!r}]", value, "absent of a phase that the field does not enter", remedy
                    )

    @property
    def active(self) -> tuple[str, ...]:
        """The phases that the field enters."""
        return tuple(self.permittivities)

    @property
    def charged(self) -> bool:
        """Whether anything is charged: without, the potential is zero."""
        return any(value for given in (self.fixed, self.potentials, self.charges) for value in given.values())

    def check_cell(self, cell: UnitCell) -> None:
        """Refuse phases and walls that a cell does not have, and walls that no fluid touches; collective."""
        for name in (*self.fluid, *self.active, *self.fixed):
            check_choice("phase", name, cell.phase_names)
        for label, given in (("wall_potential", self.potentials), ("wall_charge", self.charges)):
            for name in given:
                if not cell.comm.allreduce(len(facets_of_wall(cell, self.fluid, name, label))):
                    allowed = f"the name of an interface of {', '.join(map(repr, self.fluid))} with another phase"
                    raise InputError(label, name, allowed)


def _sides(name: str) -> list[str]:
    """The phases of an interface, in either order."""
    return sorted(name.split("|"))


def check_neutral(valences: Sequence[int], baths: Sequence[float]) -> None:
    """Refuse a bath whose ions together have a charge."""
    charge = sum(z * c for z, c in zip(valences, baths, strict=True))
    size = sum(abs(z) * c for z, c in zip(valences, baths, strict=True))
    if abs(charge) > NEUTRAL * size:
        raise InputError(
            "ions", [f"{z:+d} x {c:g}" for z, c in zip(valences, baths, strict=True)],
            f"neutral in the bath: sum of valence times concentration 0, not {charge:g}",
            "Correct a concentration, or add the ion that is missing.",
        )  # fmt: skip


def facets_of_wall(cell: UnitCell, fluid: Sequence[str], name: str, label: str = "wall") -> Indices:
    """Return the owned local facets of a wall of the fluid, ascending; collective.

    Parameters
    ----------
    cell
        The cell, whole.
    fluid
        Its phases that flow as one.
    name
        An interface ``"a|b"`` (or ``"b|a"``), a group of named facets, or ``"walls"``.
    label
        The parameter that has the name, for messages.

    Raises
    ------
    InputError
        If the cell has no facets of the name.
    """
    mesh, d = cell.mesh, cell.dimension
    mesh.topology.create_connectivity(d - 1, d)
    links = mesh.topology.connectivity(d - 1, d)
    owned = mesh.topology.index_map(d - 1).size_local
    inside = np.isin(cell.phase_of_cell, [cell.phases[phase] for phase in fluid])
    first, last = links.array[links.offsets[:owned]], links.array[links.offsets[1 : owned + 1] - 1]
    alone = np.diff(links.offsets[: owned + 1]) == 1
    wall = (inside[first] & alone) | (inside[first] != inside[last])
    if name != WALLS:
        facets = cell.facets[facet_name(label, name, cell.facets, also=[WALLS])]
        chosen = np.zeros(owned, dtype=bool)
        chosen[facets[facets < owned]] = True
        wall &= chosen
    return np.flatnonzero(wall).astype(np.int32)
