"""Sweeps: a config run over a grid, a list or a sample of any of its keys; what is stored is not computed again.

>>> from homfem import sweeps
>>> blocks = {"shape": "blocks", "layout": ["LD", "DL"], "period": "2 um"}
>>> effective = {"physics": "diffusion", "method": "corner-galerkin", "phases": {"L": "1 um^2/s", "D": "1 um^2/s"}}
>>> grid = {"effective.phases.D": ["1 um^2/s", "4 um^2/s"]}
>>> plan = {"config": {"cell": blocks, "effective": effective}, "grid": grid}
>>> import tempfile
>>> with tempfile.TemporaryDirectory() as folder:
...     table = sweeps.sweep(plan, folder=folder)
>>> [round(value, 6) for value in table.column("value[0][0]")], table.unit("value[0][0]")
([1.0, 2.0], 'um^2/s')
"""

from homfem.sweeps.rows import Prepared, Row, prepare
from homfem.sweeps.sweep import collect, sweep
from homfem.sweeps.table import Column, SweepTable

__all__ = ["Column", "Prepared", "Row", "SweepTable", "collect", "prepare", "sweep"]
