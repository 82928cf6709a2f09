"""Pictures of a cell: its phases, and a corrector on them; drawn without a display, from plain arrays."""

from __future__ import annotations

import ctypes
import importlib.util
import itertools
import logging
import os
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from homfem.output import skins
from homfem.parameters import Array, FileError, InputError, check_choice
from homfem.reference import CORNERS, kind_of

log = logging.getLogger("homfem")

Indices = skins.Indices

#: Colours of the phases in their order (Okabe and Ito: told apart by every eye), and of a corrector.
COLOURS = ("#D55E00", "#56B4E9", "#009E73", "#CC79A7", "#F0E442", "#0072B2", "#E69F00", "#999999")
MAP = "coolwarm"
# Direction of the eye in matplotlib's pictures: elevation and azimuth in degrees, and as a vector.
_ELEVATION, _AZIMUTH = 25.0, -55.0
_RISE, _TURN = np.radians([_ELEVATION, _AZIMUTH])
_EYE = np.array([np.cos(_RISE) * np.cos(_TURN), np.cos(_RISE) * np.sin(_TURN), np.sin(_RISE)])


def draw_cell(
    points: npt.ArrayLike,
    cells: npt.ArrayLike,
    phase_of_cell: npt.ArrayLike,
    path: str | Path,
    *,
    phases: Mapping[str, int],
    corrector: npt.ArrayLike | None = None,
    label: str = "corrector",
    lattice: npt.ArrayLike | None = None,
    periods: Sequence[int] | int = 1,
    translucent: Sequence[str] | None = None,
    cut: bool | None = None,
    mesh_lines: bool = False,
    title: str = "",
    unit: str = "",
    size: tuple[int, int] = (1400, 1100),
    engine: str | None = None,
) -> Path:
    """Draw a cell in 2D or 3D into a PNG file.

    Phases have a colour each, translucent ones let the others be seen; with a corrector the opaque phases are coloured
    by it.

    Parameters
    ----------
    points : array, shape (n, d)
        Nodes, in ``unit``.
    cells : array of int, shape (m, k)
        Triangles or tetrahedra, corners first (further nodes are not used); quadrilaterals (k = 4 in 2D) or hexahedra
        (k = 8 in 3D), numbered as :mod:`homfem.reference` says.
    phase_of_cell : array of int, shape (m,)
        Tag of the phase of each cell.
    path
        File that is written, with a name that ends in .png.
    phases
        Name of each phase and its tag.
    corrector : array, shape (n,)
        Value at each node; not finite where there is none.
    label
        What the corrector is, beside the colour bar.
    lattice : array, shape (d, d)
        Period vectors as rows; needed for more than one period.
    periods
        How many periods along each vector, or one number for all.
    translucent
        Names of the phases to look through. Default: in 3D the largest, if there are several phases.
    cut
        Whether to take the octant nearest to the eye out of the opaque phases of a 3D cell. Default: where they fill
        more than half of the box about them.
    mesh_lines
        Whether to show the cells of the mesh.
    title
        Line above the picture.
    unit
        Unit of the coordinates, for the axes.
    size
        Width and height in pixels; a picture in 2D has the shape of the cell within them.
    engine
        ``"pyvista"`` (3D) or ``"matplotlib"``. Default: pyvista in 3D where it works.

    Raises
    ------
    InputError
        Arrays that do not fit together, an unknown phase, several periods without a lattice.
    FileError
        A name that does not end in .png, or a directory that does not exist.
    """
    path = Path(path)
    if path.suffix.lower() != ".png":
        raise FileError("path", str(path), "a name that ends in .png")
    if not path.parent.is_dir():
        raise FileError("path", str(path), "in an existing directory")
    nodes = np.asarray(points, dtype=np.float64)
    d = nodes.shape[1] if nodes.ndim == 2 else 0
    if d not in (2, 3):
        raise InputError("points", nodes.shape, "of shape (n, 2) or (n, 3)")
    corners = np.asarray(cells, dtype=np.int64)
    corners = corners[:, : CORNERS[kind_of(d, corners.shape[1])]]
    tags = np.asarray(phase_of_cell)
    if tags.shape != corners.shape[:1]:
        raise InputError("phase_of_cell", tags.shape, f"of shape ({len(corners)},)")
    values = None if corrector is None else np.asarray(corrector, dtype=np.float64)
    if values is not None and values.shape != (len(nodes),):
        raise InputError("corrector", values.shape, f"of shape ({len(nodes)},): a value for each node")
    for name in translucent or ():
        check_choice("translucent", name, list(phases))
    counts = [periods] * d if isinstance(periods, int) else [int(number) for number in periods]
    if len(counts) != d or min(counts) < 1:
        raise InputError("periods", periods, f"a whole number >= 1, or {d} of them")
    if max(counts) > 1:
        if lattice is None:
            raise InputError("lattice", None, "given when there is more than one period")
        nodes, corners, tags, values = skins.repeated(nodes, corners, tags, values, np.asarray(lattice), counts)
    if engine is not None:
        check_choice("engine", engine, ["pyvista", "matplotlib"])
    if d == 2:
        _flat(nodes, corners, tags, path, phases, values, label, mesh_lines, title, unit, size)
    else:
        if translucent is None:
            volume = {name: float(skins.volumes(nodes, corners[tags == tag]).sum()) for name, tag in phases.items()}
            translucent = [max(volume, key=lambda name: volume[name])] if len(phases) > 1 else []
        opaque = np.isin(tags, [tag for name, tag in phases.items() if name not in translucent])
        if cut is None:
            box = np.prod(np.ptp(nodes, axis=0))
            cut = bool(skins.volumes(nodes, corners[opaque]).sum() > 0.5 * box)
        if cut:
            eye = nodes[corners].mean(axis=1) - 0.5 * (nodes.min(axis=0) + nodes.max(axis=0))
            kept = ~(opaque & (eye[:, 0] > 0) & (eye[:, 1] < 0) & (eye[:, 2] > 0))
            corners, tags = corners[kept], tags[kept]
        outer = {name: skins.skin(nodes, corners[tags == tag]) for name, tag in phases.items()}
        solid = np.vstack([next(iter(outer.values()))[:0], *(outer[n] for n in phases if n not in translucent)])
        for name in translucent:
            outer[name] = skins.without(outer[name], solid)
        surfaces = {n: skins.surface(nodes, skin, None if n in translucent else values) for n, skin in outer.items()}
        draw = _with_pyvista if (engine or _best_engine()) == "pyvista" else _with_matplotlib
        draw(surfaces, path, list(phases), set(translucent), label, mesh_lines, title, unit, size)
    return path


