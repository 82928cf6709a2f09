"""The table ``[effective]`` of ions in charged media."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Annotated, Any, ClassVar

from pydantic import Field

from homfem.config.physics.coefficients import Coefficient, parse_coefficient
from homfem.config.physics.double_layers import CHARGED_PORES, DOUBLE_LAYER, DoubleLayerKeys
from homfem.config.physics.effective_table import MESHED, EffectiveTable, check_phase, require_meshed
from homfem.config.physics.methods import METHOD_KEYS, FiniteElement, Grid, check_section
from homfem.config.table import Check, Table, choice, parse_table, quantity, renamed, text
from homfem.electrolytes import TEMPERATURE, Ion, check_bath, check_temperature
from homfem.electrolytes.ions import check_ion_name, check_valence
from homfem.parameters import InputError, check_choice
from homfem.quantities import CONCENTRATION, DIFFUSIVITY, TEMPERATURES, Quantity, parse_quantity

REGIMES = ("donnan", DOUBLE_LAYER)


def by_phase(parse: Callable[[Any], Any], what: str) -> Check:
    """Return the validator of a table of phases, with what ``parse`` makes of each; ``what`` says of what."""

    def check(value: Any) -> dict[str, Any]:
        if not isinstance(value, dict) or not value:
            raise InputError("", value, f"a table of phases, each with {what}")
        found = {}
        for name, entry in value.items():
            try:
                found[name] = parse(entry)
            except InputError as error:
                raise renamed(error, f"{name}{error.name}") from error
        return found

    return Check(check, says=f"a table of phases, each with {what}", schema={"type": "object"})


class IonTable(Table):
    """``[[effective.ions]]``: a mobile ion."""

    name: Annotated[str, Check(lambda value: check_ion_name("", value), says="the name of an ion, such as 'Na'")]
    """Its name in the result."""
    valence: Annotated[
        int,
        Check(
            lambda value: check_valence("", value), says="a whole number but 0, such as 1", schema={"type": "integer"}
        ),
    ]
    """Its charge number, with its sign."""
    bath: Annotated[Quantity, quantity(CONCENTRATION, above=0.0)]
    """Its concentration in the bath with which the cell is in equilibrium."""
    diffusivity: Annotated[
        Mapping[str, Coefficient],
        by_phase(lambda value: parse_coefficient(value, DIFFUSIVITY), "a diffusivity, or a matrix of them"),
    ]
    """Its diffusivity in each phase that it enters; it is kept out of a phase that is not named."""


def _ions(value: Any) -> tuple[IonTable, ...]:
    if not isinstance(value, list) or not value or not all(isinstance(entry, dict) for entry in value):
        raise InputError(
            "", value, "a list of tables [[effective.ions]], each with name, valence, bath and diffusivity"
        )
    found = []
    for k, entry in enumerate(value):
        try:
            found.append(parse_table(IonTable, entry, ""))
        except InputError as error:
            raise renamed(error, f"[{k}].{error.name}") from error
    return tuple(found)


def _charge(value: Any) -> Quantity:
    return parse_quantity("", value, CONCENTRATION)


def _temperature(value: Any) -> Quantity:
    found = parse_quantity("", value, TEMPERATURES)
    check_temperature(found.to("K"), "")
    return found


class Electrodiffusion(EffectiveTable, Grid, FiniteElement, DoubleLayerKeys):
    """Ions in media with fixed charges: conductivity, transference numbers, diffusion of salt, electro-osmosis."""

    runner = "homfem.runs.charges:electrodiffusion"
    voxel_runner = "homfem.runs.charges:electrodiffusion_on_voxels"

    example: ClassVar[Mapping[str, Any]] = {
        "ions": [
            {
                "name": name,
                "valence": valence,
                "bath": "150 mol/m^3",
                "diffusivity": {"fibre": f"{inside:g} um^2/s", "matrix": f"{outside:g} um^2/s"},
            }
            for name, valence, inside, outside in (("Na", 1, 670.0, 1330.0), ("Cl", -1, 1020.0, 2030.0))
        ],
        "fixed_charge": {"fibre": "-200 mol/m^3"},
    }

    further_examples: ClassVar[Mapping[str, Any]] = {DOUBLE_LAYER: CHARGED_PORES}

    physics: Annotated[str, choice("electrodiffusion")] = "electrodiffusion"
    regime: Annotated[str, choice(*REGIMES)] = "donnan"
    """`donnan`: every phase is electroneutral and in equilibrium with the bath. `double-layer`: charged walls beside a
    fluid that flows, with their diffuse layers."""
    method: Annotated[str, text("the name of a method")] = MESHED
    """How it is solved: `finite-element`, or `grid` on the voxels of an image."""
    boundary: Annotated[str, choice("periodic")] = "periodic"
    """The conditions on the cell."""
    membranes: None = None
    """Interfaces resist no ion."""
    temperature: Annotated[
        Quantity, Check(_temperature, says='a temperature, such as "310.15 K"', schema={"type": "string"})
    ] = Quantity(TEMPERATURE, "K")
    """Of the thermal voltage RT/F."""
    fixed_charge: (
        Annotated[Mapping[str, Quantity], by_phase(_charge, "a concentration with its sign, such as '-200 mol/m^3'")]
        | None
    ) = None
    """Concentration of elementary charges that do not move, with their sign, per volume of the phase."""
    ions: Annotated[tuple[IonTable, ...], Check(_ions, says="a list of tables")] = Field(
        description="tables [[effective.ions]] of the mobile ions: name, valence, bath, diffusivity"
    )

    @property
    def meshless(self) -> bool:
        """Whether the method is not that of finite elements on a mesh."""
        return self.method != MESHED

    @property
    def phase_names(self) -> tuple[str, ...]:
        """The phases that an ion enters."""
        return tuple(dict.fromkeys(phase for ion in self.ions for phase in ion.diffusivity))

    @property
    def unit(self) -> str:
        """Unit of the conductivity."""
        return "S/m"

    @property
    def units(self) -> tuple[str, str]:
        """Those of the diffusivities and of the concentrations: the first that is given."""
        return next(iter(self.ions[0].diffusivity.values())).unit, self.ions[0].bath.unit

    def as_ions(self) -> tuple[Ion, ...]:
        """Return the ions in the units of the first."""
        unit, concentration = self.units
        return tuple(
            Ion(
                name=ion.name,
                valence=ion.valence,
                bath=ion.bath.to(concentration),
                diffusivities={phase: value.to(unit) for phase, value in ion.diffusivity.items()},
            )
            for ion in self.ions
        )

    def check_method(self, methods: Sequence[str]) -> None:
        """Refuse a method that the cell does not allow, and a key that the method does not have."""
        known = (MESHED, *(method for method in methods if method == "grid"))
        check_choice("effective.method", self.method, known)
        check_section("effective", self.method, {key: getattr(self, key, None) for key in METHOD_KEYS})

    def check(self, phase_names: Sequence[str] | None, dimension: int | None) -> None:
        """Refuse phases and matrices that do not fit the cell, a bath with a charge, a charge without ions."""
        check_bath(self.as_ions(), "effective.ions")
        self.check_regime(self.regime)
        if self.regime == DOUBLE_LAYER:
            self._check_fluid()
        for k, ion in enumerate(self.ions):
            for phase, value in ion.diffusivity.items():
                at = f"effective.ions[{k}].diffusivity.{phase}"
                check_phase(at, phase, str(value), phase_names)
                if dimension is not None and value.dimension not in (None, dimension):
                    raise InputError(at, str(value), f"a number or a {dimension}x{dimension} matrix, as the cell")
        for phase, charge in (self.fixed_charge or {}).items():
            at = f"effective.fixed_charge.{phase}"
            check_phase(at, phase, str(charge), phase_names)
            if phase not in self.phase_names and self.regime != DOUBLE_LAYER:
                remedy = "Give an ion a diffusivity there: the phase must be neutral."
                raise InputError(at, str(charge), "absent for a phase without ions", remedy)

    def _check_fluid(self) -> None:
        """Refuse ions that are not in all of the fluid, and what is not solved of double layers."""
        require_meshed(self.method, f"regime {DOUBLE_LAYER!r}")
        if self.symmetry == "auto":
            raise InputError("effective.symmetry", "auto", f"'none' for {DOUBLE_LAYER!r}", "The whole cell is solved.")
        for k, ion in enumerate(self.ions):
            for phase in self.phase_names:
                at, value = f"effective.ions[{k}].diffusivity.{phase}", ion.diffusivity.get(phase)
                if value is None or value.dimension is not None:
                    remedy = "Every ion is in all phases of the fluid, and diffuses alike in all directions there."
                    raise InputError(at, None if value is None else str(value), "one number with its unit", remedy)


TABLES: Mapping[str, type[EffectiveTable]] = {"electrodiffusion": Electrodiffusion}
