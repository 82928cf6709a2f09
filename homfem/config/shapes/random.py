"""The random shapes of the table ``[cell]``: every one has a seed, one seed is one medium."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, ClassVar

from pydantic import Field, model_validator

from homfem.config.shapes.cell_table import CellTable, Fraction, Period
from homfem.config.shapes.made import FractionOrList
from homfem.config.table import choice, flag, integer, number
from homfem.parameters import InputError
from homfem.quantities import Quantity

#: Least gap between particles in space, over their smallest diameter, where none is given.
GAP = 0.01


class RandomShape(CellTable):
    """A random medium in a square or cube of one period; lengths are fractions of the period."""

    runner = "homfem.runs.shapes:from_medium"
    meshless_runner = "homfem.runs.meshless:solve_voxels"
    #: The function that makes the medium in a box of unit sides, ``"package.module:function"``, called with the table.
    medium: ClassVar[str]

    shape: str
    seed: Annotated[int, integer(at_least=0)] = Field(
        description="the seed of the random numbers: one seed, one medium"
    )
    dimension: Annotated[int, integer(at_least=2, at_most=3)] = 2
    """Number of space dimensions."""
    period: Period = (Quantity(1.0, "m"),)
    """The length of one side."""
    resolution: Annotated[float, number(above=0.0, at_most=1.0 / 3.0)] | None = None
    """Size of the mesh cells as a fraction of the period."""
    refinement: Annotated[int, integer(at_least=0, at_most=6)] = 0
    """How often the mesh is halved near the surface; with 0 curved cells around particles may be larger."""
    order: Annotated[int, integer(at_least=1, at_most=4)] = 1
    """Order of the mesh cells: 2 for curved ones, 3 and 4 in the plane."""
    voxels: Annotated[int, integer(at_least=4)] = 64
    """Voxels along a side, for `method = "grid"`."""

    @model_validator(mode="after")
    def _one_length(self) -> RandomShape:
        if len(self.period) != 1:
            raise InputError("period", [str(p) for p in self.period], "one length: the cell is a square or a cube")
        return self

    @property
    def known_phases(self) -> tuple[str, ...]:
        """The inclusions and the rest."""
        return ("inclusion", "matrix")

    @property
    def known_dimension(self) -> int:
        """As the table says."""
        return self.dimension

    @property
    def remedy(self) -> str:
        """What to do about a medium that cannot be meshed."""
        return (
            "Choose a smaller resolution or more refinement, or method = 'grid' (diffusion), whose voxels need no mesh."
        )

    @property
    def methods(self) -> tuple[str, ...]:
        """On the grid of ``voxels`` along each side."""
        return ("grid",)


class RandomParticles(RandomShape):
    """Discs or spheres, ellipses or ellipsoids, fibres; at random places."""

    medium = "homfem.runs.shapes:particle_medium"

    shape: Annotated[str, choice("random-particles")]
    particle: Annotated[str, choice("sphere", "ellipsoid", "fibre")] = "sphere"
    """What the particles are."""
    fraction: Fraction = Field(description="the volume fraction of the particles")
    radius: Fraction | None = None
    """Radius of spheres and fibres as a fraction of the period."""
    semi_axes: FractionOrList | None = None
    """Half axes of ellipsoids."""
    length: Fraction | None = None
    """Length of fibres."""
    gap: Annotated[float, number(at_least=0.0, below=1.0)] | None = Field(
        default=None,
        description="the least distance between particles; else 0, in space 1 % of their smallest diameter: "
        "the mesh of a gap in space has cells in inverse proportion to its width",
    )
    overlap: Annotated[bool, flag()] = False
    """Whether particles may overlap."""

    @property
    def argument_keys(self) -> Mapping[str, str]:
        """What is wrong with a particle is its radius."""
        return {"particle": "cell.radius"}

    @model_validator(mode="after")
    def _sized(self) -> RandomParticles:
        needed = {"sphere": ("radius",), "ellipsoid": ("semi_axes",), "fibre": ("length", "radius")}[self.particle]
        for name in ("radius", "semi_axes", "length"):
            if (getattr(self, name) is None) == (name in needed):
                allowed = "given" if name in needed else "absent"
                raise InputError(name, getattr(self, name), f"{allowed} for particle = {self.particle!r}")
        return self

    @property
    def least_gap(self) -> float:
        """The least distance between particles: as given, else none, but in space a share of the smallest diameter."""
        if self.gap is not None:
            return self.gap
        return 0.0 if self.dimension == 2 else GAP * self._smallest_diameter()

    def _smallest_diameter(self) -> float:
        axes = self.semi_axes if isinstance(self.semi_axes, tuple) else (self.semi_axes or self.radius or 0.0,)
        return 2.0 * min(axes)

    @property
    def remedy(self) -> str:
        """What to do about a medium that cannot be meshed."""
        if not self.overlap:
            return f"Choose a gap between the particles. {super().remedy}"
        return f"Particles that overlap meet at sharp edges, which a mesh hardly resolves. {super().remedy}"


class GaussianField(RandomShape):
    """A Gaussian random field cut at a level."""

    medium = "homfem.runs.shapes:gaussian_field"

    shape: Annotated[str, choice("gaussian-field")]
    fraction: Fraction = Field(description="the volume fraction of the inclusions")
    correlation_length: FractionOrList = Field(description="the correlation length as a fraction of the period")

    @property
    def argument_keys(self) -> Mapping[str, str]:
        """The lengths are of correlation."""
        return {"lengths": "cell.correlation_length"}


TABLES: Mapping[str, type[CellTable]] = {"random-particles": RandomParticles, "gaussian-field": GaussianField}