def pyvista_works() -> bool:
    """Return whether pyvista is here and can draw without a display.

    Without an X server, VTK needs a build with EGL or OSMesa and the library; if not, it ends the whole process.
    """
    if importlib.util.find_spec("pyvista") is None or importlib.util.find_spec("vtkmodules") is None:
        return False
    if not sys.platform.startswith("linux") or os.environ.get("DISPLAY"):
        return True
    import vtkmodules.vtkRenderingOpenGL2 as windows

    for window, library in (("vtkEGLRenderWindow", "libEGL.so.1"), ("vtkOSOpenGLRenderWindow", "libOSMesa.so.8")):
        if hasattr(windows, window):
            try:
                ctypes.CDLL(library)
            except OSError:
                continue
            return True
    return False


def _best_engine() -> str:
    if pyvista_works():
        return "pyvista"
    log.info("pyvista cannot draw without a display here: the picture is drawn by matplotlib")
    return "matplotlib"


def _range(surfaces: Mapping[str, skins.Surface]) -> tuple[float, float]:
    """Return limits of the colours: symmetric about zero where the corrector has both signs."""
    all_values = np.concatenate([[0.0], *(s.values for s in surfaces.values() if s.values is not None)])
    all_values = all_values[np.isfinite(all_values)]
    reach = float(np.abs(all_values).max()) or 1.0
    return (-reach, reach) if all_values.min() < 0 < all_values.max() else (all_values.min(), all_values.max() or 1.0)


