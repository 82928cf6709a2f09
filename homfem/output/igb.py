"""Fields over time as openCARP's viewers and tools read them: an IGB file, 1024 bytes of header, then 32-bit numbers.

Vertices are in the order of the arrays that made the mesh, that of the ``.pts`` file where it was read from one.
"""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np

from homfem.macro.observers import Observer
from homfem.macro.state import Model, Units
from homfem.parameters import Array, FileError, InputError, check_choice
from homfem.ranks import collective
from homfem.solve import input_vertices
from homfem.step_control import Interval, dues_before

HEADER = 1024


class IgbSeries(Observer):
    """Writes a field of the model to ``NAME.igb`` at the start and every so many steps; gathered on rank 0.

    Parameters
    ----------
    path
        The file, which is whole after each time; a run that goes on takes away what is later than its checkpoint.
    field
        Name of a field that the model shows, of a scalar space of degree 1.
    every
        Steps from one time to the next; an end of the grid that is not one of these is not written.
    name
        For several of them in one run.

    Raises
    ------
    InputError
        At the start of the march: for a field that there is not, or of another space.
    FileError
        For another suffix, and where a run goes on but its file has not the times so far.
    """

    def __init__(self, path: Path | str, field: str = "V", *, every: int | Interval = 1, name: str = "igb") -> None:
        super().__init__(name, every=every)
        self.path, self.field = Path(path), field
        if self.path.suffix != ".igb":
            raise FileError("path", str(path), "a name that ends in .igb")

    def begin(self, model: Model, time: float) -> None:
        """Find the order of the vertices; collective."""
        self.comm, self.start, self._frames = model.comm, time, -1
        shown = model.fields()
        self._space = shown[check_choice("field", self.field, list(shown))].function_space
        keys, _ = input_vertices(self._space)
        everyones = self.comm.gather(keys)
        if everyones is not None:
            whole = np.concatenate(everyones)
            self._order = np.argsort(whole)
            if not np.array_equal(whole[self._order], np.arange(len(whole))):
                raise InputError("field", self.field, "on a mesh of which every vertex is in some cell")

    def shows(self, step: int, time: float, bound: bool) -> bool:
        """Tell whether it is one of the times, at equal distances."""
        return self.due(step, time)

    def write(self, model: Model, step: int, time: float) -> None:
        """Begin the file, or cut it at the first call; collective."""
        if self._frames >= 0:
            return
        self._frames = dues_before(self.every, step, time - self.origin)
        with collective(self.comm):
            if self.comm.rank == 0:
                if not self._frames:
                    self.path.write_bytes(bytes(HEADER))
                size = HEADER + 4 * len(self._order) * self._frames
                if not self.path.is_file() or self.path.stat().st_size < size:
                    raise FileError(
                        "path", str(self.path), f"the file of the run that goes on, of {size} bytes or more"
                    )
                os.truncate(self.path, size)

    def show(self, model: Model, step: int, time: float) -> None:
        """Add the field of a time; errors on every rank. Collective."""
        values = model.fields()[self.field].x.array[: self._space.dofmap.index_map.size_local]
        parts = self.comm.gather(values)
        self._frames += 1
        with collective(self.comm):
            if parts is not None:
                self._add(np.concatenate(parts)[self._order], time, model.units)

    def _add(self, values: Array, time: float, units: Units) -> None:
        words = {"x": len(values), "y": 1, "z": 1, "t": self._frames, "type": "float", "systeme": "little_endian"}
        words |= {"org_t": f"{self.start:g}", "dim_t": f"{time - self.start:.12g}"}
        if units.length:
            words |= {f"unites_{axis}": units.length for axis in "xyz"}
        words |= {"unites_t": units.time or "1", "unites": units.fields.get(self.field, "") or "1"}
        words |= {"facteur": 1, "zero": 0}
        with self.path.open("r+b") as file:
            file.seek(0, os.SEEK_END)
            file.write(values.astype("<f4").tobytes())
            file.seek(0)
            file.write(header(words))


def header(words: dict[str, object]) -> bytes:
    """Return the header of an IGB file: lines of ``word:value`` with 80 characters at the most, 1024 in all.

    Raises
    ------
    InputError
        If the words take more.
    """
    lines = [""]
    for word, value in words.items():
        entry = f"{word}:{str(value).replace(' ', '')}"
        if len(lines[-1]) + len(entry) + 1 > 78:
            lines.append("")
        lines[-1] = f"{lines[-1]} {entry}".strip()
    text = "".join(f"{line}\r\n" for line in lines)
    if len(text) > HEADER - 2 or not text.isascii():
        raise InputError("header", text, f"ASCII text of at most {HEADER - 2} characters")
    rest = HEADER - 2 - len(text)
    blank = "".join(" " * 78 + "\r\n" for _ in range(rest // 80))
    return (text + blank + " " * (rest % 80) + "\n\f").encode("ascii")
