"""Bad inputs for the command line, further groups: no configs, slips of size, contradictions, options."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from made_bad_inputs import (
    BESIDE,
    BLOCKS,
    DELETED,
    FIBRES,
    FIELD,
    IMAGE,
    MESH,
    MUSCLE,
    PARTICLES,
    PIPES,
    SPHERES,
    WAVE,
    BadInput,
    Document,
    changed,
    config,
    cut_files,
    junk_files,
    one_value_wrong,
    text,
)


def no_configs() -> list[BadInput]:
    """Return what is no TOML, or no file at all."""
    rows: Mapping[str, bytes] = {
        "empty": b"",
        "words": b"this is no TOML",
        "random": np.random.default_rng(5).bytes(3000),
        "zeros": bytes(100),
        "NUL in a string": b'[cell]\nshape = "three-pipe\0"\n',
        "not UTF-8": b'[cell]\nshape = "\xff\xfe"\n',
        "UTF-16": '[cell]\nshape = "slit"\n'.encode("utf-16"),
        "lone surrogate": b'[cell]\nshape = "\\ud800"\n',
        "deep lists": b"cell = " + b"[" * 50_000 + b"]" * 50_000,
        "deep tables": b"cell = " + b"{ a = " * 20_000 + b"1" + b"}" * 20_000,
        "deep keys": b".".join([b"cell"] + [b"a"] * 30_000) + b" = 1\n",
        "unclosed lists": b"cell = " + b"[" * 50_000,
        "key twice": b"[cell]\na = 1\na = 2\n",
        "table twice": b"[cell]\n[cell]\n",
        "table and value": b"cell = 1\n[cell]\n",
        "5000 digits": b"[cell]\nedge = " + b"9" * 5000 + b"\n",
        "5000 hexadecimal digits": b"[cell]\nedge = 0x" + b"f" * 5000 + b"\n",
        "exponent of 5000 digits": b"[cell]\nedge = 1e" + b"9" * 5000 + b"\n",
        "bad date": b"[cell]\nedge = 2020-13-45\n",
        "no tables": b"a = 1\n",
        "cell is a list": b"[[cell]]\nshape = 'slit'\n",
        "cell is a number": b"cell = 1\neffective = 2\n",
    }
    result = [config("no config", name, content) for name, content in rows.items()]
    names = {"missing": "none.toml", "long name": "x" * 5000, "folder": ".", "NUL": "c\0.toml", "empty name": ""}
    for name, path in names.items():
        bad = BadInput(group="no config", name=name, arguments=("effective", path), keys=("CONFIG",))
        result.append(bad)
    return result


def size_slips() -> list[BadInput]:
    """Return numbers with a zero too many, or too few."""
    rows: list[tuple[Document, str, Any]] = [
        (PIPES, "cell.resolution", 1e-6),
        (PIPES, "cell.edge", 1e-15),
        (FIBRES, "cell.resolution", 1e-7),
        (SPHERES, "cell.resolution", 1e-5),
        (SPHERES, "cell.fraction", 1e-30),
        (MUSCLE, "cell.resolution", 1e-6),
        (MUSCLE, "cell.gap", "1e-9 um"),
        (PARTICLES, "cell.radius", 1e-5),
        (PARTICLES, "cell.voxels", 10**6),
        (FIELD, "cell.voxels", 10**7),
        (IMAGE, "effective.refine", 100_000),
        (BLOCKS, "effective.abscissas", 10**9),
        (WAVE, "macro.domain.resolution", "1e-6 um"),
        (WAVE, "macro.domain.size", ["1 km", "1 km"]),
        (WAVE, "macro.time.step", "1e-14 s"),
        (WAVE, "macro.time.subcycles", 10**8),
        (changed(WAVE, ("macro", "domain", "shape"), "cell-body"), "macro.domain.resolution", "1 nm"),
    ]
    also = {"macro.domain.size": "macro.domain.resolution"}
    return [
        config("size slip", f"{path} = {value}", changed(base, tuple(path.split(".")), value), also.get(path, path))
        for base, path, value in rows
    ]


def contradictions() -> list[BadInput]:
    """Return keys that do not go together, phases and labels that are not there, keys that are missing or unknown."""
    rows: list[tuple[Document, str, Any, str]] = [
        (PIPES, "effective.phases.sheath", "1 um^2/s", "effective.phases.sheath"),
        (PIPES, "cell.edges", [0.1, 0.2, 0.3], "cell.edges"),
        (PIPES, "cell.file", "quad.vtk", "cell.file"),
        (PIPES, "cell.dimension", 2, "cell.dimension"),
        (PIPES, "cell.period", ["1 um", "2 um"], "cell.period"),
        (PIPES, "cell.period", "1", "cell.period"),
        (PIPES, "effective.fluid", "er", "effective.fluid"),
        (PIPES, "effective.refine", 2, "effective.refine"),
        (PIPES, "effective.method", "grid", "effective.method"),
        (PIPES, "effective.boundary", "affine", "effective.tolerance"),
        (PIPES, "effective.membranes", {"er": "1 um/s"}, "effective.membranes"),
        (PIPES, "effective.membranes", {"er|wall": "1 um/s"}, "effective.membranes"),
        (PIPES, "effective.phases.er", [["1 m^2/s", "2 m^2/s"], ["2 m^2/s", "1 m^2/s"]], "effective.phases.er"),
        (PIPES, "effective.phases.er", [["1 m^2/s"]], "effective.phases.er"),
        (PIPES, "effective.phases.er", "1 GPa", "effective.phases.er"),
        (PIPES, "effective.phases.er", {"field": {"file": "a.npy", "unit": "GPa"}}, "effective.phases.er.field.unit"),
        (PIPES, "effective.phases.er", {"field": {"file": "none", "unit": "m^2/s"}}, "effective.phases.er.field.file"),
        (PIPES, "effective.phases.er", {"field": {"file": "a.npy", "unit": "m^2/s"}}, "effective.phases.er"),
        (PIPES, "effective.physics", "elasticity", "effective.phases.er"),
        (PIPES, "effective.physics", "stokes", "effective.phases"),
        (PIPES, "efective.physics", "stokes", "efective"),
        (PIPES, "cell.edgge", 0.1, "cell.edgge"),
        (PIPES, "cell.shape", "three-pipes", "cell.shape"),
        (FIBRES, "cell.radius", 0.2, "cell.fraction, radius"),
        (FIBRES, "cell.fraction", 0.99, "cell.fraction"),
        (FIBRES, "cell.axis", "x", "cell.axis"),
        (FIBRES, "cell.coating", 0.4, "cell.fraction"),
        (FIBRES, "effective.phases.fibre", {"young": "70 GPa"}, "effective.phases.fibre"),
        (FIBRES, "effective.phases.fibre", {"young": "70 GPa", "poisson": 0.5}, "effective.phases.fibre.poisson"),
        (FIBRES, "effective.phases.fibre", {"young": "70 GPa", "shear": "1 GPa", "bulk": "1 GPa"}, "effective.phases"),
        (SPHERES, "effective.fluid", "sphere", "effective.fluid"),
        (SPHERES, "effective.fluid", "water", "effective.fluid"),
        (SPHERES, "effective.slip_length", "1 s", "effective.slip_length"),
        (SPHERES, "effective.phases", {"matrix": "1 Pa"}, "effective.phases"),
        (IMAGE, "cell.labels", {"a": 0, "b": 7}, "cell.labels"),
        (IMAGE, "cell.labels", {"a": 0, "b": 0}, "cell.labels"),
        (IMAGE, "cell.labels", {"a": 0.5, "b": 1}, "cell.labels"),
        (IMAGE, "cell.thresholds", 0.5, "cell.labels"),
        (IMAGE, "cell.names", ["a", "b"], "cell.names"),
        (IMAGE, "cell.period", "1 m", "cell.voxel"),
        (IMAGE, "cell.voxel", ["1 m", "1 m", "1 m"], "cell.file"),
        (IMAGE, "cell.array", "b", "cell.array"),
        (IMAGE, "cell.dimension", 3, "cell.file"),
        (IMAGE, "cell.raw", {"type": "uint8", "size": [10**6, 10**6]}, "cell.file"),
        (IMAGE, "cell.raw", {"type": "rubbish", "size": [4, 4]}, "cell.raw.type"),
        (IMAGE, "cell.raw", {"type": "uint8", "size": [0, 4]}, "cell.raw.size"),
        (IMAGE, "cell.raw", {"type": "uint8", "size": [4, 4], "offset": 10**9}, "cell"),
        (IMAGE, "cell.mirror", ["q"], "cell.mirror"),
        (IMAGE, "cell.elements", "voxel", "cell.elements"),
        (IMAGE, "cell.file", "x" * 5000, "cell.file"),
        (IMAGE, "cell.file", ".", "cell.file"),
        (IMAGE, "cell.file", "c.toml", "cell.file"),
        (BLOCKS, "cell.layout", ["ab", "b"], "cell.layout"),
        (BLOCKS, "cell.layout", [], "cell.layout"),
        (BLOCKS, "cell.widths", [0.5, 0.6], "cell.widths"),
        (BLOCKS, "cell.widths", ["1 m", "1 m"], "cell.period"),
        (BLOCKS, "cell.depths", [1.0], "cell.depths"),
        (BLOCKS, "effective.modes", 10**6, "effective.modes"),
        (BLOCKS, "effective.intervals", 4, "effective.intervals"),
        (BLOCKS, "effective.phases.a", [["2 m^2/s", "1 m^2/s"], ["1 m^2/s", "2 m^2/s"]], "effective.phases.a"),
        (PARTICLES, "cell.semi_axes", [0.1, 0.2], "cell.semi_axes"),
        (PARTICLES, "cell.fraction", 0.95, "cell.fraction"),
        (PARTICLES, "cell.particle", "cube", "cell.particle"),
        (PARTICLES, "cell.period", ["1 m", "2 m"], "cell.period"),
        (MESH, "cell.period", ["1 m", "1 m", "1 m"], "cell.period"),
        (MESH, "cell.period", [["1 m", "1 m"], ["1 m", "1 m"]], "cell.period"),
        (MESH, "cell.dimension", 3, "cell"),
        (MESH, "cell.phases", {"a": 77}, "cell.phases"),
        (MESH, "cell.phase_data", "none", "cell.phase_data"),
        (MESH, "cell.resolution", 0.1, "cell.resolution"),
        (MESH, "cell.trust", True, "cell.trust"),
        (MESH, "cell.file", "../quad.vtk", "cell.file"),
        (MESH, "cell.file", "/dev/zero", "cell.file"),
        (MESH, "cell.file", "x" * 5000, "cell.file"),
        (MESH, "effective.phases.phase7", "1 m^2/s", "effective.phases.phase7"),
        (WAVE, "macro.model", "monodomain", "macro.model"),
        (WAVE, "macro.domain.file", "quad.vtk", "macro.domain.file"),
        (WAVE, "macro.domain", {"file": "quad.vtk", "unit": "um"}, "macro.domain.file"),
        (WAVE, "macro.domain", {"file": "x" * 5000, "unit": "um"}, "macro.domain.file"),
        (WAVE, "macro.domain", {"file": "quad.vtk"}, "macro.domain.unit"),
        (WAVE, "macro.tensors.cytosol", {"phase": "cytosol"}, "macro.tensors.cytosol"),
        (WAVE, "macro.tensors.cytosol", "none.json", "macro.tensors.cytosol.file"),
        (WAVE, "macro.tensors.cytosol", "x" * 5000 + ".json", "macro.tensors.cytosol.file"),
        (WAVE, "macro.tensors.cytosol", {"file": "a", "phase": "b"}, "macro.tensors.cytosol"),
        (WAVE, "macro.tensors.cytosol.volume_fraction", 0.9, "macro.tensors"),
        (WAVE, "macro.stimulus.centre", ["0 um"] * 3, "macro.stimulus.centre"),
        (WAVE, "macro.time.step", "30 ms", "macro.time.step"),
        (WAVE, "macro.time.step", "1 h", "macro.time.step"),
        (WAVE, "macro.output.every", "15 ms", "macro.output.every"),
        (WAVE, "macro.initial.er", DELETED, "macro.initial.er"),
        (WAVE, "macro.time.end", DELETED, "macro.time.end"),
        (WAVE, "macro.kinetics", DELETED, "macro.kinetics"),
        (PIPES, "effective.phases", DELETED, "effective.phases"),
        (PIPES, "effective", DELETED, "effective"),
        (PIPES, "cell", DELETED, "cell"),
    ]
    return [
        config("contradiction", f"{path} = {value}"[:80], changed(base, tuple(path.split(".")), value), key)
        for base, path, value, key in rows
    ]


def command_lines() -> list[BadInput]:
    """Return options and assignments that are none."""
    sets = (
        "rubbish", "", "=", "=1", "cell", "cell=", "cell=1", "cell.edge", "cell.edge=", "cell.edge=[", "cell..edge=1",
        ".=1", "cell.edge.deep=1", "cell.edge=1\ncell.period=2", "cell.shape=\0", "cell.edge=" + "9" * 5000,
        "cell.edge=" + "[" * 5000, "cell." * 5000 + "edge=1", "cell.edge=1e999", "cell.\xe9=1", "cell.'edge=1",
        "[cell]=1", "a=1", "cell.edge=nan", "cell.edge=true", "effective.phases.=1",
    )  # fmt: skip
    rows: list[tuple[str, ...]] = [("effective", "c.toml", "--set", text) for text in sets if "\0" not in text]
    rows += [
        ("effective",), ("cell",), ("run",), ("nothing",), ("effective", "c.toml", "more"), ("--rubbish",),
        ("effective", "c.toml", "--json"), ("effective", "c.toml", "--set"), ("effective", "c.toml", "--figure"),
        ("effective", "c.toml", "--figure", "a.xyz"), ("effective", "c.toml", "--figure", "none/a.png"),
        ("effective", "c.toml", "--fields", "a.xdmf"), ("effective", "c.toml", "--json", "none/a.json"),
        ("effective", "c.toml", "--json", "."), ("effective", "c.toml", "--json", "/proc/a.json"),
        ("effective", "c.toml", "--json", "x" * 5000), ("effective", "c.toml", "--figure", "x" * 5000 + ".png"),
        ("effective", "c.toml", "--rubbish"), ("effective", "quad.vtk"), ("effective", "a.npy"), ("run", "c.toml"),
        ("cell", "c.toml", "--save", "a.rubbish"), ("cell", "c.toml", "--check", "quad.vtk"), ("cell", "--check"),
        ("cell", "--check", "none.msh"), ("cell", "--check", "x" * 5000), ("cell", "--check", "."),
        ("cell", "--check", "quad.vtk", "--period", "rubbish"), ("cell", "--check", "quad.vtk", "--period", "-1"),
        ("cell", "--check", "quad.vtk", "--period", "[" * 3000), ("cell", "--check", "quad.vtk", "--period", "[[]]"),
        ("cell", "--check", "quad.vtk", "--period", "9" * 5000), ("cell", "--check", "quad.vtk", "--period", "nan"),
        ("cell", "c.toml", "--period", "1"), ("cell", "c.toml", "--trust"), ("run", "c.toml", "--resume"),
        ("blocks", "tables", "7"), ("blocks", "tables", "--repeats", "0"), ("blocks", "tables", "--repeats", "x"),
        ("sweep",), ("sweep", "none.toml"), ("sweep", "c.toml"), ("sweep", "quad.vtk"), ("sweep", "."),
        ("sweep", "plan.toml"), ("sweep", "plan.toml", "--workers", "0"), ("sweep", "plan.toml", "--task", "x"),
        ("validate", "nothing"), ("validate", "goel", "--json", "none/a.json"), ("init", "nothing"), ("init",),
        ("init", "stokes", "none/a.toml"), ("init", "stokes", "."), ("init", "stokes", "x" * 5000),
        ("init", "stokes", "c.toml"),
        ("doctor", "--json", "none/a.json"), ("doctor", "more"), ("run", "c.toml", "--json", "none/a.json"),
    ]  # fmt: skip
    plan = b'config = "c.toml"\n[grid]\n"cell.edg" = [0.1]\n'
    files = {**BESIDE, "c.toml": text(PIPES), "plan.toml": plan}
    return [BadInput(group="command line", name=" ".join(row)[:80], arguments=row, files=files) for row in rows]


def bad_inputs(seed: int, *, every: bool = False) -> list[BadInput]:
    """Return all bad inputs; ``every`` stands for all places of junk in place of a sample."""
    return [
        *no_configs(),
        *command_lines(),
        *contradictions(),
        *size_slips(),
        *one_value_wrong(seed, None if every else 150),
        *junk_files(seed, None if every else 1),
        *cut_files(seed, 20 if every else 2),
    ]


def quick_inputs(seed: int) -> list[BadInput]:
    """Return a third of those that are refused before anything is meshed."""
    groups = (no_configs(), command_lines(), contradictions(), one_value_wrong(seed, 90), junk_files(seed, 1))
    slow = ("junk as cell file", "junk as domain file")
    return [bad for group in groups for bad in group[seed % 3 :: 3] if bad.group not in slow]
