"""Configs that tests of the commands share, and the command in processes of its own."""

from __future__ import annotations

import os
import subprocess
import sys

CELL = '[cell]\nshape = "three-pipe"\nedge = 0.5\nperiod = "2 um"\nresolution = 0.3\n'

EFFECTIVE = '[effective]\nphysics = "diffusion"\n[effective.phases]\ner = "250 um^2/s"\n'

WAVE = """
[macro]
model = "calcium"
[macro.domain]
shape = "box"
size = ["40 um", "20 um"]
resolution = "4 um"
[macro.tensors]
cytosol = { value = "16 um^2/s", volume_fraction = 0.8 }
er = { value = "2 um^2/s", volume_fraction = 0.2 }
interface_area = "2 1/um"
[macro.kinetics]
ip3 = "0.3 uM"
[macro.time]
end = "0.4 s"
step = "20 ms"
[macro.stimulus]
rise = "0.8 uM"
centre = ["0 um", "0 um"]
radius = "12 um"
[macro.output]
folder = "wave"
every = "0.1 s"
checkpoint_every = "0.2 s"
"""


# What every result holds, by the contract of the command.
FIELDS = {
    "physics", "method", "boundary", "value", "lower", "upper", "relative_gap", "unit", "volume_fractions",
    "interface_area", "dofs", "iterations", "seconds", "ranks", "versions", "config",
}  # fmt: skip


def outside(*arguments, ranks=None, **environment):
    """Run ``python -m homfem`` in processes of its own."""
    launcher = ["mpirun", "-n", str(ranks)] if ranks else []
    command = [*launcher, sys.executable, "-m", "homfem", *map(str, arguments)]
    return subprocess.run(command, capture_output=True, text=True, timeout=300, env=os.environ | environment)
