"""The table ``[macro.tensors]`` of the cardiac model: conductivities along and across fibres, measured or computed."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

from pydantic import model_validator

from homfem.config.cells import CellTable
from homfem.config.effective import EffectiveTable
from homfem.config.models.macro_table import SOURCES, ComputedTensor, TensorSource, parse_source
from homfem.config.table import Check, Missing, Table, choice, parse_table, quantity, renamed
from homfem.kinds import CONDUCTIVITY
from homfem.parameters import InputError
from homfem.quantities import CONDUCTIVITY as SIEMENS
from homfem.quantities import SPEED, Quantity, parse_quantity

if TYPE_CHECKING:
    import numpy as np

Positive = Annotated[Quantity, quantity(SIEMENS, above=0.0)]


class AlongFibres(Table):
    """Conductivities along and across the fibres."""

    longitudinal: Positive
    """Along the fibres."""
    transverse: Positive
    """Across the fibres; in the sheets, where there is a normal one."""
    normal: Positive | None = None
    """Across the sheets."""

    @property
    def anisotropic(self) -> bool:
        """Whether it matters where the fibres are."""
        return len({entry.to("S/m") for entry in (self.longitudinal, self.transverse, self.normal) if entry}) > 1

    def matrix(self, dimension: int) -> np.ndarray:
        """Return the tensor in the axes of fibre, sheet, normal; mS/mm."""
        import numpy as np

        across = self.transverse.to("mS/mm")
        third = across if self.normal is None else self.normal.to("mS/mm")
        return np.diag([self.longitudinal.to("mS/mm"), across, third][:dimension])


class FourNumbers(Table):
    """Conductivities of both spaces, intra- and extracellular (i, e), along and across the fibres (l, t)."""

    g_il: Positive
    g_it: Positive
    g_el: Positive
    g_et: Positive

    def pair(self) -> tuple[AlongFibres, AlongFibres]:
        """Return those of the intracellular and of the extracellular space."""
        return (
            AlongFibres.model_construct(longitudinal=self.g_il, transverse=self.g_it),
            AlongFibres.model_construct(longitudinal=self.g_el, transverse=self.g_et),
        )


def _set(*numbers: float) -> FourNumbers:
    """Return a set of conductivities in S/m: il, it, el, et."""
    g_il, g_it, g_el, g_et = (Quantity(number, "S/m") for number in numbers)
    return FourNumbers.model_construct(g_il=g_il, g_it=g_it, g_el=g_el, g_et=g_et)


#: Published sets of conductivities: of Niederer et al. 2011 (doi 10.1098/rsta.2011.0139), which are Clerc's of 1976, of
#: Roberts and Scher 1982 (in Roth 1997, doi 10.1109/10.650887), under the name that other codes have for them, and of
#: Potse et al. 2006 (doi 10.1109/TBME.2006.880875).
PRESETS: Mapping[str, FourNumbers] = {
    "Niederer": _set(0.17, 0.019, 0.62, 0.24),
    "Bishop": _set(0.34, 0.06, 0.12, 0.08),
    "Potse": _set(0.3, 0.03, 0.3, 0.12),
}
#: What others call the four numbers.
_SIGMAS = {f"sigma_{end}": f"g_{end}" for end in ("il", "it", "el", "et")}


class PresetTable(Table):
    """A published set of conductivities."""

    preset: Annotated[str, choice(*PRESETS)]


Entry = AlongFibres | TensorSource | Quantity
Sources = Entry | dict[str, Entry]


def _entry(value: Any) -> Entry:
    if isinstance(value, str) and Path(value).suffix != ".json":
        return parse_quantity("", value, SIEMENS, above=0.0)
    if isinstance(value, dict) and not any(key in value for key in (*SOURCES, "volume_fraction")):
        return parse_table(AlongFibres, value, "")
    return parse_source(value, kind=CONDUCTIVITY)


def _is_entry(value: Any) -> bool:
    keys = {*SOURCES, "volume_fraction", *AlongFibres.model_fields}
    return not isinstance(value, dict) or not value or any(key in keys for key in value)


def _tensor(value: Any) -> Sources:
    if _is_entry(value) or not all(isinstance(entry, (dict, str)) for entry in value.values()):
        return _entry(value)
    if not any(isinstance(entry, dict) or str(entry).endswith(".json") for entry in value.values()):
        _entry_or_regions(value)
    found = {}
    for region, entry in value.items():
        try:
            found[str(region)] = _entry(entry)
        except InputError as error:
            raise renamed(error, f"{region}.{error.name}".rstrip(".")) from error
    return found


def _entry_or_regions(value: dict[str, Any]) -> None:
    """Refuse a table whose keys are neither axes nor regions: a slip in one of the names of the axes."""
    from homfem.parameters import nearest_name

    for key in value:
        if nearest_name(key, list(AlongFibres.model_fields)):
            parse_table(AlongFibres, value, "")


def _conductivity(value: Any) -> Sources | FourNumbers:
    if isinstance(value, dict) and "preset" in value:
        return PRESETS[parse_table(PresetTable, value, "").preset]
    if isinstance(value, dict) and any(key in _SIGMAS for key in value):
        try:
            return parse_table(FourNumbers, {_SIGMAS.get(key, key): entry for key, entry in value.items()}, "")
        except InputError as error:
            raise renamed(error, error.name.replace("g_", "sigma_", 1)) from error
    if isinstance(value, dict) and any(key in FourNumbers.model_fields for key in value):
        return parse_table(FourNumbers, value, "")
    return _tensor(value)


def _bath(value: Any) -> dict[str, Any]:
    if isinstance(value, dict) and value:
        return {str(region): parse_quantity(str(region), entry, SIEMENS, above=0.0) for region, entry in value.items()}
    return {"bath": parse_quantity("", value, SIEMENS, above=0.0)}


_SAYS = (
    'a conductivity, such as "0.2 S/m", a table with `longitudinal`, `transverse` and `normal`, the path of a JSON '
    "file, a table with `file`, `value` or `phase`; or one for each region"
)


Speed = Annotated[Quantity, quantity(SPEED, above=0.0)]


class VelocityTable(Table):
    """Conduction velocities that conductivities are tuned to, on this mesh, with this step and membrane."""

    longitudinal: Speed
    """Along the fibres."""
    transverse: Speed | None = None
    """Across the fibres; in the sheets, where there is a normal one."""
    normal: Speed | None = None
    """Across the sheets."""


class TensorsTable(Table):
    """``[macro.tensors]``: effective conductivities, per total volume; along fibres, sheets and normals."""

    intracellular: Annotated[Any, Check(_tensor, says=_SAYS)] | None = None
    """Of the intracellular space."""
    extracellular: Annotated[Any, Check(_tensor, says=_SAYS)] | None = None
    """Of the extracellular space."""
    conductivity: (
        Annotated[
            Any,
            Check(_conductivity, says=f"{_SAYS}; `preset`, or `g_il`, `g_it`, `g_el`, `g_et`, which give both spaces"),
        ]
        | None
    ) = None
    """Of a monodomain, in place of the two."""
    bath: Annotated[Any, Check(_bath, says='a conductivity, such as "1 S/m", or one for each region of the bath')] | (
        None
    ) = None
    """Of the bath: the region `bath`, or others by their names."""

    velocity: VelocityTable | None = None
    """Conduction velocities, such as `{ longitudinal = "0.6 m/s", transverse = "0.3 m/s" }`: conductivities, in each
    direction both by one factor, become those that give them on this mesh; a monodomain needs no others."""

    def wanted(self, dimension: int) -> dict[str, Quantity]:
        """Return the velocities by direction, of those that the dimension has."""
        if self.velocity is None:
            return {}
        given = {name: getattr(self.velocity, name) for name in ("longitudinal", "transverse", "normal")[:dimension]}
        return {name: speed for name, speed in given.items() if speed is not None}

    @property
    def spaces(self) -> dict[str, Sources]:
        """The sources by the names of the arguments that they become."""
        if isinstance(self.conductivity, FourNumbers):
            return dict(zip(("intracellular", "extracellular"), self.conductivity.pair(), strict=True))
        names = ("intracellular", "extracellular", "conductivity")
        return {name: getattr(self, name) for name in names if getattr(self, name) is not None}

    @property
    def anisotropic(self) -> bool:
        """Whether a tensor is known to differ along and across the fibres."""
        if self.velocity is not None and len(self.wanted(3)) > 1:
            return True
        return any(isinstance(entry, AlongFibres) and entry.anisotropic for _, entry in entries_of(self))

    @model_validator(mode="after")
    def _once(self) -> TensorsTable:
        both = [name for name in ("intracellular", "extracellular") if getattr(self, name) is not None]
        if self.conductivity is not None and both:
            raise InputError(both[0], "given", "absent beside conductivity")
        return self

    def check(self, kind: str) -> None:
        """Refuse what a kind of model does not have, or lacks."""
        spaces = self.spaces
        if kind != "monodomain" and "conductivity" in spaces:
            raise InputError("tensors.conductivity", "given", f"absent in a {kind}",
                             "Give intracellular and extracellular, or a preset.")  # fmt: skip
        if self.velocity is not None and kind == "monodomain" and not spaces:
            return
        if "conductivity" not in spaces:
            for name in ("intracellular", "extracellular"):
                if name not in spaces:
                    other = ", or conductivity" if kind == "monodomain" else ""
                    raise InputError(f"tensors.{name}", Missing(), f"given{other}")
        if (kind == "bath") != (self.bath is not None):
            given = Missing() if self.bath is None else "given"
            allowed = "given: its conductivity" if kind == "bath" else "absent without kind = 'bath'"
            raise InputError("tensors.bath", given, allowed)


def entries_of(tensors: TensorsTable) -> Iterator[tuple[str, Entry]]:
    """Yield every tensor with the path of its key below ``[macro.tensors]``."""
    for name, source in tensors.spaces.items():
        for region, entry in source.items() if isinstance(source, dict) else [("", source)]:
            yield f"{name}.{region}" if region else name, entry


def sources_in(tensors: TensorsTable) -> Iterator[tuple[str, TensorSource]]:
    """Yield the tensors that are read, measured as a whole, or computed."""
    for path, entry in entries_of(tensors):
        if not isinstance(entry, (AlongFibres, Quantity)):
            yield path, entry


def check_computed(tensors: TensorsTable, cell: CellTable | None, effective: EffectiveTable | None) -> bool:
    """Refuse tensors that cannot be computed from the other tables; return whether one comes with its cell or file."""
    found = False
    for path, entry in sources_in(tensors):
        found = found or "value" not in type(entry).model_fields
        if isinstance(entry, ComputedTensor):
            entry.check(f"macro.tensors.{path}", cell, effective, CONDUCTIVITY)
    return found
