"""The effective tensors of dispersion in an image: units, averages and words for what one grid gives."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from homfem.brackets import symmetric
from homfem.coefficients import NamedCoefficient
from homfem.grid.image import Image
from homfem.grid.provenance import provenance
from homfem.grid.resolution import ESTIMATE, Resolved
from homfem.grid.solute import DispersionOnGrid, Solute
from homfem.kinds import DISPERSION, REGIME
from homfem.quantities import speed_unit
from homfem.tensors import EffectiveTensor

#: What is left out of the phases that carry, in the volume fractions.
CLOSED = "closed pores"


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class Frame:
    """What turns numbers of a grid into effective tensors."""

    image: Image
    solute: Solute
    found: DispersionOnGrid
    how: Resolved
    unit: str

    def tensor(self, number: int) -> EffectiveTensor:
        """Return one effective tensor."""
        found, image, unit = self.found, self.image, self.unit
        one, span = found.carried[number], found.span
        project = span.T @ span if len(span) < image.dimension else np.eye(image.dimension)
        flux = found.reference * project @ one.flux @ project
        speed, factor = speed_unit(unit, image.length_unit)
        velocity = factor * found.reference / found.flows.length * project @ one.velocity
        retarded = abs(found.retardation - 1.0) > 1e-9
        about = provenance(image)
        return EffectiveTensor(
            value=symmetric(flux),
            physics="dispersion",
            kind=DISPERSION,
            unit=unit,
            averaged_over="active",
            active_phases=tuple(name for name in image.names if name in self.solute.diffusivities),
            retardation=found.retardation if retarded else 1.0,
            coefficients={
                "velocity": NamedCoefficient(value=velocity, unit=speed, basis="vector"),
                "flux_form": NamedCoefficient(value=flux, unit=unit, basis="matrix"),
                "peclet": NamedCoefficient(value=np.array(self.solute.peclet[number]), basis="scalar"),
            },
            conventions=self._conventions(number, retarded),
            estimated_error=self.how.errors[number],
            reached=self.how.enough,
            dofs=found.inside.size * self.how.cuts**image.dimension,
            iterations=found.iterations,
            **about | {"volume_fractions": self._fractions(about["volume_fractions"])},
        )

    def _fractions(self, fractions: Mapping[str, float]) -> dict[str, float]:
        """Volume fractions, with what carries in no direction apart."""
        image, inside = self.image, self.found.inside
        result = dict(fractions)
        for number, name in enumerate(image.names):
            if name in self.solute.diffusivities:
                result[name] = float(np.count_nonzero(inside & (image.phases == number)) / inside.size)
        closed = 1.0 - sum(result.values())
        return result | ({CLOSED: closed} if closed > 0.5 / inside.size else {})

    def _conventions(self, number: int, retarded: bool) -> dict[str, str]:
        """Return in words what the numbers are."""
        fluid = " and ".join(self.solute.fluid)
        phases = "fluid" if self.solute.alone else "phases that carry"
        left = "" if not self.found.flows.fluid.closed else ", without closed pores"
        words = {
            "average": f"per {'capacity' if retarded else 'volume'} of the {phases}",
            "velocity": f"mean over the {phases}" + (", over the retardation" if retarded else ""),
            "peclet_length": f"the shortest period, {min(self.image.period):g} {self.image.length_unit}".rstrip(),
            "peclet_speed": f"the size of the mean velocity over {fluid}{left}, not retarded",
            "flux_form": "not symmetric; its symmetric part is the value where diffusivities do not vary with place",
            "regime": REGIME,
        }
        return words | ({} if self.how.errors[number] is None else {"estimated_error": ESTIMATE})
