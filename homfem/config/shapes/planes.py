"""Shapes with faces in coordinate planes: pores between walls, layers, obstacles."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated

from pydantic import Field

from homfem.config.shapes.cell_table import CellTable
from homfem.config.shapes.made import Axis, FractionOrList, Fractions, Shape
from homfem.config.table import choice


class Laminate(Shape):
    """Layers with a common normal."""

    vector_dimensions = (2, 3)
    maker = "homfem.cells:laminate"

    fractions: Fractions = Field(description="the thickness of each layer as a fraction of the period")
    axis: Axis = "x"
    """The normal of the layers."""

    @property
    def known_phases(self) -> tuple[str, ...]:
        """One per layer."""
        return tuple(f"layer{k + 1}" for k in range(len(self.fractions)))


class Slit(Shape):
    """Pores between parallel walls."""

    vector_dimensions = (2, 3)
    maker = "homfem.cells:slit"
    phases = ("pore", "solid")

    aperture: FractionOrList = Field(description="the width of the slit as a fraction of the period, or several")
    axis: Axis = "x"
    """The normal of the walls."""


class Obstacles(Shape):
    """Rectangles or boxes in a pore space."""

    vector_dimensions = (2, 3)
    maker = "homfem.cells:obstacles"
    phases = ("obstacle", "pore")

    edge: FractionOrList = Field(description="the edge of the obstacles as a fraction of the period, or one per axis")
    lattice: Annotated[str, choice("square", "staggered")] = "square"
    """Rows above each other, or shifted by half a period."""


TABLES: Mapping[str, type[CellTable]] = {
    "slit": Slit,
    "laminate": Laminate,
    "obstacles": Obstacles,
}
