"""The chart of dispersion against the Péclet number: what is along the flow and what across, and when there is one."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from homfem.cells import fibre_array
from homfem.certify import solve_dispersion
from homfem.coefficients import NamedCoefficient
from homfem.grid import Image
from homfem.grid.dispersion import solve_dispersion_image
from homfem.output import canvas
from homfem.output.cell_figures import draw_solution
from homfem.output.image_flows import draw_image_flow
from homfem.output.peclet_chart import along_and_across, draw_peclet
from homfem.tensors import EffectiveTensor


def dispersed(peclet: float, *, width: float = 0.0, direction: Any = (0.6, 0.8)) -> EffectiveTensor:
    """A tensor with 1 + Pe^2 along the flow and 2 across it."""
    unit = np.array(direction)
    across = np.array([-unit[1], unit[0]])
    value = (1.0 + peclet**2) * np.outer(unit, unit) + 2.0 * np.outer(across, across)
    sides = {"lower": value - width * np.eye(2), "upper": value + width * np.eye(2)} if width else {}
    coefficients = {
        "peclet": NamedCoefficient(value=np.array(peclet), basis="scalar"),
        "velocity": NamedCoefficient(value=peclet * unit, unit="um/s", basis="vector"),
    }
    return EffectiveTensor(value=value, physics="dispersion", unit="um^2/s", coefficients=coefficients, **sides)


@pytest.fixture
def charts(monkeypatch: pytest.MonkeyPatch) -> list[Any]:
    """The figures that are saved."""
    found: list[Any] = []
    save = canvas.save

    def keep(figure: Any, path: Any) -> None:
        found.append(figure)
        save(figure, path)

    monkeypatch.setattr(canvas, "save", keep)
    return found


@pytest.mark.parametrize("width", [0.0, 0.25])
def test_entries_along_the_flow_and_across(tmp_path, charts, width):
    tensors = [dispersed(one, width=width) for one in (10.0, 0.0, 1.0, 3.0)]
    assert along_and_across(tensors[0], tensors[0].value) == pytest.approx((101.0, 2.0))
    assert draw_peclet(tensors, tmp_path / "a.png", title="words")
    (axes,) = charts[0].axes
    curves = {line.get_label(): line.get_xydata() for line in axes.lines}
    assert curves["along the flow"] == pytest.approx(np.array([[1.0, 2.0], [3.0, 10.0], [10.0, 101.0]]))
    assert curves["across it"][:, 1] == pytest.approx([2.0, 2.0, 2.0])
    assert (axes.get_xscale(), axes.get_yscale()) == ("log", "log")
    bars = [np.array(one.get_segments())[:, :, 1] for one in axes.collections]
    assert len(bars) == (2 if width else 0)
    for bar, value in zip(bars, ([2.0, 10.0, 101.0], [2.0, 2.0, 2.0]), strict=False):
        assert bar == pytest.approx(np.array(value)[:, None] + [-width, width])


def test_what_cannot_be_drawn_is_not(tmp_path):
    few = [dispersed(1.0), dispersed(2.0), dispersed(0.0)]
    assert not draw_peclet(few, tmp_path / "a.png")
    still = [dispersed(one, direction=(0.0, 0.0)) for one in (1.0, 2.0, 3.0)]
    assert not draw_peclet(still, tmp_path / "a.png")
    assert not list(tmp_path.iterdir())


@pytest.mark.filterwarnings("error::RuntimeWarning")
@pytest.mark.parametrize("several", [True, False])
def test_figures_of_several_peclet_numbers_have_the_chart_beside(tmp_path, several):
    peclet = [1.0, 10.0, 100.0] if several else 10.0
    labels = np.ones((8, 8), dtype=int)
    labels[:, 2:6] = 0
    image = Image.from_labels(labels, {"pore": 0, "solid": 1})
    draw_image_flow(solve_dispersion_image(image, {"pore": 1.0}, peclet=peclet), tmp_path / "image.png")
    cell = fibre_array(fraction=0.3, resolution=0.3, dimension=2)
    draw_solution(solve_dispersion(cell, {"matrix": 1.0}, peclet=peclet), str(tmp_path / "cell.png"))
    for name in ("image", "cell"):
        assert (tmp_path / f"{name}.png").exists()
        assert (tmp_path / f"{name}_peclet.png").exists() is several
