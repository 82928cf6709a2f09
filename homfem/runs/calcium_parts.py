"""Regions, fluxes, sources and IP3 of a calcium problem from the tables of a config."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

from homfem.config import Config
from homfem.config.models.calcium import CalciumTable
from homfem.config.models.calcium_parts import FluxTable, RegionTable
from homfem.config.models.macro_table import Taken, take_tensor
from homfem.config.models.stimulus import stimulus_path
from homfem.kinds import DIFFUSION
from homfem.materials import interface_area
from homfem.runs.keys import keys_under
from homfem.runs.physics import with_known_area
from homfem.tensors import EffectiveTensor

if TYPE_CHECKING:
    from homfem.kinetics.calcium import Mechanism
    from homfem.macro.calcium import BoundaryFlux, Field, Messenger, Source
    from homfem.macro.domain import Domain

#: The name of what has no name among the regions of the domain.
TISSUE = "tissue"


def with_regions(domain: Domain, regions: Mapping[str, RegionTable]) -> Domain:
    """Return the domain with the regions of a config, and a name for the rest of it; collective."""
    for name in regions:
        with keys_under("macro"):
            domain.region(name, "regions")
    return domain.with_rest(TISSUE) if regions else domain


def tensors_by_region(
    config: Config,
    table: CalciumTable,
    domain: Domain,
    default: Callable[[str], EffectiveTensor],
    compute: Callable[[str], EffectiveTensor],
) -> dict[str, Any]:
    """Return ``cytosol``, ``er`` and ``interface_area`` of a problem, by region where regions differ; collective.

    Parameters
    ----------
    config, table, domain
        The config, its table ``[macro]``, and the domain with the regions.
    default
        Returns the tensor of a phase where regions have none of their own; asked for once each.
    compute
        Returns that of a phase of the config's cell.
    """
    given = table.tensors.interface_area
    if not table.regions:
        tensors = {name: default(name) for name in ("cytosol", "er")}
        with keys_under("macro.tensors"):
            area = _area(tensors, None if given is None else given.to("1/um"))
        return {**tensors, "interface_area": area}
    usual = [name for name in domain.regions if name not in table.regions]
    found: dict[str, dict[str, Any]] = {"cytosol": {}, "er": {}, "interface_area": {}}
    if usual:
        tensors = {name: default(name) for name in ("cytosol", "er")}
        with keys_under("macro.tensors"):
            area = _area(tensors, None if given is None else given.to("1/um"))
        for region in usual:
            _put(found, region, tensors, area)
    for region, entry in table.regions.items():
        if entry.diffusivity is not None and entry.barrier:
            continue
        if entry.diffusivity is not None:
            found["cytosol"][region] = entry.diffusivity.to("um^2/s")
            continue
        tensors = {}
        for name in ("cytosol", "er"):
            taken = Taken(
                phase=name, kind=DIFFUSION, unit="um^2/s", dimension=domain.dimension, folder=config.folder,
                compute=compute,
            )  # fmt: skip
            with keys_under(f"macro.regions.{region}.{name}"):
                tensors[name] = take_tensor(getattr(entry, name), taken)
        own = None if entry.interface_area is None else entry.interface_area.to("1/um")
        with keys_under(f"macro.regions.{region}"):
            _put(found, region, tensors, _area(tensors, own))
    if not found["er"]:
        from homfem.parameters import InputError

        raise InputError("macro.regions", sorted(table.regions), "such that some region has ER")
    return found


def _put(found: dict[str, dict[str, Any]], region: str, tensors: Mapping[str, EffectiveTensor], area: float) -> None:
    for name, tensor in tensors.items():
        found[name][region] = tensor
    found["interface_area"][region] = area


def _area(tensors: Mapping[str, EffectiveTensor], given: float | None) -> float:
    """Return the membrane area per volume in 1/um: the config's, or that of the tensors, which must agree."""
    return given or interface_area("interface_area", map(with_known_area, tensors.values()), "1/um")


def make_species(table: CalciumTable, dimension: int, initial: float) -> list[Field]:
    """Return calcium behind barriers: a field for each region that has one."""
    import numpy as np

    from homfem.macro.calcium import Field

    return [
        Field(
            name=region,
            capacity={region: 1.0},
            diffusion={region: entry.diffusivity.to("um^2/s") * np.eye(dimension)},
            initial=initial,
            calcium=1.0,
        )
        for region, entry in table.regions.items()
        if entry.barrier and entry.diffusivity is not None
    ]


def make_fluxes(tables: tuple[FluxTable, ...]) -> list[BoundaryFlux]:
    """Return the fluxes of a config."""
    from homfem.macro.calcium import BoundaryFlux

    made = []
    for entry in tables:
        law, about = _law(entry)
        made.append(
            BoundaryFlux(boundary=entry.boundary, flux=law, name=entry.label, schedule=entry.schedule("s"), about=about)
        )
    return made


def _law(entry: FluxTable) -> tuple[Any, dict[str, float]]:
    """Return what enters per area, and the numbers of which it is made."""
    from homfem.kinetics.calcium import CalciumKinetics, boundary_law

    if entry.type == "constant" and entry.flux is not None:
        return entry.flux.to("uM*um/s"), {}
    mechanism = _mechanism(entry)
    law = boundary_law(CalciumKinetics(name=entry.type, mechanisms=(mechanism,)))
    return law, {one.name: one.value for one in mechanism.parameters}


def _mechanism(entry: FluxTable) -> Mechanism:
    from homfem.kinetics.calcium import Mechanism, SurfaceFlux, number
    from homfem.kinetics.calcium.pumps import pmca, store_operated_influx

    if entry.largest is not None and entry.half is not None:
        make = pmca if entry.type == "pump" else store_operated_influx
        return make(entry.largest.to("uM*um/s"), entry.half.to("uM"))
    permeability = 0.0 if entry.permeability is None else entry.permeability.to("um/s")
    outside = 0.0 if entry.outside is None else entry.outside.to("uM")
    flux = SurfaceFlux(name="leak", source="outside", target="cytosol", expression="permeability*(c_outside - c)")
    numbers = (
        number("permeability", permeability, "um/s", "permeability of the plasma membrane", zero=True),
        number("c_outside", outside, "uM", "calcium outside", zero=True),
    )
    return Mechanism(name="leak", fluxes=(flux,), parameters=numbers)


def make_sources(table: CalciumTable, dimension: int) -> list[Source]:
    """Return the sources of a config."""
    from homfem.macro.calcium import Source

    made = []
    for index, entry in enumerate(table.sources):
        path = stimulus_path("macro.sources", index, len(table.sources))
        with keys_under(path):
            entry.check_dimension(dimension)
            made.append(
                Source(
                    place=entry.place("um") if entry.at is None else tuple(x.to("um") for x in entry.at),
                    strength=entry.strength(dimension),
                    field=entry.field,
                    schedule=entry.schedule("s"),
                    name=entry.name or (f"source {index}" if len(table.sources) > 1 else "source"),
                )
            )
    return made


def make_ip3(table: CalciumTable) -> float | Messenger:
    """Return IP3: a number, or a field."""
    from homfem.macro.calcium import Messenger

    number, field = table.kinetics.level, table.ip3
    if field is None:
        return number
    start = number if field.initial is None else field.initial.to("uM")
    return Messenger(
        initial=start,
        diffusivity_ratio=field.diffusivity_ratio,
        degradation=0.0 if field.degradation is None else field.degradation.to("1/s"),
        rest=start if field.rest is None else field.rest.to("uM"),
    )
