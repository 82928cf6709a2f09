"""A job script for SLURM: an array with a task for each row."""

from __future__ import annotations

import shlex
from pathlib import Path

from homfem.disk import write_text
from homfem.parameters import FileError
from homfem.sweeps.rows import Prepared

_MARK = "# written by homfem sweep --slurm"


def job_script(ready: Prepared, plan: str) -> str:
    """Return the text of a script for ``sbatch``: task N runs row N of the plan, ``workers`` of them at a time."""
    table, name = ready.plan.table, Path(plan).resolve()
    command = f"homfem sweep {shlex.quote(str(name))} --task $SLURM_ARRAY_TASK_ID"
    if table.ranks > 1:
        command = f"srun {command}"
    most = f"%{table.workers}" if table.workers > 1 else ""
    return f"""#!/bin/bash
{_MARK}
#SBATCH --job-name={name.stem.replace(" ", "-")}
#SBATCH --array=1-{len(ready.rows)}{most}
#SBATCH --ntasks={table.ranks}
#SBATCH --cpus-per-task=1
# Give what your cluster asks for: time, memory, partition, account; and how homfem is found there.
#SBATCH --time=01:00:00
export OMP_NUM_THREADS=1
{command}
# When all have ended: homfem sweep {shlex.quote(str(name))} --collect
"""


def write_job_script(ready: Prepared, plan: str) -> Path:
    """Write the script beside the plan, as ``PLAN.slurm``, and return its path.

    Raises
    ------
    FileError
        If there is a file of that name that this did not write.
    """
    target = Path(plan).with_suffix(".slurm")
    if target.exists() and _MARK not in target.read_text(errors="replace"):
        raise FileError("--slurm", str(target), "no file, or one that homfem wrote", "Move it away.")
    write_text(target, job_script(ready, plan))
    return target
