"""Bad inputs for the command line, in named groups: configs, files of every ending, options. Seeded; no dolfinx."""

from __future__ import annotations

import copy
import datetime
import io
import json
import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

CASES = Path(__file__).parent / "cases"
Document = dict[str, Any]


@dataclass(frozen=True, kw_only=True, slots=True)
class BadInput:
    """A command that must be refused.

    Parameters
    ----------
    group, name
        What it is.
    arguments
        Of the command line; files are named relative to the working folder.
    files
        Their content by name.
    keys
        The message must begin with one of these, as the user wrote them.
    value
        What the message must show of the value; empty where it is shortened or missing.
    """

    group: str
    name: str
    arguments: tuple[str, ...]
    files: Mapping[str, bytes] = field(default_factory=dict)
    keys: tuple[str, ...] = ()
    value: str = ""


def toml(entry: Any) -> str:
    """Return a value as TOML writes it."""
    if isinstance(entry, dict):
        return "{" + ", ".join(f"{json.dumps(key)} = {toml(value)}" for key, value in entry.items()) + "}"
    if isinstance(entry, list):
        return "[" + ", ".join(map(toml, entry)) + "]"
    if isinstance(entry, (bool, str)):
        return json.dumps(entry)
    return entry.isoformat() if isinstance(entry, (datetime.date, datetime.time)) else repr(entry)


def text(document: Document) -> bytes:
    """Return a config as TOML, one key of the top in a line."""
    return "".join(f"{json.dumps(key)} = {toml(value)}\n" for key, value in document.items()).encode()


def npy(array: Any) -> bytes:
    """Return the content of a ``.npy`` file."""
    stream = io.BytesIO()
    np.save(stream, array)
    return stream.getvalue()


