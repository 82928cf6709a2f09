"""The random shapes of the table ``[cell]``: every one has a seed, one seed is one medium."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Mapping
from contextlib import AbstractContextManager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, ClassVar

from pydantic import Field

from homfem.config.cell_table import CellTable, Fraction, Period
from homfem.config.shapes import FractionOrList
from homfem.config.table import choice, flag, integer, keys_from, number
from homfem.parameters import CellError, InputError
from homfem.quantities import Quantity

if TYPE_CHECKING:
    from mpi4py import MPI

    from homfem.cells.unitcell import UnitCell
    from homfem.grid import Image
    from homfem.random_media import GaussianMedium, ParticleMedium


#: Least gap between particles in space, over their smallest diameter, where none is given.
GAP = 0.01


class RandomShape(CellTable):
    """A random medium in a square or cube of one period; lengths are fractions of the period."""

    #: Keys by the names of the arguments that they become, where these differ.
    keys: ClassVar[Mapping[str, str]] = {}

    shape: str
    seed: Annotated[int, integer(at_least=0)] = Field(
        description="the seed of the random numbers: one seed, one medium"
    )
    dimension: Annotated[int, integer(at_least=2, at_most=3)] = 2
    period: Period = (Quantity(1.0, "m"),)
    resolution: Annotated[float, number(above=0.0, at_most=1.0 / 3.0)] | None = None
    refinement: Annotated[int, integer(at_least=0, at_most=6)] = 0
    voxels: Annotated[int, integer(at_least=4)] = 64

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

    @abstractmethod
    def medium(self) -> ParticleMedium | GaussianMedium:
        """Return the medium in a box of unit sides."""

    def _keys(self) -> AbstractContextManager[None]:
        """Errors with the keys of the table."""
        return keys_from({"shape": "cell.voxels", **self.keys}, "cell")

    def _length(self) -> Quantity:
        if len(self.period) != 1:
            raise InputError("period", [str(p) for p in self.period], "one length: the cell is a square or a cube")
        return self.period[0]

    def build(self, comm: MPI.Comm, folder: Path) -> UnitCell:
        """Return the meshed cell; collective."""
        from homfem import cells

        given: dict[str, Any] = {} if self.resolution is None else {"resolution": self.resolution}
        with self._keys():
            length = self._length()
            medium = self.medium()
            try:
                return cells.medium_cell(
                    medium,
                    refinement=self.refinement,
                    length=length.value,
                    length_unit=length.unit,
                    comm=comm,
                    **given,
                )
            except CellError as error:
                if error.name != "functions":
                    raise
                allowed = f"resolved by its mesh, not with {error.value}"
                raise CellError("cell.shape", self.shape, allowed, self.remedy) from error

    def image(self) -> Image:
        """Return the voxels of the medium."""
        from homfem.grid import Image

        with self._keys():
            length = self._length()
            labels = self.medium().labels(self.voxels)
        size = length.value / self.voxels
        return Image.from_labels(labels, {"inclusion": 1, "matrix": 0}, voxel=size, length_unit=length.unit)


class RandomParticles(RandomShape):
    """Discs or spheres, ellipses or ellipsoids, fibres; at random places."""

    keys: ClassVar[Mapping[str, str]] = {"particle": "cell.radius"}

    shape: Annotated[str, choice("random-particles")]
    particle: Annotated[str, choice("sphere", "ellipsoid", "fibre")] = "sphere"
    fraction: Fraction = Field(description="the volume fraction of the particles")
    radius: Fraction | None = None
    semi_axes: FractionOrList | None = None
    length: Fraction | None = None
    gap: Annotated[float, number(at_least=0.0, below=1.0)] | None = Field(
        default=None,
        description="the least distance between particles; else 0, in space 1 % of their smallest diameter: "
        "the mesh of a gap in space has cells in inverse proportion to its width",
    )
    overlap: Annotated[bool, flag()] = False

    def medium(self) -> ParticleMedium:
        """Return the medium in a box of unit sides."""
        from homfem import random_media as media

        needed = {"sphere": ("radius",), "ellipsoid": ("semi_axes",), "fibre": ("length", "radius")}[self.particle]
        for name in ("radius", "semi_axes", "length"):
            if (getattr(self, name) is None) == (name in needed):
                allowed = "given" if name in needed else "absent"
                raise InputError(name, getattr(self, name), f"{allowed} for particle = {self.particle!r}")
        kind: Any = {
            "sphere": lambda: media.Sphere(self.radius or 0.0),
            "ellipsoid": lambda: media.Ellipsoid(self.semi_axes),  # type: ignore[arg-type]
            "fibre": lambda: media.Fibre(self.length or 0.0, self.radius or 0.0),
        }[self.particle]()
        sides = (1.0,) * self.dimension
        if self.overlap:
            return media.boolean_model(kind, period=sides, fraction=self.fraction, seed=self.seed)
        gap = self.gap
        if gap is None:
            gap = 0.0 if self.dimension == 2 else GAP * self._smallest_diameter()
        return media.random_sequential_addition(kind, period=sides, fraction=self.fraction, seed=self.seed, gap=gap)

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

    keys: ClassVar[Mapping[str, str]] = {"lengths": "cell.correlation_length"}

    shape: Annotated[str, choice("gaussian-field")]
    fraction: Fraction = Field(description="the volume fraction of the inclusions")
    correlation_length: FractionOrList = Field(description="the correlation length as a fraction of the period")

    def medium(self) -> GaussianMedium:
        """Return the medium in a box of unit sides."""
        from homfem.random_media import gaussian_medium

        return gaussian_medium(
            self.correlation_length, period=(1.0,) * self.dimension, fraction=self.fraction, seed=self.seed
        )
