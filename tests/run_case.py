"""Run one case of a test module on the ranks that mpirun started; rank 0 writes its answer. See conftest.on_ranks."""

from __future__ import annotations

import importlib.util
import json
import sys
import traceback
from pathlib import Path

from mpi4py import MPI

file, name, inputs, answer = sys.argv[1:]
sys.path.insert(0, str(Path(__file__).parent))
spec = importlib.util.spec_from_file_location("case", file)
assert spec is not None
assert spec.loader is not None
module = importlib.util.module_from_spec(spec)
spec.loader.exec_module(module)
try:
    result = getattr(module, name)(MPI.COMM_WORLD, **json.loads(inputs))
except BaseException:  # noqa: BLE001 - printed, then every rank is ended
    traceback.print_exc()
    sys.stderr.flush()
    MPI.COMM_WORLD.Abort(1)
if MPI.COMM_WORLD.rank == 0:
    Path(answer).write_text(json.dumps(result))