DIFFUSION = {"physics": "diffusion", "tolerance": 0.1}
AB = {"a": "1 m^2/s", "b": "2 m^2/s"}
PIPES: Document = {
    "cell": {"shape": "three-pipe", "edge": 0.5, "period": "2 um", "resolution": 0.3},
    "effective": {**DIFFUSION, "phases": {"er": "250 um^2/s"}},
}
FIBRES: Document = {
    "cell": {"shape": "fibre-array", "lattice": "hexagonal", "fraction": 0.5, "dimension": 2, "period": "10 um"},
    "effective": {
        "physics": "elasticity",
        "boundary": "periodic",
        "phases": {"fibre": {"young": "70 GPa", "poisson": 0.2}, "matrix": {"young": "3 GPa", "poisson": 0.35}},
    },
}
SPHERES: Document = {
    "cell": {"shape": "sphere-array", "lattice": "simple-cubic", "fraction": 0.3, "period": "1 um", "resolution": 0.3},
    "effective": {"physics": "stokes", "fluid": "matrix", "max_dofs": 10},
}
IMAGE: Document = {
    "cell": {"shape": "image", "file": "a.npy", "labels": {"a": 0, "b": 1}, "voxel": "1 m"},
    "effective": {"physics": "diffusion", "method": "grid", "phases": AB},
}
BLOCKS: Document = {
    "cell": {"shape": "blocks", "layout": ["ab", "ba"], "widths": [0.5, 0.5], "heights": [0.5, 0.5], "period": "1 m"},
    "effective": {"physics": "diffusion", "method": "semi-analytical", "abscissas": 4, "phases": AB},
}
PARTICLES: Document = {
    "cell": {"shape": "random-particles", "fraction": 0.2, "radius": 0.1, "seed": 1, "voxels": 8, "period": "1 m"},
    "effective": {"physics": "diffusion", "method": "grid", "phases": {"matrix": "1 m^2/s"}},
}
FIELD: Document = {
    "cell": {"shape": "gaussian-field", "fraction": 0.2, "correlation_length": 0.3, "seed": 1, "voxels": 8},
    "effective": {"physics": "diffusion", "method": "grid", "phases": {"matrix": "1 m^2/s"}},
}
MESH: Document = {
    "cell": {"file": "quad.vtk", "period": "1 m", "dimension": 2, "faces": "matching"},
    "effective": {"physics": "diffusion", "phases": {"phase1": "1 m^2/s", "phase2": "10 m^2/s"}},
}
MUSCLE: Document = {
    "cell": {"shape": "myocyte", "length": "100 um", "width": "20 um", "gap": "2 um", "resolution": 0.3},
    "effective": {**DIFFUSION, "phases": {"extracellular": "1 m^2/s"}},
}
WAVE: Document = {
    "macro": {
        "model": "calcium",
        "domain": {"shape": "box", "size": ["40 um", "20 um"], "resolution": "10 um"},
        "tensors": {
            "cytosol": {"value": "16 um^2/s", "volume_fraction": 0.8},
            "er": {"value": "2 um^2/s", "volume_fraction": 0.2},
            "interface_area": "2 1/um",
        },
        "kinetics": {
            "model": "li-rinzel",
            "parameters": "trigger-wave",
            "ip3": "0.3 uM",
            "density": 1.0,
            "v1": "6 1/s",
        },
        "time": {"end": "0.04 s", "step": "20 ms", "splitting": "strang", "subcycles": 1},
        "initial": {"cytosol": "0.1 uM", "er": "5 uM"},
        "stimulus": {"rise": "0.8 uM", "centre": ["0 um", "0 um"], "radius": "12 um"},
        "output": {"folder": "wave", "every": "20 ms", "checkpoint_every": "20 ms", "format": "xdmf"},
    }
}
ROUND = {"shape": "fibre-array", "fraction": 0.3, "dimension": 2, "period": "10 um", "resolution": 0.3}
FLOW: Document = {
    "cell": {**ROUND, "coating": 0.08},
    "effective": {
        "physics": "dispersion",
        "peclet": [1.0, 10.0],
        "direction": [1.0, 0.5],
        "sorption_length": "1 um",
        "partition": {"coating": 0.5},
        "fluid": "matrix",
        "degree": 2,
        "phases": {"matrix": "100 um^2/s", "coating": "10 um^2/s"},
    },
}
STREAM: Document = {
    "cell": {"shape": "blocks", "layout": ["a"], "period": "10 um", "resolution": 0.3},
    "effective": {
        "physics": "dispersion",
        "bounds": True,
        "stream_function": {
            "expression": "U*L*sin(2*pi*x/L)*sin(2*pi*y/L)",
            "parameters": {"U": "1 um/s", "L": "10 um"},
        },
        "mean_velocity": ["1 um/s", "0 um/s"],
        "phases": {"a": "100 um^2/s"},
    },
}
DECAY: Document = {
    "cell": ROUND,
    "effective": {
        "physics": "reaction",
        "regime": "finite",
        "phases": {"matrix": "100 um^2/s"},
        "rates": {"matrix": "1 1/s"},
        "interface_rates": {"fibre|matrix": "10 um/s"},
    },
}
LATTICE: Document = {
    "cell": {**ROUND, "period": "1 cm"},
    "effective": {
        "physics": "multiplication",
        "phases": {
            "fibre": {"diffusion": "0.05 cm", "absorption": "1 1/cm", "production": "1.5 1/cm"},
            "matrix": {"diffusion": "0.1 cm", "absorption": "0.3 1/cm"},
        },
    },
}
GEL: Document = {
    "cell": ROUND,
    "effective": {
        "physics": "electrodiffusion",
        "temperature": "310 K",
        "fixed_charge": {"matrix": "-200 mol/m^3"},
        "ions": [
            {"name": "Na", "valence": 1, "bath": "150 mol/m^3", "diffusivity": {"matrix": "1300 um^2/s"}},
            {"name": "Cl", "valence": -1, "bath": "150 mol/m^3", "diffusivity": {"matrix": "2000 um^2/s"}},
        ],
    },
}
LAYERS: Document = {
    "cell": {**ROUND, "period": "100 nm"},
    "effective": {
        **GEL["effective"],
        "regime": "double-layer",
        "viscosity": "0.89 mPa*s",
        "permittivity": 78.4,
        "wall_potential": "-50 mV",
    },
}
TAXIS: Document = {
    "cell": ROUND,
    "effective": {
        "physics": "chemotaxis",
        "motility": {"matrix": "1 um^2/s"},
        "sensitivity": {"matrix": "-5 um^2/s/uM"},
        "attractant": {"fibre": "10 um^2/s", "matrix": "100 um^2/s"},
    },
}
BASES: Mapping[str, Document] = {
    "pipes": PIPES,
    "fibres": FIBRES,
    "spheres": SPHERES,
    "image": IMAGE,
    "blocks": BLOCKS,
    "particles": PARTICLES,
    "field": FIELD,
    "mesh": MESH,
    "muscle": MUSCLE,
    "wave": WAVE,
    "flow": FLOW,
    "stream": STREAM,
    "decay": DECAY,
    "lattice": LATTICE,
    "gel": GEL,
    "layers": LAYERS,
    "taxis": TAXIS,
}
BESIDE: Mapping[str, bytes] = {
    "a.npy": npy((np.arange(16).reshape(4, 4) % 2).astype(np.uint8)),
    "quad.vtk": (CASES / "quad.vtk").read_bytes(),
}
DELETED = object()


