"""What every table ``[macro]`` has, and where tensors come from: a file, a measurement, or the cell of the config."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, ClassVar, Self

from pydantic import PlainValidator

from homfem.config.cells import CellTable
from homfem.config.effective import Coefficient, EffectiveTable, parse_coefficient
from homfem.config.table import Missing, Table, join, number, parse_table, refuse_unknown, require_file, sentence, text
from homfem.parameters import InputError, nearest_name
from homfem.quantities import DIFFUSIVITY

if TYPE_CHECKING:
    from homfem.tensors import EffectiveTensor


class MacroTable(Table):
    """What every macroscale model has."""

    #: The function that runs it, ``"package.module:function"``, called with the config, the table, the communicator,
    #: and ``resume``, ``drawn``; it returns a :class:`homfem.runs.MacroRun`.
    runner: ClassVar[str]

    model: str

    @classmethod
    @abstractmethod
    def parse(cls, value: Any, folder: Path, path: str) -> Self:
        """Return the validated table; files are sought from ``folder``."""

    @abstractmethod
    def check(self, cell: CellTable | None, effective: EffectiveTable | None) -> None:
        """Refuse what does not fit the other tables of the config."""

    def written(self, folder: Path) -> list[Path]:
        """Return the files that the run writes, beside those of the command's options."""
        return []


class FileTensor(Table):
    """An effective tensor that ``homfem effective --json`` wrote."""

    file: Annotated[str, text("the path of a JSON file")]

    def load(self, folder: Path) -> EffectiveTensor:
        """Return the tensor.

        Raises
        ------
        FileError
            If the file is none of an effective tensor: under the key ``file``, with what is wrong in it.
        """
        from homfem.materials import read_tensor

        return read_tensor("file", self.file, folder)


class MeasuredTensor(Table):
    """An effective tensor that was measured: a number or a matrix, averaged over the whole tissue."""

    value: Annotated[Coefficient, PlainValidator(lambda value: parse_coefficient(value, DIFFUSIVITY))]
    volume_fraction: Annotated[float, number(above=0.0, at_most=1.0)]

    def make(self, name: str, dimension: int) -> EffectiveTensor:
        """Return the tensor of the named phase in um^2/s."""
        from homfem.tensors import EffectiveTensor

        value = self.value.to("um^2/s")
        return EffectiveTensor.measured(
            name, value, volume_fraction=self.volume_fraction, unit="um^2/s", dimension=dimension
        )


class ComputedTensor(Table):
    """The effective tensor of one phase of the config's cell, the others insulating."""

    phase: Annotated[str, text("the name of a phase of the cell")]

    def check(self, path: str, cell: CellTable | None, effective: EffectiveTable | None) -> None:
        """Refuse a phase that is not to be computed."""
        if cell is None or effective is None:
            raise InputError(
                path, Missing(), "given, unless the config has [cell] and [effective] to compute it from",
                "Give { file = ... } or { value = ..., volume_fraction = ... }.",
            )  # fmt: skip
        if effective.meshless:
            raise InputError("effective.method", getattr(effective, "method", ""), "'finite-element' for [macro]")
        if effective.physics != "diffusion":
            raise InputError("effective.physics", effective.physics, "'diffusion' for [macro]")
        known = list(effective.phase_names)
        if self.phase not in known:
            near = nearest_name(self.phase, known)
            raise InputError(path, self.phase, "a phase of [effective.phases]: " + ", ".join(known), sentence(near))


TensorSource = FileTensor | MeasuredTensor | ComputedTensor

SOURCES: Mapping[str, type[TensorSource]] = {"file": FileTensor, "value": MeasuredTensor, "phase": ComputedTensor}
"""Where a tensor comes from, by the key that says so."""


def parse_source(value: Any, path: str = "") -> TensorSource:
    """Return where a tensor comes from; a string is the path of a JSON file."""
    if isinstance(value, str):
        if Path(value).suffix != ".json":
            allowed = 'a JSON file, { value = "20 um^2/s", volume_fraction = 0.8 } or { phase = "er" }'
            raise InputError(path, value, allowed)
        return FileTensor(file=value)
    if not isinstance(value, dict):
        raise InputError(path, value, "a table with one of the keys " + ", ".join(SOURCES))
    given = [key for key in SOURCES if key in value]
    if len(given) != 1:
        refuse_unknown(path, value, [*SOURCES, "volume_fraction"])
        raise InputError(path, value, "a table with exactly one of the keys " + ", ".join(SOURCES))
    return parse_table(SOURCES[given[0]], value, path)


def check_source(path: str, source: TensorSource, folder: Path) -> None:
    """Refuse a tensor's file that is missing."""
    if isinstance(source, FileTensor):
        require_file(join(path, "file"), source.file, folder)
