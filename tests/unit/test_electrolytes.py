"""Ions and Donnan equilibrium: closed forms, extreme charges, what is refused; the algebra of gels."""

from __future__ import annotations

import math
from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from homfem.electrolytes import (
    FARADAY,
    GAS,
    Gel,
    Ion,
    check_bath,
    conductivity_factor,
    donnan_potential,
    equilibria,
    layered_gel_frozen,
    layered_gel_steady,
    thermal_voltage,
)
from homfem.electrolytes.gels import FROZEN, solved_gel
from homfem.electrolytes.transport import (
    Sides,
    added,
    frozen_parts,
    of_inverse,
    over,
    salt_diffusion,
    transference,
    zero_current,
)
from homfem.parameters import InputError
from homfem.tensors import EffectiveTensor


def salt(inside=0.5, valences=(1, -1), baths=(1.0, 1.0)):
    return [
        Ion(name=name, valence=z, bath=c, diffusivities={"gel": inside * d, "water": d})
        for name, z, c, d in zip(("plus", "minus"), valences, baths, (1.0, 1.5), strict=True)
    ]


@pytest.mark.parametrize("x", [1e-18, 1e-9, 1e-3, 1.0, 30.0, 1e6, 1e12, 1e60, 1e120])
@pytest.mark.parametrize("sign", [1.0, -1.0])
def test_the_potential_of_a_salt_is_an_inverse_hyperbolic_sine(x, sign):
    exact = math.asinh(sign * x)
    assert donnan_potential([1, -1], [3.0, 3.0], sign * 6.0 * x) == pytest.approx(exact, rel=4e-16, abs=0.0)
    # two anions for each divalent cation: 2 c (exp(-2 psi) - exp(psi)) + q = 0 at the charge of that psi
    psi = sign * min(x, 30.0)
    charge = -2.0 * (math.expm1(-2.0 * psi) - math.expm1(psi))
    assert donnan_potential([2, -1], [1.0, 2.0], charge) == pytest.approx(psi, rel=1e-15, abs=0.0)


@settings(deadline=None)
@given(
    valences=st.lists(st.sampled_from([-4, -3, -2, -1, 1, 2, 3]), min_size=1, max_size=5),
    logs=st.lists(st.floats(-8.0, 8.0), min_size=5, max_size=5),
    charge=st.floats(-30.0, 30.0),
)
def test_a_phase_is_neutral_whatever_its_ions(valences, logs, charge):
    z = np.array(valences, dtype=float)
    c = 10.0 ** np.array(logs[: len(z)])
    q = np.sign(charge) * 10.0 ** abs(charge)
    if ((z > 0).all() and q >= 0.0) or ((z < 0).all() and q <= 0.0):
        with pytest.raises(InputError, match=r"It has only (cations|anions)"):
            donnan_potential(valences, list(c), q)
        return
    psi = donnan_potential(valences, list(c), q)
    parts = [*(z * c * np.exp(-z * psi)), q]
    assert abs(math.fsum(parts)) <= 1e-13 * math.fsum(map(abs, parts))


def test_equilibria_tell_potential_and_concentrations_of_each_phase():
    found = equilibria(salt(), {"gel": -2.0}, ("gel", "water", "solid"))
    assert list(found) == ["gel", "water"]
    assert found["gel"].potential == pytest.approx(-0.881373587019543, rel=1e-15)
    assert found["gel"].concentrations == pytest.approx({"plus": 1.0 + math.sqrt(2.0), "minus": math.sqrt(2.0) - 1.0})
    assert (found["water"].potential, found["water"].concentrations["plus"]) == (0.0, 1.0)
    # an ion that is kept out: the other alone balances the charge
    cation, anion = salt()
    alone = [cation, Ion(name="big", valence=-1, bath=1.0, diffusivities={"water": 1.0})]
    assert equilibria(alone, {"gel": -2.0}, ("gel", "water"))["gel"].concentrations == pytest.approx({"plus": 2.0})
    assert anion.diffusivities["gel"] == 0.75


def test_constants_and_units():
    assert 1e3 * thermal_voltage(310.15) == pytest.approx(26.7267, rel=1e-5)
    assert conductivity_factor(298.15) == pytest.approx(FARADAY**2 / GAS / 298.15, rel=1e-15)
    assert conductivity_factor(298.15) == pytest.approx(3.7554e6, rel=1e-4)


