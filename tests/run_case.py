"""Run one case of a test module on the first of the ranks that mpirun started; rank 0 writes the answers."""

from __future__ import annotations

import gc
import importlib.util
import json
import sys
import traceback
from pathlib import Path

from mpi4py import MPI

file, name, inputs, ranks, answer = sys.argv[1:]
sys.path.insert(0, str(Path(__file__).parent))
spec = importlib.util.spec_from_file_location("case", file)
assert spec is not None
assert spec.loader is not None
module = importlib.util.module_from_spec(spec)
spec.loader.exec_module(module)
world = MPI.COMM_WORLD
results, communicators = [], []
for number in json.loads(ranks):
    comm = world.Split(0 if world.rank < number else MPI.UNDEFINED, world.rank)
    communicators.append(comm)  # objects of the case may outlive it
    if comm != MPI.COMM_NULL:
        try:
            results.append(getattr(module, name)(comm, **json.loads(inputs)))
        except BaseException:  # noqa: BLE001 - printed, then every rank is ended
            print(f"on {number} rank(s):", file=sys.stderr)
            traceback.print_exc()
            sys.stderr.flush()
            world.Abort(1)
    gc.collect()
    world.Barrier()
if world.rank == 0:
    Path(answer).write_text(json.dumps(results))
