"""From a TOML file or a mapping to checked tables."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

from homfem.config.cells import CellTable, parse_cell
from homfem.config.document import Document, read_document, set_values
from homfem.config.effective import EffectiveTable, parse_effective
from homfem.config.macro import MacroTable, parse_macro
from homfem.config.table import Missing, join, refuse_unknown, renamed, require_table
from homfem.parameters import InputError

T = TypeVar("T")

#: Tables of ``[macro]`` that other codes have at the top.
_AT_TOP = ("stimulus",)


@dataclass(frozen=True, kw_only=True, slots=True)
class Config:
    """A checked config.

    Parameters
    ----------
    document
        The tables as they were written, after ``--set``.
    folder
        Where the paths in it are sought from.
    cell, effective, macro
        The checked tables; None where there is none.
    """

    document: Document
    folder: Path
    cell: CellTable | None = None
    effective: EffectiveTable | None = None
    macro: MacroTable | None = None

    @property
    def files(self) -> list[tuple[str, Path]]:
        """Every file that the config names, after the path of its key."""
        return list(_files("", "", self.document, self.folder))


def make_config(document: Mapping[str, Any], *, folder: str | Path = ".", needed: Iterable[str] = ()) -> Config:
    """Return the checked config.

    Parameters
    ----------
    document
        Tables as TOML gives them.
    folder
        Where the paths in it are sought from.
    needed
        Names of the tables that must be there.

    Raises
    ------
    InputError
        For the first thing that is wrong: the path of its key, its value, what is allowed.
    """
    _check_integers("", document)
    refuse_unknown("", document, ["cell", "effective", "macro", *(_AT_TOP if "macro" in document else ())])
    base = Path(folder)
    for name in needed:
        require_table(name, document.get(name, Missing()))
    cell = parse_cell(document["cell"], base) if "cell" in document else None
    effective = parse_effective(document["effective"]).located(base) if "effective" in document else None
    if cell is not None and effective is not None:
        effective.check_method(cell.methods)
        effective.check(cell.known_phases, cell.known_dimension)
        cell.check_effective(effective)
        cell = cell.suited_to(effective)
    macro = _macro(document, base) if "macro" in document else None
    if macro is not None:
        macro.check(cell, effective)
    return Config(document=dict(document), folder=base, cell=cell, effective=effective, macro=macro)


def _macro(document: Mapping[str, Any], base: Path) -> MacroTable:
    """Return the table ``[macro]`` with what other codes have beside it; errors name what was written."""
    table, beside = require_table("macro", document["macro"]), [name for name in _AT_TOP if name in document]
    for name in beside:
        if name in table:
            raise InputError(name, "given", f"absent beside macro.{name}: both mean the same")
    try:
        return parse_macro({**table, **{name: document[name] for name in beside}}, base)
    except InputError as error:
        for name in beside:
            if error.name.startswith(f"macro.{name}"):
                raise renamed(error, error.name.removeprefix("macro.")) from error
        raise


def present(name: str, table: T | None) -> T:
    """Return the checked table of that name; raise :class:`InputError` if the config has none."""
    if table is None:
        raise InputError(name, Missing(), f"given, as a table [{name}]")
    return table


def _check_integers(path: str, entry: Any) -> None:
    """Refuse whole numbers beyond 64 bits, which TOML does not have and floats may not hold."""
    if isinstance(entry, Mapping):
        for key, value in entry.items():
            _check_integers(join(path, str(key)), value)
    elif isinstance(entry, list):
        for index, value in enumerate(entry):
            _check_integers(f"{path}[{index}]", value)
    elif isinstance(entry, int) and abs(entry) >= 2**63:
        raise InputError(path, entry, "a whole number of 64 bits, or a number with a decimal point")


def _files(path: str, key: str, entry: Any, folder: Path) -> Iterator[tuple[str, Path]]:
    if isinstance(entry, Mapping):
        for name, value in entry.items():
            yield from _files(join(path, str(name)), str(name), value, folder)
    elif isinstance(entry, str) and (key == "file" or entry.endswith(".json")):
        yield path, folder / entry


def load_config(path: str | Path, *, assignments: Iterable[str] = (), needed: Iterable[str] = ()) -> Config:
    """Return the checked config of a TOML file, after ``path=value`` assignments.

    Raises
    ------
    FileError
        If the file is missing or not TOML.
    InputError
        For the first thing that is wrong in it.
    """
    document = set_values(read_document(path), assignments, name="--set")
    return make_config(document, folder=Path(path).parent, needed=needed)
