"""What every table ``[macro]`` has, and where tensors come from: a file, a measurement, or the cell of the config."""

from __future__ import annotations

import functools
from abc import abstractmethod
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, ClassVar, Self

from pydantic import PlainValidator, create_model

from homfem.config.cells import CellTable
from homfem.config.effective import EffectiveTable
from homfem.config.models.probes import ProbeTable, parse_probes
from homfem.config.physics.coefficients import Coefficient, parse_coefficient
from homfem.config.physics.elasticity import SolidPhase, parse_solid
from homfem.config.table import (
    Check,
    Missing,
    Table,
    join,
    keys_from,
    number,
    parse_table,
    refuse_unknown,
    require_file,
    text,
)
from homfem.kinds import PHYSICS, TensorKind, TensorKinds, kind_of
from homfem.parameters import InputError, nearest_name
from homfem.quantities import DIFFUSIVITY

if TYPE_CHECKING:
    from homfem.tensors import EffectiveTensor


class MacroTable(Table):
    """What every macroscale model has."""

    #: The function that runs it, ``"package.module:function"``, called with the config, the table, the communicator,
    #: and ``resume``, ``drawn``; it returns a :class:`homfem.runs.MacroRun`.
    runner: ClassVar[str]

    #: What a template gives (:mod:`homfem.config.templates`): the keys that are required, with those of the tables that
    #: this one is made from.
    example: ClassVar[Mapping[str, Any]] = {}
    #: The table ``[cell]`` of the template; None: without.
    example_cell: ClassVar[Mapping[str, Any] | None] = None

    model: str
    probes: Annotated[tuple[ProbeTable, ...], Check(parse_probes, says="a list of tables")] = ()
    """Points and regions of which the fields are kept over time."""

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

    def tensor(self, taken: Taken) -> EffectiveTensor:
        """Return the tensor; a file that is none of one is refused under the key ``file``, with what is wrong in it."""
        from homfem.materials import read_tensor

        return read_tensor("file", self.file, taken.folder)


Fraction = Annotated[float, number(above=0.0, at_most=1.0)]


class MeasuredTensor(Table):
    """An effective tensor that was measured: a number or a matrix, averaged over the whole tissue."""

    kind: ClassVar[TensorKind]
    value: Any
    volume_fraction: Fraction

    def tensor(self, taken: Taken) -> EffectiveTensor:
        """Return the tensor of the named phase, in the unit of the model."""
        from homfem.tensors import EffectiveTensor

        physics = next(physics for physics, kind in PHYSICS.items() if kind == self.kind)
        with keys_from({taken.phase: "value"}):
            return EffectiveTensor.measured(
                taken.phase,
                self.value.to(taken.unit),
                volume_fraction=self.volume_fraction,
                unit=taken.unit,
                dimension=taken.dimension,
                physics=physics,
            )


def is_measured(source: Any) -> bool:
    """Whether a tensor is a value that is given."""
    return isinstance(source, MeasuredTensor)


@functools.cache
def measured(kind: TensorKind) -> type[MeasuredTensor]:
    """Return the table of a measured tensor of a kind that has a unit: its value is a quantity of that kind.

    What diffuses fills a part of the tissue, and an equation for its concentration needs to know which; the other kinds
    need not say it.
    """
    quantity = kind.quantity
    if quantity is None:
        raise InputError("kind", kind.name, "a kind with a unit")

    def value(given: Any) -> Coefficient | SolidPhase:
        return parse_solid(given) if kind.voigt else parse_coefficient(given, quantity)

    fields: dict[str, Any] = {"value": (Annotated[Any, PlainValidator(value)], ...)}
    if kind.quantity != DIFFUSIVITY:
        fields["volume_fraction"] = (Fraction, 1.0)
    made = create_model("MeasuredTensor", __base__=MeasuredTensor, **fields)
    made.kind = kind
    return made