def _with_pyvista(
    surfaces: Mapping[str, skins.Surface],
    path: Path,
    names: list[str],
    translucent: set[str],
    label: str,
    mesh_lines: bool,
    title: str,
    unit: str,
    size: tuple[int, int],
) -> None:
    import pyvista

    plotter = pyvista.Plotter(off_screen=True, window_size=list(size), lighting="light kit")
    plotter.set_background("white")
    plotter.enable_anti_aliasing("ssaa")
    plotter.enable_depth_peeling(8)
    limits = _range(surfaces)
    bar = {
        "title": "",
        "color": "black",
        "vertical": True,
        "position_x": 0.88,
        "position_y": 0.2,
        "height": 0.6,
        "width": 0.06,
        "label_font_size": 22,
        "fmt": "%.3g",
    }
    everything = np.vstack([surface.points for surface in surfaces.values()])
    legend = []
    for colour, name in zip(itertools.cycle(COLOURS), names, strict=False):
        surface = surfaces[name]
        if len(surface.faces) == 0:
            continue
        faces = np.hstack([np.full((len(surface.faces), 1), surface.faces.shape[1]), surface.faces]).ravel()
        skin = pyvista.PolyData(surface.points, faces)
        if name in translucent:
            plotter.add_mesh(skin, color=colour, opacity=0.15, show_edges=False, lighting=False)
            edges = skin.extract_feature_edges(feature_angle=30, boundary_edges=False, manifold_edges=False)
            if edges.n_points:
                plotter.add_mesh(edges, color=colour, line_width=1.5, opacity=0.7)
            legend.append([name, colour])
            continue
        common: dict[str, Any] = {
            "show_edges": mesh_lines,
            "edge_color": "#404040",
            "line_width": 1,
            "ambient": 0.3,
            "diffuse": 0.75,
        }
        if surface.values is None:
            plotter.add_mesh(skin, color=colour, **common)
            legend.append([name, colour])
        else:
            skin.point_data[label] = surface.values
            plotter.add_mesh(
                skin, scalars=label, cmap=MAP, clim=limits, nan_color="#BBBBBB", scalar_bar_args=bar, **common
            )
        edges = skin.extract_feature_edges(feature_angle=30, boundary_edges=False, manifold_edges=False)
        if edges.n_points and not mesh_lines:
            plotter.add_mesh(edges, color="#303030", line_width=1.5)
    frame = pyvista.Box(np.stack([everything.min(axis=0), everything.max(axis=0)], axis=1).ravel())
    plotter.add_mesh(frame, style="wireframe", color="#404040", line_width=1.5)
    if legend:
        plotter.add_legend(legend, bcolor="white", face="rectangle", size=(0.16, 0.035 * len(legend)), loc="upper left")
    if any(surface.values is not None for surface in surfaces.values()):
        plotter.add_text(label, position=(0.69, 0.85), viewport=True, color="black", font_size=12)
    if title:
        plotter.add_text(title, position="upper_edge", color="black", font_size=14)
    plotter.add_axes(color="black", xlabel="x", ylabel="y", zlabel="z")
    if unit:
        width = np.ptp(everything, axis=0)
        text = " x ".join(f"{w:.4g}" for w in width) + f" {unit}"
        plotter.add_text(text, position="lower_right", color="black", font_size=12)
    plotter.view_vector((1.5, -2.1, 1.2), viewup=(0, 0, 1))
    plotter.camera.zoom(0.92)
    plotter.screenshot(str(path))
    plotter.close()


def _with_matplotlib(
    surfaces: Mapping[str, skins.Surface],
    path: Path,
    names: list[str],
    translucent: set[str],
    label: str,
    mesh_lines: bool,
    title: str,
    unit: str,
    size: tuple[int, int],
) -> None:
    from matplotlib import colormaps, patches
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.cm import ScalarMappable
    from matplotlib.colors import Normalize, to_rgba
    from matplotlib.figure import Figure
    from mpl_toolkits.mplot3d.art3d import Poly3DCollection

    figure = Figure(figsize=(size[0] / 140, size[1] / 140), dpi=140)
    FigureCanvasAgg(figure)
    axes: Any = figure.add_axes((0.0, 0.02, 0.84, 0.94), projection="3d", computed_zorder=False)
    norm = Normalize(*_range(surfaces))
    legend, coloured = [], False
    light = np.array([0.4, -0.6, 0.7])
    # Matplotlib sorts the faces of one collection by depth: the opaque phases are one, on top of the others.
    faces: dict[bool, list[Array]] = {False: [], True: []}
    colours: dict[bool, list[Array]] = {False: [], True: []}
    for colour, name in zip(itertools.cycle(COLOURS), names, strict=False):
        surface = surfaces[name]
        if len(surface.faces) == 0:
            continue
        while surface.values is not None and len(surface.faces) < 20000 and not mesh_lines:
            surface = skins.divided(surface)
        corners = surface.points[surface.faces]
        normals = np.cross(corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0])
        normals /= np.linalg.norm(normals, axis=1)[:, None]
        shade = 0.7 + 0.3 * np.clip(normals @ light, -1, 1)
        if surface.values is None:
            own = np.tile(to_rgba(colour), (len(corners), 1))
            if name in translucent:
                # Its back alone, in a pale colour: the front would hide what is inside.
                back = normals @ _EYE < 0
                corners, own, shade = corners[back], 0.8 + 0.2 * own[back], np.ones(np.count_nonzero(back))
            legend.append(patches.Patch(color=colour, label=name, alpha=0.3 if name in translucent else 1.0))
        else:
            own = colormaps[MAP](norm(surface.values[surface.faces].mean(axis=1)))
            coloured = True
        own[:, :3] *= shade[:, None]
        faces[name not in translucent].append(corners)
        colours[name not in translucent].append(own)
    lines = {"edgecolors": "#404040", "linewidths": 0.2} if mesh_lines else {"edgecolors": "none", "antialiased": False}
    for opaque in (False, True):
        if faces[opaque]:
            own = np.vstack(colours[opaque])
            axes.add_collection3d(
                Poly3DCollection(np.vstack(faces[opaque]), facecolors=own, zorder=2 + opaque, **lines)
            )
    everything = np.vstack([surface.points for surface in surfaces.values()])
    low, high = everything.min(axis=0), everything.max(axis=0)
    axes.set(
        xlim=(low[0], high[0]),
        ylim=(low[1], high[1]),
        zlim=(low[2], high[2]),
    )
    axes.set_title(title, y=0.98)
    suffix = f" ({unit})" if unit else ""
    axes.set(xlabel="x" + suffix, ylabel="y" + suffix, zlabel="z" + suffix)
    axes.set_box_aspect(high - low, zoom=1.0)
    axes.grid(False)
    for axis in (axes.xaxis, axes.yaxis, axes.zaxis):
        axis.set_pane_color((1.0, 1.0, 1.0, 0.0))
    axes.view_init(elev=_ELEVATION, azim=_AZIMUTH)
    if coloured:
        figure.colorbar(ScalarMappable(norm, MAP), cax=figure.add_axes((0.88, 0.2, 0.025, 0.6)), label=label)
    if legend:
        axes.legend(handles=legend, loc="upper left", frameon=False)
    figure.savefig(path)


