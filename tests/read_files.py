"""Files that tests read back with other programs than those that wrote them."""

from __future__ import annotations

import functools
import importlib.util
import pickle
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from types import ModuleType

import numpy as np
from mpi4py import MPI


@functools.cache
def _adios() -> ModuleType:
    """The bindings of ADIOS2 themselves, with MPI or without: the package may be incomplete. They load once only."""
    package = importlib.util.find_spec("adios2")
    folders = list(package.submodule_search_locations or []) if package is not None else []
    files = [file for kind in ("mpi", "serial") for folder in folders
             for file in Path(folder).glob(f"bindings/adios2_bindings_{kind}*.so")]  # fmt: skip
    assert files, "no bindings of ADIOS2"
    name = "_".join(files[0].name.split(".")[0].split("_")[:3])
    spec = importlib.util.spec_from_file_location(name, files[0])
    assert spec is not None
    assert spec.loader is not None
    bindings = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(bindings)
    return bindings


def read_vtx(path: Path, *names: str, step: int = 0) -> list[np.ndarray]:
    """Arrays of a VTX file at a step, by their names: what all ranks wrote, one after the other."""
    bindings = _adios()
    parallel = bindings.__name__.endswith("mpi")
    adios = bindings.ADIOS(MPI.COMM_SELF) if parallel else bindings.ADIOS()  # it must outlive what it opens
    io = adios.DeclareIO("file")
    engine = io.Open(str(path), bindings.Mode.ReadRandomAccess)
    result = []
    for name in names:
        variable = io.InquireVariable(name)
        last = min(step, variable.Steps() - 1)
        blocks = []
        for block in range(len(engine.BlocksInfo(name, last))):
            variable.SetStepSelection([last, 1])
            variable.SetBlockSelection(block)
            blocks.append(np.empty(variable.Count()))
            engine.Get(variable, blocks[-1], bindings.Mode.Sync)
        result.append(np.concatenate(blocks) if blocks[0].ndim else np.array(blocks))
    engine.Close()
    return result


_PYVISTA = """
import pickle, sys
import numpy as np
import pyvista

series = []
for path in sys.argv[2:]:
    reader = pyvista.get_reader(path)
    times = [float(time) for time in reader.time_values]
    grids = []
    for time in times:
        reader.set_active_time_value(time)
        grid = reader.read()
        sizes = grid.compute_cell_sizes()
        grids.append({
            "kind": type(grid).__name__,
            "points": np.array(grid.points),
            "cells": np.array([grid.get_cell(k).point_ids for k in range(grid.n_cells)]),
            "types": sorted(set(grid.celltypes.tolist())),
            "size": sum(float(np.abs(sizes[name]).sum()) for name in ("Length", "Area", "Volume")),
            "nodal": {name: np.array(values) for name, values in grid.point_data.items()},
            "cellular": {name: np.array(values) for name, values in grid.cell_data.items()},
        })
    series.append({"times": times, "grids": grids})
with open(sys.argv[1], "wb") as file:
    pickle.dump(series, file)
"""


def read_with_pyvista(paths: Sequence[Path], scratch: Path) -> list[dict]:
    """The series of files as PyVista reads them, in a process of its own: VTK ends it where it meets a bad file."""
    result = scratch / "pyvista.pickle"
    names = [str(path) for path in (result, *paths)]
    done = subprocess.run([sys.executable, "-c", _PYVISTA, *names], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr[-2000:]
    assert "rror" not in done.stderr, done.stderr[-2000:]
    return pickle.loads(result.read_bytes())


def read_with_meshio(path: Path) -> dict:
    """A series as meshio reads it: ``points``, ``cells``, and for each time the arrays at nodes and of cells."""
    import meshio

    with meshio.xdmf.TimeSeriesReader(path) as reader:
        points, (cells,) = reader.read_points_cells()
        read = [reader.read_data(k) for k in range(reader.num_steps)]
    nodal = [entry[1] for entry in read]
    cellular = [{name: values[0] for name, values in entry[2].items()} for entry in read]
    times = [float(entry[0]) for entry in read]
    return {"points": points, "cells": cells.data, "times": times, "nodal": nodal, "cellular": cellular}
