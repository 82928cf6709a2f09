"""A shape, a physics and a macroscale model as a user adds them: the tables of a config, and what does their work."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import numpy as np

from homfem import runs
from homfem.config.models.macro_table import MacroTable
from homfem.config.physics.effective_table import EffectiveTable
from homfem.config.shapes.cell_table import Fraction
from homfem.config.shapes.made import Shape
from homfem.config.table import choice, number, parse_table, quantity
from homfem.quantities import RATE, Quantity


class TwoLayers(Shape):
    """A laminate of two layers, made by the package's own maker."""

    maker = "homfem.cells:laminate"
    phases, dimensions = ("layer1", "layer2"), (2,)

    share: Fraction

    def own_arguments(self) -> dict[str, Any]:
        """Return the arguments of the maker."""
        return {"fractions": [self.share, 1.0 - self.share], "dimension": 2}


class Contrast(EffectiveTable):
    """Diffusion with a number for the first phase, and 1 for the others."""

    runner = "toy_tables:solve_contrast"

    physics: Annotated[str, choice("contrast")]
    first: Annotated[float, number(above=0.0)]

    def check(self, phase_names: Any, dimension: int | None) -> None:
        """Nothing to refuse."""

    def check_method(self, methods: Any) -> None:
        """Nothing to refuse."""


def solve_contrast(table: Contrast, cell: Any, *, config: Any, only: Any = None) -> Any:
    """Return the solution."""
    from homfem import solve_diffusion

    first, *others = cell.phase_names
    return solve_diffusion(cell, {first: table.first} | dict.fromkeys(others, 1.0), config=dict(config))


class Decay(MacroTable):
    """A model of one number that decays."""

    runner = "toy_tables:run_decay"

    model: Annotated[str, choice("decay")]
    rate: Annotated[Quantity, quantity(RATE, above=0.0)]

    @classmethod
    def parse(cls, value: Any, folder: Path, path: str) -> Decay:
        """Return the validated table."""
        return parse_table(cls, value, path)

    def check(self, cell: Any, effective: Any) -> None:
        """Nothing to refuse."""


def run_decay(config: Any, table: Decay, comm: Any, *, resume: bool, drawn: bool) -> runs.MacroRun:
    """What is left after a second."""
    left = float(np.exp(-table.rate.to("1/s")))
    return runs.MacroRun(result=left, facts={"left": left}, outcome=runs.Outcome.DONE, config=config)
