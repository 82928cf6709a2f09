r"""IP3 as a field: it diffuses in the cytosol and is degraded towards its level at rest.

.. math:: \gamma_c\,\partial_t p = \nabla\cdot(\gamma_c D_p\tau\nabla p) - \gamma_c k\,(p - p_0)

where the ER leaves :math:`\tau` of the diffusivity: as the obstacles are the same, the tensor of IP3 is that of calcium
in the cytosol times :math:`D_p/D_c` (the cell problem is linear in the diffusivity).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from homfem.kinds import DIFFUSION
from homfem.kinetics.expressions import parse_expression
from homfem.kinetics.parameters import Parameter
from homfem.kinetics.point import Variable
from homfem.kinetics.written import Formulary, written_kinetics
from homfem.macro.calcium.fields import Exchange, Field
from homfem.macro.initial import FieldInput
from homfem.materials import required_tensor
from homfem.parameters import check_number
from homfem.quantities import CONCENTRATION, RATE
from homfem.tensors import EffectiveTensor


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class Messenger:
    """IP3 that diffuses and is degraded.

    Parameters
    ----------
    initial : FieldInput
        Concentration at the start, uM, >= 0.
    diffusivity_ratio : float
        Its diffusivity over that of calcium, to which the cytosol's tensors belong; > 0. Without buffers 283/223, with
        the buffers of a cell 283/38 (Allbritton, Meyer, Stryer 1992, doi 10.1126/science.1465619).
    degradation : float
        k, 1/s, >= 0.
    rest : float
        p0, uM, >= 0: what production and degradation keep.
    """

    initial: FieldInput | Mapping[str, float]
    diffusivity_ratio: float
    degradation: float = 0.0
    rest: float = 0.0

    def __post_init__(self) -> None:
        check_number("ip3.diffusivity_ratio", self.diffusivity_ratio, above=0.0)
        check_number("ip3.degradation", self.degradation, at_least=0.0)
        check_number("ip3.rest", self.rest, at_least=0.0)

    def field(self, name: str, cytosol: Mapping[str, EffectiveTensor], dimension: int) -> Field:
        """Return the field, of the cytosol's volume fraction and its tensors times the ratio."""
        tensors = {
            region: required_tensor("cytosol", one, DIFFUSION, unit="um^2/s", dimension=dimension)
            for region, one in cytosol.items()
        }
        return Field(
            name=name,
            capacity={region: one.active_fraction for region, one in tensors.items()},
            diffusion={region: np.asarray(self.diffusivity_ratio * one.value) for region, one in tensors.items()},
            initial=self.initial,
        )

    def exchanges(self, name: str) -> tuple[Exchange, ...]:
        """Return its degradation, if there is any."""
        if not self.degradation:
            return ()
        text = parse_expression("degradation of IP3", f"degradation*(rest - {name})", ["degradation", "rest", name])
        kinetics = written_kinetics(
            Formulary(rates=(("degradation", text),)),
            name="degradation of IP3",
            time_unit="s",
            fields=(Variable(name=name, unit="uM", meaning="IP3"),),
            parameters=(
                Parameter(name="degradation", value=self.degradation, unit="1/s", kind=RATE, meaning="rate"),
                Parameter(name="rest", value=self.rest, unit="uM", kind=CONCENTRATION, meaning="level at rest"),
            ),
        )
        return (Exchange(kinetics=kinetics, per=name, parameters={}),)