@pytest.mark.parametrize(
    ("change", "name", "said"),
    [
        ({"valence": 0}, "valence", 'use physics = "diffusion"'),
        ({"valence": 1.5}, "valence", "whole number"),
        ({"valence": True}, "valence", "whole number"),
        ({"bath": 0.0}, "bath", "left out"),
        ({"bath": math.nan}, "bath", "finite"),
        ({"name": ""}, "name", "the name of an ion"),
        ({"name": "Na.1"}, "name", "without a dot"),
    ],
)
def test_an_ion_that_is_none_is_refused(change, name, said):
    with pytest.raises(InputError, match=rf"^{name} = .*{said}"):
        Ion(**{"name": "Na", "valence": 1, "bath": 1.0, "diffusivities": {"gel": 1.0}} | change)


def test_a_bath_with_a_charge_and_a_gel_that_is_none_are_refused():
    cation, anion = salt()
    with pytest.raises(InputError, match=r"plus \+1 x 1.*electroneutral.*add up to 1"):
        check_bath([cation])
    with pytest.raises(InputError, match="names that differ"):
        check_bath([cation, anion, cation])
    with pytest.raises(InputError, match="at least one cation"):
        check_bath([])
    with pytest.raises(InputError, match=r"^concentration_unit"):
        Gel(ions=salt(), unit="um^2/s")
    with pytest.raises(InputError, match=r"^temperature = 25.*kelvin"):
        Gel(ions=salt(), temperature=25.0)
    with pytest.raises(InputError, match=r"^unit = 'mM'"):
        Gel(ions=salt(), unit="mM", concentration_unit="mM")


@pytest.mark.parametrize(
    ("charges", "said"),
    [
        ({"solid": -1.0}, r"^fixed_charges\.solid = -1.*without ions.*Give an ion a diffusivity"),
        ({"jel": -1.0}, r"^fixed_charges = 'jel'.*Did you mean 'gel'"),
        ({"gel": math.nan}, r"^fixed_charges\.gel = nan"),
        ({"gel": 1e300}, r"^fixed_charges\.gel = 1e\+300.*'plus'.*Leave the ion out"),
    ],
)
def test_charges_that_cannot_be_are_refused(charges, said):
    with pytest.raises(InputError, match=said):
        equilibria(salt(), charges, ("gel", "water", "solid"))


def test_an_ion_alone_in_a_phase_is_refused_where_nothing_balances_it():
    alone = [Ion(name="plus", valence=1, bath=1.0, diffusivities={"gel": 1.0, "water": 1.0}),
             Ion(name="minus", valence=-1, bath=1.0, diffusivities={"water": 1.0})]  # fmt: skip
    with pytest.raises(InputError, match=r"^fixed_charges\.gel = 0\.0.*only cations"):
        equilibria(alone, {}, ("gel", "water"))


@pytest.mark.parametrize("valences", [(1, -1), (2, -1), (3, -2)])
def test_the_steady_layers_conduct_less_than_the_frozen_ones(valences):
    baths = (-valences[1], valences[0])
    ions = salt(valences=valences, baths=baths)
    fractions = {"gel": 0.3, "water": 0.7}
    steady, frozen = (rule(ions, {"gel": -5.0}, fractions) for rule in (layered_gel_steady, layered_gel_frozen))
    assert steady.conductivity < 0.99 * frozen.conductivity
    assert abs(steady.transference["plus"] - frozen.transference["plus"]) > 1e-3
    assert sum(steady.transference.values()) == pytest.approx(1.0, abs=1e-15)
    # without a charge, and with like ratios of the diffusivities, nothing accumulates
    plain = [rule(ions, {}, fractions).conductivity for rule in (layered_gel_steady, layered_gel_frozen)]
    assert plain[0] == pytest.approx(plain[1], rel=1e-15)
    with pytest.raises(InputError, match="add up to 1"):
        layered_gel_steady(ions, {}, {"gel": 0.3, "water": 0.3})


def spread(rng, d=2, width=0.05):
    """A positive matrix with bounds around it, off their middle."""
    root = rng.normal(size=(d, d))
    value = root @ root.T + 0.2 * np.eye(d)
    parts = [width * rng.uniform() * (r @ r.T) for r in rng.normal(size=(2, d, d))]
    return Sides(value=value, lower=value - 0.5 * np.linalg.eigvalsh(value)[0] * parts[0] / np.trace(parts[0]),
                 upper=value + parts[1])  # fmt: skip


