r"""The fields of a calcium problem as data: where each lives, its capacity and diffusion by region, and what reacts.

A field u of capacity :math:`\gamma` (the fraction of the volume in which it is dissolved) and tensor K obeys

.. math:: \gamma\,\partial_t u = \nabla\cdot(K\nabla u) + \sum_j \nu_j m_j r_j

in its part of the domain, without flux through the boundary of that part. A rate :math:`r_j` is per membrane area or
per volume of some field, and :math:`m_j` is how much of it there is per volume of tissue: :math:`\lambda S`, or the
capacity of that field.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from homfem.kinetics.point import PointKinetics
from homfem.macro.initial import FieldInput
from homfem.parameters import Array, InputError

#: What a rate is per where it is per area of the membrane of the endoplasmic reticulum; else the name of a field.
MEMBRANE = "membrane"

#: All cells that are not named.
REST = "*"


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class Field:
    r"""A dissolved or bound substance.

    Parameters
    ----------
    name : str
        Its name in results and files.
    capacity : mapping of str to float
        :math:`\gamma`, > 0, by region; it lives in these regions alone, ``"*"`` stands for all others.
    diffusion : mapping of str to array, or None
        K, um^2/s, averaged over all of the volume, for the same regions; None: it does not move.
    initial : FieldInput or mapping of str to float
        Concentration at the start, uM, >= 0; or a number for each region in which it lives.
    calcium : float
        Calcium ions in each, which the total counts: 1 for free calcium and a buffer that has bound one.
    unit : str
        Of the concentration.

    Raises
    ------
    InputError
        If capacity and tensors are of other regions.
    """

    name: str
    capacity: Mapping[str, float]
    diffusion: Mapping[str, Array] | None
    initial: FieldInput | Mapping[str, float]
    calcium: float = 0.0
    unit: str = "uM"

    def __post_init__(self) -> None:
        if self.diffusion is not None and set(self.diffusion) != set(self.capacity):
            raise InputError(f"{self.name}.diffusion", sorted(self.diffusion), f"for {sorted(self.capacity)}")

    @property
    def regions(self) -> tuple[str, ...] | None:
        """The regions in which it lives; None: everywhere."""
        return None if REST in self.capacity else tuple(self.capacity)


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class Exchange:
    """Kinetics between fields, at each node where all of them live.

    Parameters
    ----------
    kinetics : PointKinetics
        Its fields are named as those of the problem.
    per : str
        What a rate is per: ``"membrane"``, the area of the membrane (uM um/s), or the volume of the field of this name
        (uM/s).
    parameters : mapping of str to FieldInput
        Numbers or fields in place of those of the kinetics' table.
    """

    kinetics: PointKinetics
    per: str
    parameters: Mapping[str, Any]

    @property
    def fields(self) -> tuple[str, ...]:
        """Names of its fields."""
        return tuple(field.name for field in self.kinetics.fields)
