"""Pictures of results from their files: of a run, also while it goes on, of cells, solved ones, tensors."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from homfem.disk import writing
from homfem.parameters import FileError, InputError, check_choice, check_number
from homfem.quantities import TIME, parse_quantity

if TYPE_CHECKING:
    from homfem.output.lead_pictures import LeadTable
    from homfem.output.run_files import Curves, Series, Tensor

#: Names of tables of leads in the folder of a run.
LEADS = ("ecg", "leads", "electrograms")
_FORMATS = (".png", ".pdf", ".svg")


def plot(
    folder: str | Path,
    *,
    field: str | None = None,
    time: str | float | None = None,
    out: str | Path | None = None,
    theme: str = "light",
) -> tuple[Path, ...]:
    """Draw results: probes over time, electrocardiograms, fields at one time, activation times, cells, tensors.

    Parameters
    ----------
    folder
        The folder of a macroscale run that has ended or goes on, or one with results of ``homfem effective`` and
        ``homfem cell``: tensors (``--json``), fields of cells (``--fields NAME.xdmf``), cells (``--save``). Or one such
        file.
    field
        Draw this field alone. Default: all.
    time
        Draw the fields at the output nearest to it: a number in the unit of the series, or a time with its unit.
        Default: the last.
    out
        A folder for the pictures, made if it is not there: ``fields.png``, ``probes.png`` and ``.pdf``, ``ecg.png`` and
        ``.pdf``, ``activation.png``, ``tensors.png``, for a file of a cell ``NAME.png``, for a field of it
        ``NAME-FIELD.png``. Or the name of a picture, PNG, PDF or SVG: it shows the fields, or what there is else, and
        ``NAME-probes``, ``NAME-activation`` beside it the rest. Default: the folder of the results.
    theme
        The ground: ``"light"`` or ``"dark"``.

    Returns
    -------
    tuple of Path
        The pictures.

    Raises
    ------
    FileError
        If there is no such folder or file, nothing in it that can be drawn, or no place for the pictures.
    InputError
        For a field that is not there, and a time outside of the series.

    Notes
    -----
    Not collective: one rank calls it.
    """
    found = _find(Path(folder))
    series = (*found.fields, *found.solved)
    names = list(dict.fromkeys([*(name for entry in series for name in entry.names), *found.curve_fields]))
    if field is not None:
        known = [*names, *found.leads, *(["activation"] if found.activation is not None else [])]
        check_choice("field", field, known)
    return _Drawing(found, field, time, _places(found.folder, out), theme).draw()


@dataclass(frozen=True, kw_only=True, slots=True)
class _Found:
    """What there is to draw."""

    folder: Path
    fields: tuple[Series, ...] = ()
    activation: Series | None = None
    curves: Curves | None = None
    leads: Mapping[str, LeadTable] = field(default_factory=dict)
    tensors: tuple[Tensor, ...] = ()
    solved: tuple[Series, ...] = ()
    cells: tuple[Path, ...] = ()

    @property
    def curve_fields(self) -> list[str]:
        return [] if self.curves is None else [curve.field for curve in self.curves.curves]

    @property
    def something(self) -> bool:
        """Whether there is anything."""
        drawn = self.fields or self.activation or self.curve_fields or self.leads
        return bool(drawn or self.tensors or self.solved or self.cells)


def _find(place: Path) -> _Found:
    if place.is_file():
        return _of_file(place)
    from homfem.output.lead_pictures import read_leads
    from homfem.output.run_files import is_series, read_curves, read_series, read_tensor

    if not place.is_dir():
        raise FileError("FOLDER", str(place), "a folder or a file that exists")
    runs = set(place.glob("fields*.xdmf"))
    activation, table = place / "activation.xdmf", place / "probes.csv"
    series = [read_series(path) for path in sorted(runs, key=lambda path: (path.stem != "fields", path.stem))]
    series += [read_series(path) for path in sorted({*place.glob("*.xdmf")} - runs - {activation}) if is_series(path)]
    found = _Found(
        folder=place,
        fields=tuple(entry for entry in series if entry.path in runs and not entry.of_cell),
        activation=read_series(activation) if activation.is_file() else None,
        curves=read_curves(table) if table.is_file() else None,
        leads={name: read_leads(place / f"{name}.csv") for name in LEADS if (place / f"{name}.csv").is_file()},
        tensors=tuple(filter(None, map(read_tensor, sorted(place.glob("*.json"))))),
        solved=tuple(entry for entry in series if entry.of_cell),
        cells=tuple(path for path in sorted([*place.glob("*.msh"), *place.glob("*.xdmf")]) if _is_cell(path)),
    )
    if not found.something:
        remedy = ""
        if any(place.glob("*.bp")):
            remedy = (
                'It has fields for ADIOS2 alone: run with format = "xdmf" in [macro.output], or --fields NAME.xdmf.'
            )
        raise FileError(
            "FOLDER",
            str(place),
            "the folder of a run, with fields.xdmf, probes.csv, ecg.csv or tensors in JSON, or one of cells",
            remedy,
        )
    return found


def _of_file(path: Path) -> _Found:
    """Return what one file holds, or refuse it."""
    from homfem.output.lead_pictures import read_leads
    from homfem.output.run_files import is_series, read_curves, read_series, read_tensor

    if _is_cell(path):
        return _Found(folder=path.parent, cells=(path,))
    suffix = path.suffix.lower()
    if suffix == ".csv":
        try:
            return _Found(folder=path.parent, leads={path.stem: read_leads(path)})
        except FileError:
            return _Found(folder=path.parent, curves=read_curves(path))
    if suffix == ".json" and (tensor := read_tensor(path)) is not None:
        return _Found(folder=path.parent, tensors=(tensor,))
    if suffix == ".xdmf" and is_series(path):
        series = read_series(path)
        if path.stem == "activation":
            return _Found(folder=path.parent, activation=series)
        return _Found(folder=path.parent, fields=() if series.of_cell else (series,), solved=(series,) * series.of_cell)
    allowed = (
        "a series of fields (.xdmf), a table of probes (.csv) or a tensor (.json) that homfem wrote, or a cell (.msh, "
        ".xdmf) with its .json beside it"
    )
    remedies = {
        ".toml": "This is a config: homfem effective, cell or run take it.",
        ".msh": "homfem cell CONFIG --figure draws the mesh of a config, homfem cell --check looks at any.",
        ".json": "Of a cell, homfem cell CONFIG --save NAME.xdmf keeps what can be drawn.",
        ".bp": "ParaView opens it; with --fields NAME.xdmf it can be drawn here.",
    }
    raise FileError("FOLDER", str(path), allowed, remedies.get(suffix, ""))


def _is_cell(path: Path) -> bool:
    """Tell whether a file is a cell that was saved: what its format cannot hold lies beside it."""
    from homfem.meshing.files.saved import SUFFIXES, beside

    return path.suffix in SUFFIXES and path.is_file() and beside(path).is_file()


@dataclass(frozen=True, kw_only=True, slots=True)
class _Places:
    """Where pictures go: into a folder, or all beside one that is named."""

    folder: Path
    named: Path | None
    taken: list[Path]

    def of(self, name: str, suffixes: tuple[str, ...] = (".png",)) -> list[Path]:
        """Return the files of a picture."""
        if self.named is None:
            return [self.folder / f"{name}{suffix}" for suffix in suffixes]
        return [self.named.with_stem(f"{self.named.stem}-{name}") if self.taken else self.named]


def _places(folder: Path, out: str | Path | None) -> _Places:
    target = folder if out is None else Path(out)
    if out is not None and target.suffix.lower() in _FORMATS and not target.is_dir():
        if not target.parent.is_dir():
            raise FileError("out", str(out), "in a folder that exists", "Make the folder first.")
        return _Places(folder=target.parent, named=target, taken=[])
    try:
        target.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        allowed = "a folder, or the name of a picture that ends in .png, .pdf or .svg"
        raise FileError("out", str(out), allowed, f"{error.strerror}.") from error
    return _Places(folder=target, named=None, taken=[])


@dataclass(frozen=True, slots=True)
class _Drawing:
    found: _Found
    field: str | None
    time: str | float | None
    places: _Places
    theme: str

    def draw(self) -> tuple[Path, ...]:
        for series in self.found.fields:
            self._fields(series)
        self._curves()
        self._leads()
        self._activation()
        self._tensors()
        for series in self.found.solved:
            self._solved(series)
        for path in self.found.cells if self.field is None else ():
            self._cell(path)
        return tuple(self.places.taken)

    def _fields(self, series: Series) -> None:
        from homfem.output.run_pictures import draw_snapshot

        names = [name for name in series.names if self.field in (None, name)]
        if names:
            snapshot = series.at(_nearest(series, self.time))
            for path in self.places.of(series.path.stem):
                with writing(path):
                    draw_snapshot(series, snapshot, names, path, theme=self.theme)
                self.places.taken.append(path)

    def _curves(self) -> None:
        from homfem.output.run_pictures import draw_curves

        if self.found.curves is None:
            return
        chosen = tuple(curve for curve in self.found.curves.curves if self.field in (None, curve.field))
        for path in self.places.of("probes", (".png", ".pdf")) if chosen else ():
            with writing(path):
                draw_curves(replace(self.found.curves, curves=chosen), path, theme=self.theme)
            self.places.taken.append(path)

    def _leads(self) -> None:
        from homfem.output.lead_pictures import draw_leads

        for name, table in self.found.leads.items():
            for path in self.places.of(name, (".png", ".pdf")) if self.field in (None, name) else ():
                with writing(path):
                    draw_leads(table, path, theme=self.theme)
                self.places.taken.append(path)

    def _activation(self) -> None:
        from homfem.output.run_pictures import draw_activation

        if self.found.activation is None or self.field not in (None, "activation"):
            return
        for path in self.places.of("activation"):
            with writing(path):
                drawn = draw_activation(self.found.activation, path, theme=self.theme)
            if drawn:
                self.places.taken.append(path)

    def _tensors(self) -> None:
        from homfem.output.run_pictures import draw_tensors

        for path in self.places.of("tensors") if self.found.tensors and self.field is None else ():
            with writing(path):
                draw_tensors(self.found.tensors, path, theme=self.theme)
            self.places.taken.append(path)

    def _solved(self, series: Series) -> None:
        from homfem.output.run_pictures import draw_solved_cell
        from homfem.output.xdmf import plain

        cell = series.cell()
        for name, label in zip(series.names, cell.fields, strict=True):
            if self.field in (None, name):
                for path in self.places.of(f"{series.path.stem}-{plain(name)}"):
                    with writing(path):
                        draw_solved_cell(cell, label, path, title=series.path.stem, theme=self.theme)
                    self.places.taken.append(path)

    def _cell(self, file: Path) -> None:
        from mpi4py import MPI

        from homfem.cells.files import load_cell
        from homfem.output.cell_figures import draw_unit_cell

        cell = load_cell(file, comm=MPI.COMM_SELF)
        for path in self.places.of(file.stem):
            if path not in self.places.taken:  # the same cell in two formats
                with writing(path):
                    draw_unit_cell(cell, str(path), theme=self.theme)
                self.places.taken.append(path)


def _nearest(series: Series, time: str | float | None) -> int:
    """Return the number of the output nearest to a time."""
    if time is None:
        return len(series.times) - 1
    wanted = _in_unit(series, time)
    first, last, slack = series.times[0], series.times[-1], 1e-9 * max(abs(entry) for entry in (1e-300, *series.times))
    if not first - slack <= wanted <= last + slack:
        unit = f" {series.time_unit}".rstrip()
        raise InputError("time", time, f"from {first:g} to {last:g}{unit}, the times of the outputs")
    return int(np.argmin(np.abs(np.array(series.times) - wanted)))


def _in_unit(series: Series, time: str | float) -> float:
    try:
        number = float(time)
    except ValueError:
        if not series.time_unit:
            raise InputError("time", time, "a number: the times of this series have no unit") from None
        return parse_quantity("time", time, TIME).to(series.time_unit)
    return check_number("time", number)
