"""Surfaces of a cell drawn by pyvista."""

from __future__ import annotations

import ctypes
import importlib.util
import itertools
import os
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from homfem.output import skins
from homfem.output.colours import COLOURS, MAP, colour_range
from homfem.output.views import CellView


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


def draw_surfaces(surfaces: Mapping[str, skins.Surface], translucent: set[str], path: Path, view: CellView) -> None:
    """Draw the surfaces of the phases; those of :func:`homfem.output.pictures.draw_cell`."""
    import pyvista
    from vtkmodules.vtkCommonCore import vtkLogger

    # Without a display VTK warns that there is none, and draws.
    vtkLogger.SetStderrVerbosity(vtkLogger.VERBOSITY_ERROR)
    plotter = pyvista.Plotter(off_screen=True, window_size=list(view.size), lighting="light kit")
    plotter.set_background("white")
    plotter.enable_anti_aliasing("ssaa")
    plotter.enable_depth_peeling(8)
    limits = colour_range(surfaces)
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
    for colour, name in zip(itertools.cycle(COLOURS), surfaces, strict=False):
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
            "show_edges": view.mesh_lines,
            "edge_color": "#404040",
            "line_width": 1,
            "ambient": 0.3,
            "diffuse": 0.75,
        }
        if surface.values is None:
            plotter.add_mesh(skin, color=colour, **common)
            legend.append([name, colour])
        else:
            skin.point_data[view.label] = surface.values
            plotter.add_mesh(
                skin, scalars=view.label, cmap=MAP, clim=limits, nan_color="#BBBBBB", scalar_bar_args=bar, **common
            )
        edges = skin.extract_feature_edges(feature_angle=30, boundary_edges=False, manifold_edges=False)
        if edges.n_points and not view.mesh_lines:
            plotter.add_mesh(edges, color="#303030", line_width=1.5)
    frame = pyvista.Box(np.stack([everything.min(axis=0), everything.max(axis=0)], axis=1).ravel())
    plotter.add_mesh(frame, style="wireframe", color="#404040", line_width=1.5)
    if legend:
        plotter.add_legend(legend, bcolor="white", face="rectangle", size=(0.16, 0.035 * len(legend)), loc="upper left")
    if any(surface.values is not None for surface in surfaces.values()):
        plotter.add_text(view.label, position=(0.69, 0.85), viewport=True, color="black", font_size=12)
    if view.title:
        plotter.add_text(view.title, position="upper_edge", color="black", font_size=14)
    plotter.add_axes(color="black", xlabel="x", ylabel="y", zlabel="z")
    if view.unit:
        width = np.ptp(everything, axis=0)
        text = " x ".join(f"{w:.4g}" for w in width) + f" {view.unit}"
        plotter.add_text(text, position="lower_right", color="black", font_size=12)
    plotter.view_vector((1.5, -2.1, 1.2), viewup=(0, 0, 1))
    plotter.camera.zoom(0.92)
    plotter.screenshot(str(path))
    plotter.close()