def changed(document: Document, path: tuple[str, ...], value: Any) -> Document:
    """Return a config with another value at a path; :data:`DELETED` takes the key out."""
    result = copy.deepcopy(document)
    table = result
    for key in path[:-1]:
        table = table.setdefault(key, {})
    if value is DELETED:
        del table[path[-1]]
    else:
        table[path[-1]] = value
    return result


def config(group: str, name: str, document: Document | bytes, *keys: str, value: str = "", **files: bytes) -> BadInput:
    """Return the bad input of a config; ``run`` where it has a table ``[macro]``, else ``effective``."""
    content = document if isinstance(document, bytes) else text(document)
    command = "run" if b'"macro"' in content or b"[macro" in content else "effective"
    return BadInput(
        group=group,
        name=name,
        arguments=(command, "c.toml"),
        files={**BESIDE, **files, "c.toml": content},
        keys=keys,
        value=value,
    )


def leaves(table: Document, path: tuple[str, ...] = ()) -> Iterator[tuple[str, ...]]:
    """Yield the path of each key that holds no table, and of each table."""
    for key, value in table.items():
        yield (*path, key)
        if isinstance(value, dict):
            yield from leaves(value, (*path, key))


JUNK: tuple[Any, ...] = (
    True, "rubbish", "", [], {}, -1, 0, math.nan, math.inf, -math.inf, 1e300, 1e-300, 2**62, 10**30, "1 kg", "-1 um",
    "nan um", "1e999 um", "1", "1 um um um um", "1 (((((um", "1 um^99", [[]], [1, 2, 3, 4, 5], [{}], {"a": {"b": 1}},
    "\0", "x" * 5000, "\u00e9\u4e2d", datetime.date(2020, 1, 1), datetime.time(1, 2, 3),
)  # fmt: skip


def one_value_wrong(seed: int, number: int | None = None) -> list[BadInput]:
    """Return configs with junk in place of one value: all, or ``number`` of them at random."""
    rows = [
        (base, path, place)
        for base, document in BASES.items()
        for path in leaves(document)
        for place, junk in enumerate(JUNK)
        if not _is_fine(path, junk)
    ]
    if number is not None:
        rng = np.random.default_rng(seed)
        rows = [rows[k] for k in sorted(rng.choice(len(rows), number, replace=False))]
    return [_junk(base, path, place) for base, path, place in rows]


def _is_fine(path: tuple[str, ...], junk: Any) -> bool:
    """Whether a value is good for a key after all, or so extreme that a solver gives up."""
    key = path[-1]
    if path[-2:] == ("parameters", "L") and junk == "-1 um":
        return True  # waves that the mesh does not show: not the fault of this key alone
    if isinstance(junk, str):
        return key == "folder" and junk.isprintable() and 0 < len(junk) < 255
    if junk == {}:
        return key in ("initial", "output")
    if junk is True:
        return key == "bounds"
    if path[-2:-1] == ("partition",):
        return junk in (1e-300, 1e300, 2**62, 10**30)
    if key == "peclet" and junk == [1, 2, 3, 4, 5]:
        return True
    if isinstance(junk, (bool, list, dict, datetime.date, datetime.time)):
        return False
    fine = {
        "seed": (0, 2**62),
        "peclet": (0, 1e-300),
        "a": (0,),
        "max_dofs": (2**62,),
        "poisson": (0, 1e-300),
        "density": (0, 1e-300, 2**62, 1e300),
        "fraction": (1e-300,),
        "volume_fraction": (1e-300,),
    }
    return junk in fine.get(key, ())


def _junk(base: str, path: tuple[str, ...], place: int) -> BadInput:
    junk = JUNK[place]
    shown = isinstance(junk, (str, int, float)) and len(str(junk)) < 100 and junk != 2**62
    return config(
        "one value wrong",
        f"{base} {'.'.join(path)} {place}",
        changed(BASES[base], path, junk),
        *keys_of(path),
        value=repr(junk) if shown else "",
    )


def keys_of(path: tuple[str, ...]) -> tuple[str, ...]:
    """Return how a message about a key may begin: what an expression and its parameters are is one question."""
    for place, key in enumerate(path):
        if key == "stream_function":
            above = path[: place + 1]
            return (".".join(path), ".".join(above), *(".".join((*above, key)) for key in ("expression", "parameters")))
    return (".".join(path),)