def _flat(
    nodes: Array,
    corners: Indices,
    tags: npt.NDArray,
    path: Path,
    phases: Mapping[str, int],
    values: Array | None,
    label: str,
    mesh_lines: bool,
    title: str,
    unit: str,
    size: tuple[int, int],
) -> None:
    """Draw triangles or quadrilaterals of the plane, the interfaces between phases as lines."""
    from matplotlib import patches
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.collections import LineCollection, PolyCollection
    from matplotlib.figure import Figure

    width, height = np.ptp(nodes, axis=0)
    scale = min(size[0] / (1.25 * width), size[1] / height) / 140
    figure = Figure(figsize=(1.25 * scale * width, scale * height), dpi=140, layout="constrained")
    FigureCanvasAgg(figure)
    axes = figure.add_subplot()
    edge: dict[str, Any] = (
        {"edgecolors": "#404040", "linewidths": 0.3} if mesh_lines else {"edgecolors": "face", "linewidths": 0.2}
    )
    legend = []
    for colour, (name, tag) in zip(itertools.cycle(COLOURS), phases.items(), strict=False):
        own = corners[tags == tag]
        if values is None or not np.isfinite(values[own]).all():
            outlines: Any = nodes[skins.around(own)]
            axes.add_collection(PolyCollection(outlines, facecolors=colour, **edge))
            legend.append(patches.Patch(color=colour, label=name))
    if values is not None:
        known = corners[np.isfinite(values[corners]).all(axis=1)]
        low, high = _range({"": skins.Surface(nodes, known, values[np.unique(known)])})
        shaded = skins.surface(nodes, known, np.nan_to_num(values))
        if known.shape[1] == 4:
            shaded = skins.fanned(shaded._replace(faces=skins.around(shaded.faces)))
        drawn = axes.tripcolor(
            *shaded.points.T, shaded.faces, shaded.values, shading="gouraud", cmap=MAP, vmin=low, vmax=high
        )
        if mesh_lines:
            outlines = nodes[skins.around(known)]
            axes.add_collection(PolyCollection(outlines, facecolors="none", **edge))
        figure.colorbar(drawn, ax=axes, label=label, shrink=0.8)
        axes.add_collection(
            LineCollection(list(nodes[skins.interfaces(corners, tags)]), colors="black", linewidths=1.0, snap=False)
        )
    if legend:
        axes.legend(handles=legend, loc="upper right", framealpha=0.9)
    suffix = f" ({unit})" if unit else ""
    axes.set(xlabel="x" + suffix, ylabel="y" + suffix, title=title, aspect="equal")
    axes.set(xlim=(nodes[:, 0].min(), nodes[:, 0].max()), ylim=(nodes[:, 1].min(), nodes[:, 1].max()))
    figure.savefig(path)
