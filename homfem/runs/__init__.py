"""What a config asks for, done and handed back: from a file or a mapping, the same as on the command line.

>>> from homfem import runs
>>> blocks = {"shape": "blocks", "layout": ["LD", "DL"], "period": "2 um"}
>>> phases = {"L": "1 um^2/s", "D": "4 um^2/s"}
>>> effective = {"physics": "diffusion", "method": "corner-galerkin", "phases": phases}
>>> done = runs.tensor({"cell": blocks, "effective": effective})
>>> done.outcome.name, done.tensor.unit, round(float(done.tensor.value[0, 0]), 4)
('DONE', 'um^2/s', 2.0)

A run takes a config (the path of a TOML file, a mapping as TOML gives it, or one that was checked before) with keys to
``overrides``, prints nothing but its log and progress, and returns a frozen result: what was computed, a ``report()``
of plain numbers, lists and strings (what ``--json`` writes, where the command has that), an ``outcome`` with the exit
status, and ``warnings``.
"""

from homfem.runs.cells import CellRun, CheckRun, build_cell, cell, check
from homfem.runs.configs import read_config
from homfem.runs.macroscale import MacroRun, draw_macro, macro
from homfem.runs.outcome import Outcome
from homfem.runs.plots import plot
from homfem.runs.tensors import TensorRun, draw_tensor, tensor

__all__ = [
    "CellRun",
    "CheckRun",
    "MacroRun",
    "Outcome",
    "TensorRun",
    "build_cell",
    "cell",
    "check",
    "draw_macro",
    "draw_tensor",
    "macro",
    "plot",
    "read_config",
    "tensor",
]