MESH_ENDINGS = (
    ".msh", ".geo", ".step", ".stp", ".stl", ".vtu", ".vtk", ".inp", ".bdf", ".nas", ".fem", ".unv", ".xdmf", ".xmf",
    ".med", ".mesh", ".meshb", ".ply", ".obj", ".off", ".cgns", ".e", ".exo", ".ugrid", ".su2", ".msh2", ".dat", ".h5m",
    ".avs", ".node", ".ele", ".tec", ".xml", ".wkt", ".svg", ".f3grid", ".post", ".pvtu", ".vtm", ".brep", ".iges",
    ".json", ".toml", ".txt", "", ".MSH", ".geo_unrolled", ".pos",
)  # fmt: skip
IMAGE_ENDINGS = (
    ".npy", ".npz", ".h5", ".hdf5", ".tif", ".tiff", ".png", ".jpg", ".jpeg", ".bmp", ".nrrd", ".nhdr", ".mha", ".mhd",
    ".nii", ".nii.gz", ".vti", ".vtk", ".raw", ".json", ".gif", "", ".TIF",
)  # fmt: skip
#: Where a file is named: the config, the table that names it, the keys that a message may begin with.
PLACES: Mapping[str, tuple[Document, tuple[str, ...], tuple[str, ...]]] = {
    "cell": (MESH, ("cell", "file"), ("cell.file",)),
    "image": (IMAGE, ("cell", "file"), ("cell.file",)),
    "field": (IMAGE, ("effective", "phases", "a"), ("effective.phases.a.field.file",)),
    "domain": (WAVE, ("macro", "domain"), ("macro.domain.file",)),
    "tensors": (WAVE, ("macro", "tensors", "cytosol"), ("macro.tensors.cytosol",)),
}


def naming(place: str, file: str) -> Document:
    """Return the config that names a file in one of :data:`PLACES`."""
    base, path, _ = PLACES[place]
    value: Any = {
        "field": {"field": {"file": file, "unit": "m^2/s"}},
        "domain": {"file": file, "unit": "um"},
        "tensors": {"file": file},
    }.get(place, file)
    return changed(base, path, value)


def file_junk(rng: np.random.Generator) -> Mapping[str, bytes]:
    """Return contents that are no file of any kind, by name."""
    return {
        "empty": b"",
        "zeros": bytes(300),
        "random": rng.bytes(int(rng.integers(1, 4000))),
        "not UTF-8": b"\xff\xfe\xe9 1 2 3\n\x80\n",
        "words": b"This is no such file.\n1 2 3\n",
        "digits": b"9" * 5000 + b"\n",
        "deep": b"[" * 3000,
    }


def junk_files(seed: int, number: int | None = None) -> list[BadInput]:
    """Return junk under every ending in each place where a file is named; all kinds of junk, or ``number`` of them."""
    rng = np.random.default_rng([seed, 1])
    result = []
    for place in PLACES:
        endings = {"cell": MESH_ENDINGS, "domain": MESH_ENDINGS, "tensors": (".json",)}.get(place, IMAGE_ENDINGS)
        for ending in endings:
            junk = file_junk(rng)
            kinds = (
                list(junk) if number is None or place == "tensors" else rng.choice(list(junk), number, replace=False)
            )
            for kind in kinds:
                file = f"junk{ending}"
                name = f"{place} {ending} {kind}"
                bad = config(
                    f"junk as {place} file", name, naming(place, file), *PLACES[place][2], **{file: junk[kind]}
                )
                result.append(bad)
    return result


def good_files() -> Mapping[str, tuple[str, bytes]]:
    """Return files that can be read, by name, and the place in :data:`PLACES` that takes them."""
    meshes = ["quad.vtk", "triquad.msh", "triquad.unv", "tri.bdf", "cae2d.inp", "hexagonal.geo", "onetet.vtu"]
    images = ["full.vti", "cube.npy", "cube_aniso.nrrd", "vol.mha", "pal.png", "pagewise.tif"]
    files = {name: ("cell", (CASES / name).read_bytes()) for name in meshes}
    files |= {f"image {name}": ("image", (CASES / name).read_bytes()) for name in images}
    stream = io.BytesIO()
    np.savez(stream, a=np.arange(64).reshape(8, 8) % 2)
    files["image a.npz"] = ("image", stream.getvalue())
    return files


def cut_files(seed: int, number: int) -> list[BadInput]:
    """Return good files that end too early, ``number`` places each."""
    rng = np.random.default_rng([seed, 2])
    result = []
    for name, (place, content) in good_files().items():
        file = f"cut{Path(name).suffix}"
        for share in rng.uniform(0.02, 0.9, number):
            length = int(share * len(content))
            document = naming(place, file)
            bad = config("cut file", f"{name} at {length}", document, *PLACES[place][2], **{file: content[:length]})
            result.append(bad)
    return result