def inside(rng, sides):
    """A matrix between the bounds: with the root of their distance turned and shrunk."""
    sizes, axes = np.linalg.eigh(sides.upper - sides.lower)
    root = axes * np.sqrt(np.maximum(sizes, 0.0))
    turn, _ = np.linalg.qr(rng.normal(size=(len(sizes), len(sizes))))
    return sides.lower + root @ (turn * rng.choice([0.0, 1.0, 0.5], size=len(sizes))) @ turn.T @ root.T


def test_bounds_of_what_follows_hold_for_every_transport_between_the_bounds():
    rng = np.random.default_rng(7)
    ions = [
        Ion(name=name, valence=z, bath=c, diffusivities={"gel": 1.0})
        for name, z, c in (("a", 1, 2.0), ("b", 2, 1.0), ("c", -1, 4.0))
    ]
    stored = np.array([[1.5, -0.4, 0.7], [-0.4, 0.5, 0.6], [0.7, 0.6, 1.9]])
    reached = 0.0
    for _ in range(200):
        parts = [spread(rng) for _ in ions]
        rest = added([parts[1].scaled(4.0), parts[2]])
        own = transference(parts[0], rest)
        drawn = [inside(rng, part) for part in parts]
        sigma = drawn[0] + 4.0 * drawn[1] + drawn[2]
        t = drawn[0] @ np.linalg.inv(sigma)
        assert np.all(own.lower <= t)
        assert np.all(t <= own.upper)
        assert np.all((own.lower <= own.value) & (own.value <= own.upper))
        reached = max(reached, float(((t - own.lower) / (own.upper - own.lower)).max()))
        both = of_inverse(parts[0], -0.3, 0.8), of_inverse(parts[0], 0.3, 0.8)
        for sign, sides in zip((-1.0, 1.0), both, strict=True):
            exact = sign * 0.3 * np.linalg.inv(drawn[0]) + 0.8 * np.eye(2)
            assert np.linalg.eigvalsh(exact - sides.lower)[0] >= 0.0
            assert np.linalg.eigvalsh(sides.upper - exact)[0] >= 0.0
        entries = Sides(value=parts[1].value, lower=parts[1].value - 0.1, upper=parts[1].value + 0.1)
        quotient = over(entries, parts[0])
        exact = (parts[1].value + rng.uniform(-0.1, 0.1, (2, 2))) @ np.linalg.inv(drawn[0])
        assert np.all((quotient.lower <= exact) & (exact <= quotient.upper))
        for pair, s in ((ions[::2], stored[np.ix_([0, 2], [0, 2])]), (ions, stored)):
            chosen = [k for k, ion in enumerate(ions) if ion in pair]
            n = zero_current([ion.valence for ion in pair], [drawn[k] for k in chosen])
            d = n[: 2 * len(pair) - 2, : 2 * len(pair) - 2] @ np.kron(np.linalg.inv(s[:-1, :-1]), np.eye(2))
            known = salt_diffusion(Gel(ions=[Ion(name=i.name, valence=i.valence, bath=b, diffusivities={"gel": 1.0})
                                             for i, b in zip(pair, (2.0, 1.0, 4.0) if len(pair) > 2 else (1.0, 1.0),
                                                             strict=True)]),
                                   [parts[k] for k in chosen], s)  # fmt: skip
            for place, (sides, order) in enumerate(known.values()):
                i, j = divmod(place, len(pair) - 1)
                block = d[2 * i : 2 * i + 2, 2 * j : 2 * j + 2]
                if order == "loewner":
                    assert np.linalg.eigvalsh(block - sides.lower)[0] >= -1e-12
                    assert np.linalg.eigvalsh(sides.upper - block)[0] >= -1e-12
                else:
                    assert np.all((sides.lower <= block) & (block <= sides.upper))
    assert reached > 0.9  # the bounds are not idle


