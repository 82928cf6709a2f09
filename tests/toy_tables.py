"""A macroscale model as a user adds it: the table of a config, and the function that runs it."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import numpy as np

from homfem import runs
from homfem.config.macro_table import MacroTable
from homfem.config.table import choice, parse_table, quantity
from homfem.quantities import RATE, Quantity


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
