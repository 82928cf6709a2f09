"""What a user writes: a TOML file, read, checked and held as frozen tables. Nothing here imports dolfinx.

A config has up to three parts: ``[cell]`` (one shape, or a file), ``[effective]`` (a physics with its coefficients) and
``[macro]`` (a macroscale run). Every length, diffusivity, time and concentration is a string with its unit; numbers
without dimension are bare. Paths in a config are sought from the folder of its file.

>>> from homfem.config import make_config
>>> config = make_config({"cell": {"shape": "three-pipe", "edge": 0.1, "period": "1 um"}})
>>> config.cell.period[0].unit
'um'
"""

from homfem.config.cells import SHAPES
from homfem.config.document import plain_document, read_document, set_values
from homfem.config.effective import PHYSICS
from homfem.config.load import Config, load_config, make_config, present
from homfem.config.macro import MODELS
from homfem.config.table import renamed

__all__ = [
    "MODELS",
    "PHYSICS",
    "SHAPES",
    "Config",
    "load_config",
    "make_config",
    "plain_document",
    "present",
    "read_document",
    "renamed",
    "set_values",
]