def test_at_zero_current_no_charge_flows():
    rng = np.random.default_rng(3)
    valences, tensors = (1, 2, -1, -3), [spread(rng, 3).value for _ in range(4)]
    n = zero_current(valences, tensors).reshape(4, 3, 4, 3)
    assert np.abs(np.einsum("i,iajb->ajb", valences, n)).max() <= 1e-12
    assert np.linalg.eigvalsh(n.reshape(12, 12))[0] >= -1e-12
    # the definition: the least dissipation over the field
    x = rng.normal(size=(4, 3))
    sigma = sum(z**2 * tensor for z, tensor in zip(valences, tensors, strict=True))
    field = -np.linalg.solve(sigma, sum(z * tensor @ y for z, tensor, y in zip(valences, tensors, x, strict=True)))
    least = sum((y + z * field) @ tensor @ (y + z * field) for z, tensor, y in zip(valences, tensors, x, strict=True))
    assert np.einsum("ia,iajb,jb->", x, n, x) == pytest.approx(least, rel=1e-12)


def sides(value, half):
    return Sides(value=value, lower=value - half, upper=value + half)


def test_bounds_of_a_quotient_are_no_wider_than_they_must_be():
    """In one direction: what the flux alone leaves is all of it, what the total alone leaves to first order."""

    def one(value, half):
        return sides(np.array([[value]]), np.array([[half]]))

    found = over(one(3.0, 0.2), one(4.0, 0.0))
    assert found.value == pytest.approx(0.75)
    assert (found.lower, found.upper) == (pytest.approx(0.7), pytest.approx(0.8))
    found = over(one(3.0, 0.0), one(4.0, 0.1))
    assert found.lower <= 3.0 / 4.1 < 3.0 / 3.9 <= found.upper
    assert found.upper - found.lower == pytest.approx(2 * 0.75 * 0.1 / 3.9, rel=1e-9)
    found = transference(one(3.0, 0.1), one(1.0, 0.0))
    assert found.lower <= 2.9 / 3.9 < 3.1 / 4.1 <= found.upper
    assert found.upper - found.lower == pytest.approx(2 * 0.25 * 0.1 / 3.9, rel=1e-9)


def test_bounds_of_a_quotient_hold_for_matrices():
    draw = np.random.default_rng(8)
    for _ in range(20):
        root = draw.standard_normal((2, 2))
        total, apart = root @ root.T + 0.5 * np.eye(2), 0.1 * np.diag(draw.uniform(0.0, 1.0, 2))
        flux, half = draw.standard_normal((2, 2)), draw.uniform(0.0, 0.1, (2, 2))
        found = over(sides(flux, half), sides(total, apart))
        for _ in range(50):
            one = flux + half * draw.choice([-1.0, 1.0], (2, 2))
            other = total + apart * np.diag(draw.choice([-1.0, 1.0], 2))
            quotient = one @ np.linalg.inv(other)
            assert np.all(found.lower <= quotient)
            assert np.all(quotient <= found.upper)


def test_what_adds_up_is_bounded_to_its_last_digit():
    """Sums of bounds, in fractions: rounding alone would leave some of them outside."""
    rng, outside = np.random.default_rng(3), 0
    for _ in range(40):
        numbers, factor = rng.uniform(0.1, 1.0, 5), rng.uniform(0.1, 10.0)
        parts = [Sides(value=one * np.eye(2), lower=one * np.eye(2), upper=one * np.eye(2)) for one in numbers]
        found = added(parts).scaled(factor)
        exact = Fraction(factor) * sum(map(Fraction, numbers.tolist()))
        outside += Fraction(found.lower[0, 0]) > exact or Fraction(found.upper[0, 0]) < exact
        found = found.outwards()
        assert Fraction(found.lower[0, 0]) <= exact <= Fraction(found.upper[0, 0])
    assert outside


@pytest.mark.parametrize("size", [1.0, 1e-9])
def test_frozen_fluxes_of_two_phases_follow_from_their_sum(size):
    """In each phase, in any unit."""
    ions = [
        Ion(name=ion.name, valence=ion.valence, bath=ion.bath,
            diffusivities={phase: size * value for phase, value in ion.diffusivities.items()})
        for ion in salt()
    ]  # fmt: skip
    gel, phases = Gel(ions=ions, fixed_charges={"gel": -2.0}), ("gel", "water")
    tensors = solved_gel(gel, phases, 2, lambda given: dict.fromkeys(given, EffectiveTensor(value=np.eye(2))))
    parts = frozen_parts(gel, tensors, True)
    assert parts is not None
    for ion in ions:
        alpha, beta = parts[ion.name]
        for phase, total in tensors.coefficients[FROZEN].items():
            own = tensors.coefficients[ion.name][phase]
            assert alpha * np.eye(2) + beta * total == pytest.approx(own, rel=1e-9)
