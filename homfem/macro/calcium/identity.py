"""What tells a calcium problem, its start and its steps from others: a checkpoint of another one is refused."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np
from mpi4py import MPI

from homfem.macro.calcium.fields import REST, Exchange
from homfem.macro.calcium.problem import CYTOSOL, ER
from homfem.macro.initial import nodal_values
from homfem.parameters import Array
from homfem.solve import nodal_fingerprint

if TYPE_CHECKING:
    from homfem.macro.calcium.model import CalciumModel


def identity_of(model: CalciumModel, *, step: float | str) -> dict[str, Any]:
    """Return plain data, equal on any number of ranks but for round-off where it says ``"about"``; collective."""
    problem = model.problem
    stages = ", ".join(f"{name} {fraction!r}" for name, fraction in model.splitting.stages)
    about = _coefficients(model)
    given = problem.kinetics.parameters
    numbers = given if isinstance(given, Mapping) else {entry.name: entry.value for entry in given}
    about |= {f"parameter {name}": number for name, number in numbers.items()}
    for name, values in _nodal(model).items():
        about[f"{name} min/max/means"] = nodal_fingerprint(model.space, values)
    found: dict[str, Any] = {
        "model": "calcium bidomain",
        "kinetics": problem.kinetics.name,
        "time step (s)": step,
        "splitting": f"{model.splitting.name}: {stages}" + (f" {model.scheme.name}" if model.implicit else ""),
        "subcycles": model.subcycles,
        "rtol": model.rtol,
    }
    outside = {one.label: _told(one) for one in problem.fluxes} | {one.name: _told(one) for one in problem.sources}
    if outside:
        found["fluxes and sources"] = outside
    more = [_reacts(one) for one in problem.kinetics_of_fields()[1:]]
    if more:
        found["further kinetics"] = more
    if problem.buffers:
        found["buffers"] = [dataclasses.asdict(one.buffer) for one in problem.buffers]
    return found | {name: {"about": value} for name, value in about.items()}


def _coefficients(model: CalciumModel) -> dict[str, Any]:
    """Tensors per volume of their phases, fractions, areas; by region where there is more than one."""
    problem, about = model.problem, dict[str, Any]()
    single = all(set(one.field.capacity) == {REST} for one in model.unknowns.values())
    for name, one in model.unknowns.items():
        field = one.field
        for region, capacity in field.capacity.items():
            at = name if region == REST else f"{name} in {region}"
            if field.diffusion is not None:
                about[f"{at} (um^2/s)"] = (field.diffusion[region] / capacity).tolist()
            if not single or name not in (CYTOSOL, ER):
                about[f"volume fraction of {at}"] = capacity
    if problem.domain.fibres is not None:
        about["energies of polynomials in fibre axes (um^d/s)"] = _energies(model)
    areas = problem.areas()
    if single:
        about["volume fractions"] = [problem.cytosol_fraction, problem.er_fraction]
    about["membrane area (1/um)"] = areas[REST] if set(areas) == {REST} else [areas[key] for key in sorted(areas)]
    return about


def _nodal(model: CalciumModel) -> dict[str, Array]:
    """Values at nodes that tell a problem from others."""
    problem, er = model.problem, model.unknowns[ER]
    given = problem.kinetics_of_fields()[0].parameters.get("ip3")
    area = er.part.spread(er.part.volumes)
    fields: dict[str, Array] = {}
    if given is not None:
        fields["IP3 (uM)"] = nodal_values("ip3", given, model.space, at_least=0.0)
    areas = set(problem.areas().values())
    density = np.divide(model.membrane, area, out=np.zeros_like(area), where=area > 0.0)
    fields["density"] = density / areas.pop() if len(areas) == 1 else density
    labels = {CYTOSOL: "cytosol", ER: "ER"}
    for name, one in model.unknowns.items():
        fields[f"{labels.get(name, name)} at the start (uM)"] = one.part.spread(one.values)
    cytosol = model.unknowns[CYTOSOL].part
    fields["volumes of the nodes (um^d)"] = cytosol.spread(cytosol.volumes)
    if er.part.nodes is not None:
        fields["volumes of the nodes with ER (um^d)"] = area
    return fields | {f"{name} at the start": values for name, values in model.start_states().items()}


def _energies(model: CalciumModel) -> list[float]:
    """Return what tells the diffusion of the fields in space: their energies of polynomials; collective."""
    points = model.space.tabulate_dof_coordinates()[:, : model.problem.domain.dimension]
    extent = model.comm.allreduce(float(np.abs(points).max(initial=0.0)), op=MPI.MAX)
    found = []
    for group in model.diffusion.shared:
        part = group.fields[0][0].part
        scaled = part.of_nodes(points[: part.owned]) / (extent or 1.0)
        pairs = np.ndindex(scaled.shape[1], scaled.shape[1])
        columns = [*scaled.T, *(scaled[:, i] * scaled[:, j] for i, j in pairs)]
        vector, product = group.stiffness.createVecs()
        for column in columns:
            vector.array[:] = column
            group.stiffness.mult(vector, product)
            found.append(float(product.dot(vector)))
        vector.destroy()
        product.destroy()
    return found


def _told(one: Any) -> dict[str, Any]:
    """A flux or a source as plain data; of a law its representation, if that tells what it is made of."""
    strength = getattr(one, "flux", getattr(one, "strength", None))
    text = repr(strength)
    law = "a function" if callable(strength) and " at 0x" in text else text
    place = getattr(one, "boundary", None) or repr(getattr(one, "place", None))
    told = {"field": one.field, "place": place, "strength": law, "schedule": repr(one.schedule)}
    about = getattr(one, "about", {})
    return told | ({"of": dict(about)} if about else {})


def _reacts(one: Exchange) -> dict[str, Any]:
    numbers = {entry.name: one.parameters.get(entry.name, entry.value) for entry in one.kinetics.parameters}
    told = {name: value if isinstance(value, float) else "a field" for name, value in numbers.items()}
    return {"name": one.kinetics.name, "per": one.per, "parameters": told}
