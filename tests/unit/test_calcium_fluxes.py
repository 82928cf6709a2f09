"""Fluxes of calcium: types that cannot be mixed, conversion by the geometry, units, what models of them conserve."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest

from homfem.kinetics import LiRinzelRates, li_rinzel, membrane_from_rates
from homfem.kinetics.calcium import (
    CALCIUM_KINETICS,
    TRIGGER_WAVE,
    CalciumKinetics,
    Geometry,
    Mechanism,
    State,
    SurfaceFlux,
    VolumeFlux,
    boundary_kinetics,
    boundary_law,
    calcium_kinetics,
    cell_kinetics,
    closed_cell,
    membrane_kinetics,
    number,
    on_membrane,
    pumps_per_area,
    tissue_kinetics,
    volume_kinetics,
    with_field_of_ip3,
)
from homfem.kinetics.calcium.pumps import influx, ip3_turnover, pmca, store_operated_influx, surface_serca
from homfem.kinetics.joined import joined, with_fields
from homfem.kinetics.written import written_kinetics
from homfem.macro.reaction import CompiledKinetics, NodalReaction
from homfem.parameters import InputError, UnitError

GEOMETRY = Geometry(cytosol_fraction=0.8, er_fraction=0.15, er_area=2.5, plasma_area=0.3)
CELL = {"cytosol_fraction": 0.8, "er_fraction": 0.15, "interface_area": 2.5}
SURFACE = SurfaceFlux(name="a", source="cytosol", target="er", expression="v*c")
VOLUME = VolumeFlux(name="b", source="cytosol", target="er", expression="w*c")
NUMBERS = (number("v", 2.0, "um/s", "speed"), number("w", 3.0, "1/s", "rate"))


def points(seed, n=20):
    rng = np.random.default_rng(seed)
    return rng.uniform(0.01, 2, n), rng.uniform(1, 300, n), rng.uniform(0.1, 1, n)


def model(*mechanisms, **options):
    return CalciumKinetics(name="own", mechanisms=mechanisms, **options)


def test_surface_and_volume_fluxes_cannot_be_added():
    assert (SURFACE + dataclasses.replace(SURFACE, name="c", expression="c^2")).expression == "(v*c) + (c^2)"
    back = SurfaceFlux(name="back", source="er", target="cytosol", expression="v*e")
    assert (SURFACE + back).expression == "(v*c) - (v*e)"
    plasma = SurfaceFlux(name="out", source="cytosol", target="outside", expression="v*c")
    for other in (VOLUME, plasma, 3.0):
        with pytest.raises(InputError, match=r"SurfaceFlux \(uM\*um/s\) through the membrane 'er'"):
            SURFACE + other
    with pytest.raises(InputError, match=r"a: SurfaceFlux \(uM\*um/s\).* VolumeFlux \(uM/s\)"):
        VOLUME + SURFACE


def test_a_flux_is_the_same_per_area_and_per_volume():
    c, e, _ = points(1)
    start = np.array([c, e])
    changes = [
        cell_kinetics(model(Mechanism(name="m", fluxes=(flux,), parameters=NUMBERS)), GEOMETRY)
        for flux in (SURFACE, SURFACE.per_volume(GEOMETRY), SURFACE.per_volume(GEOMETRY).per_area(GEOMETRY))
    ]
    expected = 2.0 * c * 2.5 / 0.8
    for kinetics in changes:
        found = kinetics.derivative(0.0, start, kinetics.values())
        assert found == pytest.approx(np.array([-expected, expected * 0.8 / 0.15]), rel=1e-14)
    volume = cell_kinetics(model(Mechanism(name="m", fluxes=(VOLUME,), parameters=NUMBERS)), GEOMETRY)
    assert volume.derivative(0.0, start, volume.values())[0] == pytest.approx(-3.0 * c, rel=1e-14)


def test_pumps_per_area_are_those_of_the_appendix():
    """For period eps and shape 3*4*.1*.9: sigma = eps rho/shape; S sigma f = rho f whatever the geometry."""
    for period in (0.1, 0.5):
        geometry = Geometry(cytosol_fraction=0.972, er_fraction=0.028, er_area=1.08 / period)
        sigma = pumps_per_area(400.0, geometry)
        assert sigma == pytest.approx(period * 400.0 / 1.08, rel=1e-14)
        assert geometry.er_area * sigma == pytest.approx(400.0, rel=1e-14)


@pytest.mark.parametrize("rates", [LiRinzelRates(), TRIGGER_WAVE], ids=["de-young-keizer", "trigger-wave"])
def test_li_rinzel_is_that_of_the_membrane_of_the_geometry(rates):
    c, e, h = points(2)
    name = "trigger-wave" if rates == TRIGGER_WAVE else "de-young-keizer"
    kinetics = tissue_kinetics(on_membrane(calcium_kinetics("li-rinzel", name), GEOMETRY))
    p = kinetics.values({"ip3": 0.3, "er_area": 5.0, "density": 0.7, "cytosol_fraction": 0.8})
    found = np.array(kinetics.stoichiometry) @ kinetics.rates(0.0, [c, e], h[None], p)
    old = li_rinzel(membrane_from_rates(rates, **CELL))
    expected = 0.7 * 5.0 * old.flux(c, e, h[None], 0.3)
    assert found == pytest.approx(np.array([expected, -expected]), rel=1e-12)
    for mine, other in zip(
        kinetics.relaxation(0.0, [c, e], h[None], p), old.relaxation(c, e, h[None], 0.3), strict=True
    ):
        assert mine == pytest.approx(other, rel=1e-13)


def test_density_scales_the_er_membrane_alone():
    mixed = model(surface_serca(1.0), pmca(0.5), influx(0.02))
    c, e, _ = points(3)
    kinetics = tissue_kinetics(mixed)
    p = {"er_area": 2.0, "plasma_area": 0.4, "cytosol_fraction": 0.8}
    one, two = (kinetics.rates(0.0, [c, e], np.empty((0, c.size)), kinetics.values(p | {"density": d})) for d in (1, 3))
    assert two == pytest.approx(one * np.array([[3.0], [1.0], [1.0]]))
    assert one[0] == pytest.approx(2.0 * c**2 / (0.01 + c**2), rel=1e-14)
    assert one[1] == pytest.approx(0.4 * 0.5 * c**2 / (0.425**2 + c**2), rel=1e-14)
    assert kinetics.kept == ()
    assert tissue_kinetics(model(surface_serca(1.0))).kept == ((1.0, 1.0),)
    volumes = tissue_kinetics(calcium_kinetics("li-rinzel"))
    states = np.full((1, c.size), 0.6)
    one, two = (volumes.rates(0.0, [c, e], states, volumes.values({"density": d, "ip3": 0.3})) for d in (1, 3))
    assert two == pytest.approx(3.0 * one, rel=1e-14)


def test_the_boundary_has_the_surface_fluxes_of_the_plasma_membrane():
    mixed = model(surface_serca(1.0), pmca(0.5), store_operated_influx(0.2))
    c, e, _ = points(4)
    kinetics = boundary_kinetics(mixed)
    rates = kinetics.rates(0.0, [c, e], np.empty((0, c.size)), kinetics.values())
    assert rates[0] == pytest.approx(0.5 * c**2 / (0.425**2 + c**2), rel=1e-14)
    assert rates[1] == pytest.approx(0.2 * 50.0**4 / (50.0**4 + e**4), rel=1e-14)
    assert kinetics.stoichiometry == ((-1.0, 1.0), (0.0, 0.0))
    assert {entry.name for entry in kinetics.parameters} == {"v_pm", "k_pm", "v_soc", "k_soc", "ip3"}
    assert boundary_kinetics(model(surface_serca(1.0))) is None


def test_fluxes_of_one_kind_are_those_of_the_tissue_and_have_their_own_states():
    mixed = model(
        *on_membrane(calcium_kinetics("li-rinzel"), GEOMETRY).mechanisms[1:],
        *calcium_kinetics("keizer-levine").with_parameters({"c1": 0.15 / 0.8}).mechanisms[:1],
        pmca(0.5),
        influx(0.02, 0.1),
    )
    c, e, x = points(7)
    states = np.array([0.2 * x, 0.3 * x, 0.4 * x])
    p = {"er_area": 2.0, "plasma_area": 0.4, "cytosol_fraction": 0.8, "ip3": 0.3}
    tissue = tissue_kinetics(mixed)
    whole = dict(zip((f.name for f in mixed.fluxes), tissue.rates(0.0, [c, e], states, tissue.values(p)), strict=True))
    parts = {2.0: membrane_kinetics(mixed), 0.8: volume_kinetics(mixed), 0.4: boundary_kinetics(mixed)}
    assert [len(part.states) for part in parts.values()] == [0, 3, 0]
    assert parts[0.8].shares == (("ryr_o1", "ryr_o2", "ryr_c2"),)
    for factor, part in parts.items():
        found = part.rates(0.0, [c, e], states[: len(part.states)], part.values({"ip3": 0.3}))
        for (name, _), rate in zip(part.written.rates, found, strict=True):
            assert factor * rate == pytest.approx(whole.pop(name), rel=1e-13)
    assert not whole
    law = boundary_law(mixed, {"ip3": 0.3})
    assert law(0.0, {"cytosol": c}) == pytest.approx(0.02 + 0.03 - 0.5 * c**2 / (0.425**2 + c**2), rel=1e-13)


def test_a_law_of_a_boundary_needs_fluxes_without_states():
    with pytest.raises(InputError, match="plasma membrane that depend on no states"):
        boundary_law(calcium_kinetics("li-rinzel"))
    gated = SurfaceFlux(name="gated", source="outside", target="cytosol", expression="v*c*x")
    state = State(name="x", rate="w", target="0.5")
    with pytest.raises(InputError, match=r"own \['x'\]"):
        boundary_law(model(Mechanism(name="m", fluxes=(gated,), parameters=NUMBERS, states=(state,))))
    assert membrane_kinetics(model(pmca(1.0))) is None
    assert volume_kinetics(model(pmca(1.0))) is None


@pytest.mark.parametrize("order", [1, 2])
@pytest.mark.parametrize("compiled", [False, True])
@pytest.mark.parametrize("name", CALCIUM_KINETICS)
def test_calcium_is_kept_at_nodes_and_shares_stay_shares(name, compiled, order):
    """A tissue with fractions, areas and densities of its own at each node, also of what pumps hold."""
    n = 50
    rng = np.random.default_rng(5)
    gamma_c, gamma_e = rng.uniform(0.5, 0.7, n), rng.uniform(0.1, 0.2, n)
    c, e = rng.uniform(0.05, 0.6, n), rng.uniform(5, 12, n)
    model = calcium_kinetics(name)
    kinetics = tissue_kinetics(model)
    start = gamma_c * c + gamma_e * e
    reaction = (CompiledKinetics if compiled else NodalReaction)(
        kinetics,
        {"cytosol": c, "er": e},
        parameters={"density": rng.uniform(0.2, 1.5, n), "er_area": 2.0, "cytosol_fraction": gamma_c},
        scales={"cytosol": 1 / gamma_c, "er": 1 / gamma_e},
        order=order,
    )
    if compiled and not reaction.compile():
        pytest.skip("there is no compiler")
    amount = gamma_c * model.held().get("pump", 0.0) * reaction.parameters.density
    bound = amount * reaction.states[-1] if model.held() else 0.0
    for k in range(200):
        reaction.step(0.001 * k, 0.001)
    total = gamma_c * c + gamma_e * e
    now = amount * reaction.states[-1] if model.held() else 0.0
    assert total + now == pytest.approx(start + bound, rel=1e-13)
    kinetics.check_shares(reaction.states)
    assert np.abs(c - 0.3).max() > 0.01


def test_ip3_becomes_a_field_that_is_made_and_degraded():
    kinetics = with_field_of_ip3(calcium_kinetics("li-rinzel"), ip3_turnover(v4=0.4, alpha=0.6))
    cell = cell_kinetics(kinetics)
    assert [field.name for field in cell.fields] == ["cytosol", "er", "ip3"]
    assert cell.fields[2].start == 0.4
    assert "ip3" not in {entry.name for entry in cell.parameters}
    c, e, h = points(6)
    found = cell.derivative(0.0, np.array([c, e, 0.3 + 0 * c, h]), cell.values())
    assert found[2] == pytest.approx(0.4 * (c + 0.4 * 1.1) / (c + 1.1) - 0.3, rel=1e-12)
    assert cell.kept[0] == pytest.approx((1 / 1.185, 0.185 / 1.185, 0.0))
    alone = cell_kinetics(calcium_kinetics("li-rinzel"))
    assert found[:2] == pytest.approx(alone.derivative(0.0, np.array([c, e, h]), alone.values({"ip3": 0.3}))[:2])


@pytest.mark.parametrize(
    ("expression", "message"),
    [
        ("v*c", r"own: a = 'v\*c': .*\[length\].*It is of .*"),
        ("w*c + v*e", r"own: a = .*In w \* c \+ v \* e"),
        ("w*exp(c)", r"own: a = .*exp\(c\), c is of"),
        ("3", r"own: a = '3'"),
        ("w*calcium", r"own: a = 'w\*calcium': .*'calcium' is unknown"),
        ("w*c/0*(", r"own: a = "),
        ("__import__('os')", r"own: a = "),
    ],
)
def test_fluxes_whose_units_or_names_do_not_fit_are_refused(expression, message):
    flux = VolumeFlux(name="a", source="er", target="cytosol", expression=expression)
    with pytest.raises(InputError, match=message):
        model(Mechanism(name="m", fluxes=(flux,), parameters=NUMBERS))


@pytest.mark.parametrize(
    ("state", "message"),
    [
        ({"rate": "v", "target": "1"}, "own: x.rate = 'v'"),
        ({"rate": "w", "target": "c"}, "own: x.target = 'c'"),
        ({"drift": "c"}, "own: x.drift = 'c'"),
        ({"rate": "w"}, "x = 'w': .*rate and target, or with drift"),
        ({"rate": "w", "target": "1", "drift": "w"}, "rate and target, or with drift"),
        ({}, "rate and target, or with drift"),
    ],
)
def test_states_whose_units_do_not_fit_are_refused(state, message):
    with pytest.raises(InputError, match=message):
        model(Mechanism(name="m", fluxes=(VOLUME,), parameters=NUMBERS, states=(State(name="x", **state),)))


@pytest.mark.parametrize("name", ["c", "ip3", "density", "t", "exp", "1x", "cytosol", "lambda"])
def test_names_that_have_a_meaning_are_refused(name):
    with pytest.raises(InputError, match="own: name"):
        model(Mechanism(name="m", fluxes=(VOLUME,), parameters=(*NUMBERS, number(name, 1.0, "", "none"))))


def test_what_does_not_fit_together_is_refused():
    mechanism = Mechanism(name="m", fluxes=(VOLUME,), parameters=NUMBERS)
    with pytest.raises(InputError, match="fluxes"):
        model(mechanism, mechanism)
    with pytest.raises(InputError, match=r"n\.w = '4 1/s'.*3 1/s, as in another"):
        model(mechanism, Mechanism(name="n", parameters=(number("w", 4.0, "1/s", "rate"),)))
    with pytest.raises(InputError, match="at least one with a flux"):
        model(Mechanism(name="m"))
    with pytest.raises(InputError, match="start = 'cytosl'"):
        model(mechanism, start={"cytosl": 1.0})
    with pytest.raises(InputError, match="geometry"):
        cell_kinetics(model(mechanism))
    with pytest.raises(InputError, match="plasma_area = 0"):
        cell_kinetics(model(pmca(1.0)), closed_cell(0.2))
    with pytest.raises(InputError, match="parameters = 'v5'"):
        calcium_kinetics("li-rinzel").with_parameters({"v5": 1.0})
    with pytest.raises(InputError, match="d1 = -1"):
        calcium_kinetics("li-rinzel").with_parameters({"d1": -1.0})
    with pytest.raises(InputError, match=r"li-rinzle.*'li-rinzel'"):
        calcium_kinetics("li-rinzle")
    with pytest.raises(InputError, match="parameters = 'trigger'"):
        calcium_kinetics("li-rinzel", "trigger")


@pytest.mark.parametrize(
    "change",
    [
        {"source": "er", "target": "er"},
        {"source": "er", "target": "outside"},
        {"source": "ip3", "target": "er"},
        {"source": "nucleus"},
        {"source": "outside", "target": "ip3"},
    ],
)
def test_surface_fluxes_go_through_membranes(change):
    with pytest.raises(InputError):
        dataclasses.replace(SURFACE, **change)


@pytest.mark.parametrize(
    "change",
    [{"cytosol_fraction": 0.0}, {"er_fraction": 0.3}, {"er_area": 0.0}, {"plasma_area": -1.0}, {"er_area": np.nan}],
    ids=lambda change: next(iter(change)),
)
def test_geometry_out_of_range_is_refused(change):
    with pytest.raises(InputError, match=next(iter(change))):
        dataclasses.replace(GEOMETRY, **change)


def test_units_are_named_by_their_error():
    with pytest.raises(UnitError, match="own: a"):
        model(Mechanism(name="m", fluxes=(dataclasses.replace(SURFACE, expression="w*c"),), parameters=NUMBERS))


def test_joined_kinetics_keep_their_expressions():
    """What is compiled of the joined expressions is what NumPy does: rates with measures, gates, IP3 as a field."""
    geometry = closed_cell(0.185)
    one = with_fields(
        membrane_kinetics(on_membrane(calcium_kinetics("li-rinzel-buffering"), geometry)), {"ip3": "messenger"}
    )
    other = volume_kinetics(calcium_kinetics("keizer-levine"))
    both = joined({"k0": one, "k1": other})
    again = written_kinetics(
        both.written,
        name="again",
        time_unit="s",
        fields=both.fields,
        states=both.states,
        stoichiometry=both.stoichiometry,
        parameters=both.parameters,
    )
    rng = np.random.default_rng(8)
    fields = [rng.uniform(0.05, 1, 6), rng.uniform(2, 9, 6), rng.uniform(0.2, 0.6, 6)]
    assert [field.name for field in both.fields] == ["cytosol", "er", "messenger"]
    states = rng.uniform(0.05, 0.3, (len(both.states), 6))
    p = both.values({"k0_measure": 0.3, "k1_measure": rng.uniform(1, 2, 6), "k1_v3": 0.5}, size=6)
    assert again.rates(0.0, fields, states, p) == pytest.approx(both.rates(0.0, fields, states, p), rel=1e-13)
    for mine, theirs in zip(
        again.relaxation(0.0, fields, states, p), both.relaxation(0.0, fields, states, p), strict=True
    ):
        assert mine == pytest.approx(theirs, rel=1e-13)
    assert both.shares == (("h",), ("pump",), ("ryr_o1", "ryr_o2", "ryr_c2"))
