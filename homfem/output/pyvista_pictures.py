"""Scenes drawn by pyvista into pixels."""

from __future__ import annotations

import ctypes
import importlib.util
import os
import sys
from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from homfem.output.colours import Theme
from homfem.output.cuts import Cells, Patch, joined
from homfem.output.scene import EYE, Layer, Scene
from homfem.parameters import Array


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


def render(scene: Scene, frame: tuple[Array, float], size: tuple[int, int], theme: Theme) -> Array:
    """Return the picture of a scene as colours from 0 to 1, shape (height, width, 3).

    Parameters
    ----------
    scene
        What is drawn. Data have the colours of their scale, without light; other surfaces are lit.
    frame
        The point in the middle of the picture, and half of the picture's height in the unit of the points.
    size
        Width and height in pixels.
    theme
        The ground.
    """
    import pyvista
    from vtkmodules.vtkCommonCore import vtkLogger

    # Without a display VTK warns that there is none, and draws.
    vtkLogger.SetStderrVerbosity(vtkLogger.VERBOSITY_ERROR)
    plotter = pyvista.Plotter(off_screen=True, window_size=list(size), lighting="light kit")
    plotter.set_background(theme.ground)
    plotter.enable_anti_aliasing("ssaa")
    plotter.enable_depth_peeling(8)
    for layer in scene.layers:
        _add(plotter, scene, layer, theme)
    reach = float(np.ptp(scene.box, axis=0).max())
    if scene.streams:
        plotter.add_mesh(_tubes(scene, 0.006 * reach), lighting=False, **_coloured(scene, theme))
    # A little outside of the faces, which would hide it in places.
    box = pyvista.Box((scene.box + 1e-3 * reach * np.array([[-1.0], [1.0]])).T.ravel())
    plotter.add_mesh(box, style="wireframe", color=theme.faint, line_width=1.5)
    middle, half = frame
    plotter.camera.parallel_projection = True
    plotter.camera.focal_point = middle
    plotter.camera.position = middle + 4.0 * reach * EYE
    plotter.camera.up = (0.0, 0.0, 1.0)
    plotter.camera.parallel_scale = half
    plotter.renderer.ResetCameraClippingRange()
    picture = plotter.screenshot(None, return_img=True)
    plotter.close()
    return np.asarray(picture[:, :, :3] / 255.0, dtype=np.float64)


def _tubes(scene: Scene, widest: float) -> Any:
    """All lines of a scene as tubes; many short ones are thinner."""
    import pyvista

    counts = np.array([len(points) for points, _ in scene.streams])
    starts = np.cumsum(counts) - counts
    lines = pyvista.PolyData(np.concatenate([points for points, _ in scene.streams]))
    lines.lines = np.insert(np.arange(counts.sum()), starts, counts)
    lines.point_data["value"] = np.concatenate([values for _, values in scene.streams])
    lengths = [float(np.linalg.norm(np.diff(points, axis=0), axis=1).sum()) for points, _ in scene.streams]
    return lines.tube(radius=min(widest, 0.1 * float(np.median(lengths))), n_sides=12)


def _coloured(scene: Scene, theme: Theme) -> dict[str, Any]:
    """Options of a mesh that is coloured by its values: exactly as the bar is."""
    from matplotlib import colormaps

    scale = scene.scale
    if scale is None:
        return {}
    colormap = colormaps[scale.colormap] if isinstance(scale.colormap, str) else scale.colormap
    return {
        "scalars": "value",
        "cmap": colormap,
        "n_colors": colormap.N,
        "clim": (scale.low, scale.high),
        "nan_color": theme.void,
        "show_scalar_bar": False,
    }


def _add(plotter: Any, scene: Scene, layer: Layer, theme: Theme) -> None:
    """Add one surface with its lines."""
    import pyvista

    points, triangles, values = layer.patch
    skin = pyvista.PolyData(points, np.insert(triangles, 0, 3, axis=1).ravel())
    if layer.translucent:
        plotter.add_mesh(skin, color=layer.colour, opacity=0.15, lighting=False)
    elif values is None:
        # Light alone tells where a surface turns: round ones are to look round.
        smooth = {"smooth_shading": True, "split_sharp_edges": True, "feature_angle": 30.0}
        plotter.add_mesh(skin, color=layer.colour, ambient=0.4, diffuse=0.7, **smooth)
    else:
        skin.point_data["value"] = values
        plotter.add_mesh(skin, lighting=False, **_coloured(scene, theme))
    if len(layer.lines):
        ends = np.arange(2 * len(layer.lines)).reshape(-1, 2)
        edges = pyvista.PolyData(layer.lines.reshape(-1, 3), lines=np.insert(ends, 0, 2, axis=1).ravel())
        dark = {"color": layer.colour, "opacity": 0.7} if layer.translucent else {"color": "#202020"}
        plotter.add_mesh(edges, line_width=2.5, **dark)


def hidden(points: Array, patches: Sequence[Patch], eye: Array) -> npt.NDArray[np.bool_]:
    """Return which points (n, 3) lie behind surfaces, seen along a direction from far away; shape (n,)."""
    import pyvista

    whole = joined([patch._replace(values=None) for patch in patches])
    skin = pyvista.PolyData(whole.points, np.insert(whole.triangles, 0, 3, axis=1).ravel())
    far = 4.0 * float(np.ptp(np.vstack([whole.points, points]), axis=0).max())
    # What touches a point does not hide it.
    return np.array(
        [len(skin.ray_trace(at + 1e-6 * far * eye, at + far * eye, first_point=True)[0]) > 0 for at in points]
    )


def traced(nodes: Array, cells: Cells, vectors: Array, seeds: Array) -> list[tuple[Array, Array]]:
    """Return lines along a field from points: the points of each line (p, 3) and the field there (p, 3).

    Parameters
    ----------
    nodes, cells
        Points (n, 3) and tetrahedra (m, 4).
    vectors
        The field at the nodes, (n, 3), linear in each tetrahedron.
    seeds
        Points (s, 3); from those outside of the tetrahedra there is no line.
    """
    import pyvista

    grid = pyvista.UnstructuredGrid({pyvista.CellType.TETRA: cells}, nodes)
    grid.point_data["along"] = vectors
    reach = float(np.ptp(nodes, axis=0).max())
    found = grid.streamlines_from_source(
        pyvista.PolyData(seeds),
        vectors="along",
        integration_direction="both",
        max_length=6.0 * reach,
        initial_step_length=0.1,
        max_step_length=0.1,
        max_steps=20_000,
        compute_vorticity=False,
        terminal_speed=1e-6 * float(np.linalg.norm(vectors, axis=1).max()),
    )
    lines, start, result = np.asarray(found.lines), 0, []
    while start < len(lines):
        path = lines[start + 1 : start + 1 + lines[start]]
        start += 1 + int(lines[start])
        if len(path) > 2:
            result.append((np.asarray(found.points)[path], np.asarray(found.point_data["along"])[path]))
    return result
