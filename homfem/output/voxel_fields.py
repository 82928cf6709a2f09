"""Fields between the voxels of an image as a file of VTK for ParaView and PyVista: one value in each voxel."""

from __future__ import annotations

import base64
import struct
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import IO, Any

import numpy as np
import numpy.typing as npt

from homfem.disk import require_room, whole
from homfem.grid import GridSolution, Image, ImageDispersion, ImageFlow
from homfem.parameters import Array

#: What a field is: its values in a plane of voxels (or corners) by the number of the plane, shape (nx, ny), or
#: (3, nx, ny) of a vector. So no more than a plane is held beside the solution.
Planes = Callable[[int], npt.NDArray[Any]]
Flags = npt.NDArray[np.bool_]

_HEAD = '<VTKFile type="ImageData" version="1.0" byte_order="LittleEndian" header_type="UInt64">'


def write_image_solution(solution: GridSolution | ImageFlow | ImageDispersion, path: str | Path) -> None:
    """Write phases and fields of what was solved on the voxels of an image into a ``.vti`` file.

    Vectors are in the middle of the voxels, zero where nothing flows. Of a diffusion ``flux_1``, ... and at the corners
    ``corrector_1``, ..., one for each of its loads, NaN where none of the voxels around conducts; of a flow
    ``velocity_1``, ...; of dispersion ``velocity``, over its mean in the fluid, and ``corrector_1``, ... in the voxels,
    NaN where no solute is. Units are those of the solution. Those of a gel are of the current at frozen concentrations,
    or of the ion that it is a multiple of.

    Raises
    ------
    OSError
        If there is no room for the file, or it cannot be written; what was there before is then as it was.
    """
    fields: dict[str, Planes] = {}
    corners: dict[str, Planes] = {}
    if isinstance(solution, ImageDispersion):
        fields["velocity"] = _middles(solution.velocity, solution.fluid)
        fields |= _numbered("corrector", [_inside(one, solution.inside) for one in solution.correctors])
    elif isinstance(solution, ImageFlow):
        fields = _numbered("velocity", [_middles(one, solution.fluid) for one in solution.velocities])
    else:
        fields = _numbered("flux", [_middles(one, solution.inside) for one in solution.fluxes])
        reached = _reached(solution.inside) if len(solution.potentials) else solution.inside
        corners = _numbered("corrector", [_at_corners(_inside(one, reached)) for one in solution.potentials])
    write_voxels(solution.image, fields, path, corners=corners)


def _numbered(name: str, fields: Sequence[Planes]) -> dict[str, Planes]:
    return {f"{name}_{number}": field for number, field in enumerate(fields, start=1)}


def _plane(values: npt.NDArray[Any], number: int) -> npt.NDArray[Any]:
    """One plane of an array in two or three dimensions; of a period, so that the last is followed by the first."""
    return values if values.ndim == 2 else values[..., number % values.shape[2]]


def _middles(faces: Array, inside: Flags) -> Planes:
    """A vector in the middle of each voxel from its components on the lower faces; zero outside."""

    def plane(number: int) -> Array:
        found = np.zeros((3, *inside.shape[:2]))
        for axis in range(len(faces)):
            here = _plane(faces[axis], number)
            after = np.roll(here, -1, axis) if axis < 2 else _plane(faces[axis], number + 1)
            found[axis] = np.where(_plane(inside, number), 0.5 * (here + after), 0.0)
        return found

    return plane


def _inside(values: Array, inside: Flags) -> Planes:
    return lambda number: np.where(_plane(inside, number), _plane(values, number), np.nan)


def _at_corners(planes: Planes) -> Planes:
    """Values at all corners of the voxels, from those at the lowest one of each."""
    return lambda number: np.pad(planes(number), (0, 1), mode="wrap")


def _reached(inside: Flags) -> Flags:
    """Whether the lowest corner of each voxel is one of a voxel inside."""
    for axis in range(inside.ndim):
        inside = inside | np.roll(inside, 1, axis)
    return inside


def write_voxels(
    image: Image, fields: Mapping[str, Planes], path: str | Path, *, corners: Mapping[str, Planes] | None = None
) -> None:
    """Write the phases of an image and fields into a ``.vti`` file.

    Parameters
    ----------
    image
        The image; phase k of its ``names`` has the number k.
    fields
        By name: scalars or vectors in the voxels, as functions of the number of a plane along z (0 in two dimensions).
    path
        Name of the file; its folder exists.
    corners
        Scalars at the corners of the voxels, one more along each axis.

    Raises
    ------
    OSError
        If there is no room for the file, or it cannot be written; what was there before is then as it was.
    """
    shape, size = (*image.shape, 1)[:3], (*image.voxel, min(image.voxel))[:3]
    extent, spacing = " ".join(f"0 {n}" for n in shape), " ".join(repr(float(h)) for h in size)
    ends = [_Array(name, plane, shape[2] + 1) for name, plane in (corners or {}).items()]
    middles = [_Array("phase", lambda number: _plane(image.phases, number).astype(np.int32), shape[2])]
    middles += [_Array(name, plane, shape[2]) for name, plane in fields.items()]
    require_room(path, sum(one.coded for one in (*ends, *middles)))
    with whole(path) as stream:
        head = (_HEAD, f'<ImageData WholeExtent="{extent}" Origin="0 0 0" Spacing="{spacing}">')
        _tell(stream, *head, f'<Piece Extent="{extent}">', "<PointData>")
        for one in ends:
            one.write(stream)
        _tell(stream, "</PointData>", "<CellData>")
        for one in middles:
            one.write(stream)
        _tell(stream, "</CellData>", "</Piece>", "</ImageData>", "</VTKFile>")


def _tell(stream: IO[bytes], *lines: str) -> None:
    stream.write("".join(f"{line}\n" for line in lines).encode("ascii"))


class _Array:
    """A field as an element of XML, written plane by plane: x runs first; vectors have three parts."""

    def __init__(self, name: str, plane: Planes, planes: int) -> None:
        self.name, self.plane, self.planes = name, plane, planes
        first = plane(0)
        self.parts = 3 if first.ndim == 3 else 1
        self.kind = {"float64": "Float64", "int32": "Int32"}[first.dtype.name]
        self.size = first.nbytes * planes

    @property
    def coded(self) -> int:
        """Bytes in the file."""
        return 4 * -(-(self.size + 8) // 3)

    def write(self, stream: IO[bytes]) -> None:
        """Write the element."""
        kind = f'type="{self.kind}" Name="{self.name}" NumberOfComponents="{self.parts}"'
        stream.write(f'<DataArray {kind} format="binary">'.encode("ascii"))
        rest = struct.pack("<Q", self.size)
        for number in range(self.planes):
            values = self.plane(number)
            rest += values.T.astype(values.dtype.newbyteorder("<"), copy=False).tobytes()
            # Three bytes are four letters.
            end = len(rest) - len(rest) % 3
            stream.write(base64.b64encode(memoryview(rest)[:end]))
            rest = rest[end:]
        stream.write(base64.b64encode(rest) + b"</DataArray>\n")