class ComputedTensor(Table):
    """The effective tensor of one phase of the config's cell, the others insulating."""

    phase: Annotated[str, text("the name of a phase of the cell")]

    def tensor(self, taken: Taken) -> EffectiveTensor:
        """Return the tensor; collective."""
        return taken.compute(self.phase)

    def check(self, path: str, cell: CellTable | None, effective: EffectiveTable | None, kind: TensorKinds) -> None:
        """Refuse a phase that is not to be computed, and a physics that gives no tensor of the kind."""
        if cell is None or effective is None:
            raise InputError(
                path, Missing(), "given, unless the config has [cell] and [effective] to compute it from",
                "Give { file = ... } or { value = ..., volume_fraction = ... }.",
            )  # fmt: skip
        if effective.meshless:
            raise InputError("effective.method", getattr(effective, "method", ""), "'finite-element' for [macro]")
        kinds = (kind,) if isinstance(kind, TensorKind) else tuple(kind)
        if kind_of(effective.physics) not in kinds:
            fitting = " or ".join(repr(physics) for physics, own in PHYSICS.items() if own in kinds)
            raise InputError("effective.physics", effective.physics, f"{fitting} for [macro]")
        known = list(effective.phase_names)
        if self.phase not in known:
            near = nearest_name(self.phase, known)
            raise InputError(path, self.phase, "a phase of [effective.phases]: " + ", ".join(known), near)


TensorSource = FileTensor | MeasuredTensor | ComputedTensor

SOURCES: Mapping[str, type[TensorSource]] = {"file": FileTensor, "value": MeasuredTensor, "phase": ComputedTensor}
"""Where a tensor comes from, by the key that says so."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Taken:
    """How a model takes a tensor.

    Parameters
    ----------
    phase
        The phase that it is of, or what the model calls it.
    kind, unit, dimension
        What :func:`homfem.materials.required_tensor` asks of it.
    folder
        From which files are sought.
    compute
        Returns the tensor of a phase of the config's cell; collective.
    """

    phase: str
    kind: TensorKinds
    unit: str
    dimension: int
    folder: Path
    compute: Callable[[str], EffectiveTensor]


def take_tensor(source: TensorSource, taken: Taken) -> EffectiveTensor:
    """Return the tensor of a source as a model takes it; collective where it is computed.

    Raises
    ------
    InputError
        Under the key of the source, with an empty name for the source itself.
    """
    from homfem.materials import required_tensor

    return required_tensor("", source.tensor(taken), taken.kind, unit=taken.unit, dimension=taken.dimension)


def source_of(kind: TensorKind) -> Check:
    """Return the validator of a source of tensors of a kind."""
    says = "the path of a JSON file, or a table with `file`, `value` and `volume_fraction`, or `phase`"
    keys = {"file": {"type": "string"}, "value": {}, "volume_fraction": {"type": "number"}, "phase": {"type": "string"}}
    schema = {"type": ["string", "object"], "properties": keys, "additionalProperties": False}
    return Check(lambda value: parse_source(value, kind=kind), says=says, schema=schema)


def parse_source(value: Any, path: str = "", *, kind: TensorKind) -> TensorSource:
    """Return where a tensor of a kind comes from; a string is the path of a JSON file."""
    if isinstance(value, str):
        if Path(value).suffix != ".json":
            example = "" if kind.quantity is None else kind.quantity.example
            allowed = f'a JSON file, {{ value = "{example}", volume_fraction = 0.8 }} or {{ phase = "er" }}'
            raise InputError(path, value, allowed)
        return FileTensor(file=value)
    if not isinstance(value, dict):
        raise InputError(path, value, "a table with one of the keys " + ", ".join(SOURCES))
    given = [key for key in SOURCES if key in value]
    if len(given) != 1:
        refuse_unknown(path, value, [*SOURCES, "volume_fraction"])
        raise InputError(path, value, "a table with exactly one of the keys " + ", ".join(SOURCES))
    model = SOURCES[given[0]]
    return parse_table(measured(kind) if model is MeasuredTensor else model, value, path)


def check_source(path: str, source: TensorSource, folder: Path) -> None:
    """Refuse a tensor's file that is missing."""
    if isinstance(source, FileTensor):
        require_file(join(path, "file"), source.file, folder)
