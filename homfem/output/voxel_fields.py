"""Fields between the voxels of an image as a file of VTK for ParaView and PyVista: one value in each voxel."""

from __future__ import annotations

import base64
import struct
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
import numpy.typing as npt

from homfem.grid import GridSolution, Image, ImageDispersion, ImageFlow
from homfem.parameters import Array

_TYPES = {"float64": "Float64", "int32": "Int32"}


def write_image_solution(solution: GridSolution | ImageFlow | ImageDispersion, path: str | Path) -> None:
    """Write phases and fields of what was solved on the voxels of an image into a ``.vti`` file.

    Vectors are in the middle of the voxels, zero where nothing flows. Of a diffusion ``flux_1``, ... and at the corners
    ``corrector_1``, ..., one for each of its loads; of a flow ``velocity_1``, ...; of dispersion ``velocity``, over its
    mean in the fluid, and ``corrector_1``, ... in the voxels, NaN where no solute is. Units are those of the solution.
    """
    fields: dict[str, Array] = {}
    corners: dict[str, Array] = {}
    if isinstance(solution, ImageDispersion):
        fields["velocity"] = _middles(solution.velocity, solution.fluid)
        fields |= _numbered("corrector", [np.where(solution.inside, one, np.nan) for one in solution.correctors])
    elif isinstance(solution, ImageFlow):
        fields = _numbered("velocity", [_middles(one, solution.fluid) for one in solution.velocities])
    else:
        fields = _numbered("flux", [_middles(one, solution.inside) for one in solution.fluxes])
        corners = _numbered("corrector", [np.pad(one, (0, 1), mode="wrap") for one in solution.potentials])
    write_voxels(solution.image, fields, path, corners=corners)


def _numbered(name: str, fields: Sequence[Array]) -> dict[str, Array]:
    return {f"{name}_{number}": field for number, field in enumerate(fields, start=1)}


def _middles(faces: Array, inside: npt.NDArray[np.bool_]) -> Array:
    """A vector in the middle of each voxel from its components on the lower faces; zero outside."""
    return np.stack([np.where(inside, 0.5 * (one + np.roll(one, -1, axis)), 0.0) for axis, one in enumerate(faces)])


def write_voxels(
    image: Image, fields: Mapping[str, Array], path: str | Path, *, corners: Mapping[str, Array] | None = None
) -> None:
    """Write the phases of an image and fields into a ``.vti`` file.

    Parameters
    ----------
    image
        The image; phase k of its ``names`` has the number k.
    fields
        By name: scalars of the shape of the image, or vectors with d parts first.
    path
        Name of the file; its folder exists.
    corners
        Scalars at the corners of the voxels, one more along each axis.
    """
    d = image.dimension
    shape, size = (*image.shape, 1)[:3], (*image.voxel, min(image.voxel))[:3]
    extent, spacing = " ".join(f"0 {n}" for n in shape), " ".join(repr(float(h)) for h in size)
    arrays = [_array("phase", image.phases.astype(np.int32), 1, d)]
    arrays += [_array(name, np.asarray(field, dtype=np.float64), 1 + 2 * (field.ndim > d), d)
               for name, field in fields.items()]  # fmt: skip
    ends = []
    for name, field in (corners or {}).items():
        # A plane is one voxel thick.
        full = field if d == 3 else np.repeat(field[:, :, None], 2, axis=2)
        ends.append(_array(name, np.asarray(full, dtype=np.float64), 1, 3))
    head = '<VTKFile type="ImageData" version="1.0" byte_order="LittleEndian" header_type="UInt64">'
    grid = f'<ImageData WholeExtent="{extent}" Origin="0 0 0" Spacing="{spacing}">'
    lines = [head, grid, f'<Piece Extent="{extent}">', "<PointData>", *ends, "</PointData>"]
    lines += ["<CellData>", *arrays, "</CellData>", "</Piece>"]
    Path(path).write_text("\n".join([*lines, "</ImageData>", "</VTKFile>"]) + "\n", encoding="ascii")


def _array(name: str, values: Array, parts: int, d: int) -> str:
    """A field as an element of XML: x runs first; vectors have three parts."""
    kind = _TYPES[values.dtype.name]
    flat: Array = values.ravel(order="F")
    if parts == 3:
        full = np.zeros((3, *values.shape[1:]))
        full[:d] = values
        flat = np.ravel(full.reshape(3, -1, order="F").T)
    data = np.ascontiguousarray(flat).astype(flat.dtype.newbyteorder("<")).tobytes()
    coded = base64.b64encode(struct.pack("<Q", len(data)) + data).decode("ascii")
    return f'<DataArray type="{kind}" Name="{name}" NumberOfComponents="{parts}" format="binary">{coded}</DataArray>'
