"""Read the model of a membrane from a file: gotranx ``.ode``, CellML, Myokit ``.mmt``."""

from __future__ import annotations

import hashlib
import importlib.metadata
import logging
from functools import cache
from pathlib import Path

from homfem.kinetics.ionic.cache import cache_folder, keep
from homfem.kinetics.ionic.formulas import Formulas, kinetics_of
from homfem.kinetics.point import PointKinetics
from homfem.parameters import FileError

_LOG = logging.getLogger(__name__)
#: Kinds of files by the end of their names.
KINDS = (".ode", ".cellml", ".mmt")
#: Of a file: more is none of a membrane.
_LARGEST = 20_000_000


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
    kept = cache_folder() / f"{digest.hexdigest()[:32]}.json"
    try:
        formulas = Formulas.from_json(kept.read_text(encoding="utf-8"))
    except (OSError, ValueError, TypeError, KeyError):
        from homfem.kinetics.ionic.equations import equations_of
        from homfem.kinetics.ionic.printing import formulas_of

        formulas = formulas_of(equations_of(file, data, potential))
        try:
            keep(kept, formulas.to_json().encode())
        except OSError:
            _LOG.warning(
                "the formulas of %s cannot be kept in %s: each start derives them anew", file.name, kept.parent
            )
    for note in formulas.notes:
        _LOG.info("%s: %s", file.name, note)
    return kinetics_of(formulas)


@cache
def _maker() -> bytes:
    """Return what the formulas of a file depend on beside the file: this package, and those that read it."""
    own = b"".join(source.read_bytes() for source in sorted(Path(__file__).parent.glob("*.py")))
    versions = [importlib.metadata.version(name) for name in ("gotranx", "myokit", "sympy")]
    return hashlib.sha256(own).digest() + " ".join(versions).encode()
