"""Files that tests read back with other programs than those that wrote them."""

from __future__ import annotations

import functools
import importlib.util
from pathlib import Path
from types import ModuleType

import numpy as np
from mpi4py import MPI


@functools.cache
def _adios() -> ModuleType:
    """The bindings of ADIOS2 for MPI themselves: the package may be incomplete. They cannot be loaded twice."""
    package = importlib.util.find_spec("adios2")
    folders = list(package.submodule_search_locations or []) if package is not None else []
    files = [file for folder in folders for file in Path(folder).glob("bindings/adios2_bindings_mpi*.so")]
    assert files, "no bindings of ADIOS2 for MPI"
    spec = importlib.util.spec_from_file_location("adios2_bindings_mpi", files[0])
    assert spec is not None
    assert spec.loader is not None
    bindings = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(bindings)
    return bindings


def read_vtx(path: Path, *names: str, step: int = 0) -> list[np.ndarray]:
    """Arrays of a VTX file at a step, by their names: what all ranks wrote, one after the other."""
    bindings = _adios()
    adios = bindings.ADIOS(MPI.COMM_SELF)  # it must outlive what it opens
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
