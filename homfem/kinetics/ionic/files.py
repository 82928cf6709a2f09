"""Read the model of a membrane from a file: gotranx ``.ode``, CellML, Myokit ``.mmt``."""

from __future__ import annotations

import hashlib
import importlib.util
import logging
from functools import cache
from pathlib import Path

from homfem.kinetics.ionic.cache import keep, kept
from homfem.kinetics.ionic.formulas import Formulas, kinetics_of
from homfem.kinetics.point import PointKinetics
from homfem.parameters import FileError

log = logging.getLogger("homfem")
#: Kinds of files by the end of their names.
KINDS = (".ode", ".cellml", ".mmt")
#: Of a file: more is none of a membrane.
_LARGEST = 5_000_000


def read_ionic(path: str | Path, potential: str | None = None) -> PointKinetics:
    """Return the kinetics of a membrane from a file.

    What is derived from a file is kept on disk, by a hash of its content: the next time it takes milliseconds.

    Parameters
    ----------
    path
        A gotranx ``.ode``, CellML ``.cellml`` or Myokit ``.mmt`` file.
    potential
        Name of the membrane potential in the file; None: V or another of the usual names.

    Returns
    -------
    PointKinetics
        Its field is V (mV), its time in ms; gates are the states x with :math:`\\dot x = \\rho(x_\\infty - x)`. What
        the file stimulates with is 0, and the log says so: a macroscale model has stimuli of its own.

    Raises
    ------
    FileError
        If the file is missing or cannot be read.
    InputError
        If there is no membrane potential of that name; with what the file has.
    """
    file = Path(path)
    if file.suffix.lower() not in KINDS:
        raise FileError("ionic model", str(path), "a file that ends in " + ", ".join(KINDS))
    try:
        with file.open("rb") as stream:
            data = stream.read(_LARGEST + 1)
    except OSError as error:
        raise FileError("ionic model", str(path), f"a file that can be read ({error.strerror})") from error
    if len(data) > _LARGEST:
        raise FileError("ionic model", str(path), f"at most {_LARGEST // 1_000_000} MB")
    digest = hashlib.sha256(b"\0".join([_maker(), str(potential).encode(), file.name.encode(), data]))
    name = f"formulas-{digest.hexdigest()[:32]}.json"
    formulas = _kept_formulas(kept(name))
    if formulas is None:
        formulas = _kept_formulas(keep(name, lambda part: _derive(part, file, data, potential)))
    if formulas is None:
        raise OSError(f"{name} in the cache of ionic models cannot be read")
    for note in formulas.notes:
        log.info("%s: %s", file.name, note)
    return kinetics_of(formulas)


def _kept_formulas(path: Path | None) -> Formulas | None:
    if path is None:
        return None
    try:
        return Formulas.from_json(path.read_text(encoding="utf-8"))
    except (OSError, ValueError, TypeError, KeyError):  # a file that was damaged: it is made anew
        path.unlink(missing_ok=True)
        return None


def _derive(path: Path, file: Path, data: bytes, potential: str | None) -> None:
    """Write the formulas of a file to a path."""
    from homfem.kinetics.ionic.equations import equations_of
    from homfem.kinetics.ionic.printing import formulas_of

    try:
        text = formulas_of(equations_of(file, data, potential)).to_json()
    except NotImplementedError as error:  # of SymPy, for a function that it cannot write
        reason = " ".join(str(error).split())[:200]
        raise FileError("ionic model", str(file), "equations of functions that NumPy and C have", reason) from error
    except (RecursionError, OverflowError) as error:
        raise FileError("ionic model", str(file), "equations of a size that can be handled", str(error)) from error
    path.write_text(text, encoding="utf-8")


@cache
def _maker() -> bytes:
    """Return what the formulas of a file depend on beside the file: this package, and those that read it."""
    own = b"".join(source.read_bytes() for source in sorted(Path(__file__).parent.glob("*.py")))
    readers = []
    for name in ("gotranx", "myokit", "sympy"):  # to ask for their versions takes longer than all the rest
        found = importlib.util.find_spec(name)
        if found is not None and found.origin is not None:
            readers.append(f"{found.origin} {Path(found.origin).stat().st_mtime_ns}")
    return hashlib.sha256(own).digest() + " ".join(readers).encode()
