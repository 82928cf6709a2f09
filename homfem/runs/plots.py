"""Pictures of a run from the files in its folder, also while it goes on."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from homfem.disk import writing
from homfem.parameters import FileError, InputError, check_choice, check_number
from homfem.quantities import TIME, parse_quantity

if TYPE_CHECKING:
    from homfem.output.run_files import Curves, Series, Tensor

_FORMATS = (".png", ".pdf", ".svg")


def plot(
    folder: str | Path,
    *,
    field: str | None = None,
    time: str | float | None = None,
    out: str | Path | None = None,
    theme: str = "light",
) -> tuple[Path, ...]:
    """Draw what lies in a folder: probes over time, fields at one time, the map of activation times, tensors.

    Parameters
    ----------
    folder
        The folder of a macroscale run that has ended or goes on, or one with effective tensors in JSON.
    field
        Draw this field alone. Default: all.
    time
        Draw the fields at the output nearest to it: a number in the unit of the series, or a time with its unit.
        Default: the last.
    out
        A folder for the pictures, made if it is not there: ``fields.png``, ``probes.png`` and ``.pdf``,
        ``activation.png``, ``tensors.png``. Or the name of a picture, PNG, PDF or SVG: it shows the fields, or what
        there is else, and ``NAME-probes``, ``NAME-activation`` beside it the rest. Default: the folder of the run.
    theme
        The ground: ``"light"`` or ``"dark"``.

    Returns
    -------
    tuple of Path
        The pictures.

    Raises
    ------
    FileError
        If there is no such folder, nothing of a run in it that can be drawn, or no place for the pictures.
    InputError
        For a field that is not there, and a time outside of the series.

    Notes
    -----
    Not collective: one rank calls it.
    """
    found = _find(Path(folder))
    names = list(dict.fromkeys([*(name for entry in found.fields for name in entry.names), *found.curve_fields]))
    if field is not None:
        known = [*names, *(["activation"] if found.activation is not None else [])]
        check_choice("field", field, known)
    return _Drawing(found, field, time, _places(found.folder, out), theme).draw()


@dataclass(frozen=True, kw_only=True, slots=True)
class _Found:
    """What there is to draw in a folder."""

    folder: Path
    fields: tuple[Series, ...]
    activation: Series | None
    curves: Curves | None
    tensors: tuple[Tensor, ...]

    @property
    def curve_fields(self) -> list[str]:
        return [] if self.curves is None else [curve.field for curve in self.curves.curves]


def _find(folder: Path) -> _Found:
    from homfem.output.run_files import read_curves, read_series, read_tensor

    if not folder.is_dir():
        raise FileError("FOLDER", str(folder), "a folder, that of a run" + ", not a file" * folder.exists())
    series = sorted(folder.glob("fields*.xdmf"), key=lambda path: (path.stem != "fields", path.stem))
    activation, table = folder / "activation.xdmf", folder / "probes.csv"
    found = _Found(
        folder=folder,
        fields=tuple(read_series(path) for path in series),
        activation=read_series(activation) if activation.is_file() else None,
        curves=read_curves(table) if table.is_file() else None,
        tensors=tuple(filter(None, map(read_tensor, sorted(folder.glob("*.json"))))),
    )
    if not (found.fields or found.activation or found.curve_fields or found.tensors):
        remedy = ""
        if any(folder.glob("fields*.bp")):
            remedy = 'It has fields for ADIOS2 alone: run with format = "xdmf" in [macro.output].'
        raise FileError(
            "FOLDER", str(folder), "the folder of a run, with fields.xdmf, probes.csv or tensors in JSON", remedy
        )
    return found


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
        self._activation()
        self._tensors()
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
