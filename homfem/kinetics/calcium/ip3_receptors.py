r"""IP3 receptors: De Young-Keizer with eight states, Li-Rinzel, Atri et al., and that of a wave in eggs.

**De Young, Keizer.** A subunit has three sites: for IP3, for calcium that activates, and for calcium that inactivates:
states :math:`x_{ijk}`, with 1 where a site is taken. IP3 binds with :math:`a_1` (:math:`a_3` where calcium
inactivates), the inactivating calcium with :math:`a_2` where IP3 is bound (:math:`a_4` where not), the activating one
with :math:`a_5`; each unbinds with :math:`a_i d_i`. Microscopic reversibility asks for :math:`d_1d_2 = d_3d_4`,
which sets :math:`d_4 = d_1 d_2/d_3` (printed: 0.1445 uM). Three subunits open a channel, :math:`x_{110}^3`.

**Li, Rinzel.** With the sites for IP3 and activation in equilibrium, the share h of subunits whose third site is free
is left:

.. math:: x_{110} = m_\infty h,\quad m_\infty = \frac{p}{p+d_1}\frac{c}{c+d_5},\qquad
    \dot h = a_2\bigl(Q_2 - (Q_2+c)h\bigr),\quad Q_2 = d_2\frac{p+d_1}{p+d_3},

which needs :math:`a_4 = a_2` where calcium binds without IP3. It is the limit of fast :math:`a_1, a_3, a_5`.

The flux is :math:`J = c_1 v_1 x_{110}^3(e - c)`, that of the leak :math:`c_1v_2(e - c)`, per volume of cytosol, with
the ratio :math:`c_1` of the volumes of ER and cytosol.

**Atri et al.** :math:`J = k_{flux}\,\mu(p)\,h\,(b + V_1c/(k_1+c))`, :math:`\mu = \mu_0 + \mu_1p/(k_\mu+p)`,
:math:`\tau_h\dot h = k_2^2/(k_2^2+c^2) - h`: of a store whose calcium does not matter.

Source: De Young, Keizer 1992, doi 10.1073/pnas.89.20.9895. Li, Rinzel 1994, doi 10.1006/jtbi.1994.1041. Atri, Amundson,
Clapham, Sneyd 1993, doi 10.1016/S0006-3495(93)81191-3.
"""

from __future__ import annotations

import itertools

from homfem.kinetics.calcium.fluxes import CYTOSOL, ER, VolumeFlux, number
from homfem.kinetics.calcium.mechanisms import Mechanism, State
from homfem.kinetics.calcium.pumps import DE_YOUNG_KEIZER_TABLE
from homfem.kinetics.calcium.receptors import Receptor, check_reversible

_C1 = number("c1", 0.185, "", "volume of the ER over that of the cytosol", DE_YOUNG_KEIZER_TABLE)
_LI_RINZEL = (
    number("a2", 0.2, "1/(uM*s)", "binding rate of the inactivating calcium", DE_YOUNG_KEIZER_TABLE),
    number("d1", 0.13, "uM", "dissociation constant of IP3", DE_YOUNG_KEIZER_TABLE),
    number("d2", 1.049, "uM", "dissociation constant of the inactivating calcium", DE_YOUNG_KEIZER_TABLE),
    number("d3", 0.9434, "uM", "dissociation constant of IP3, where calcium inactivates", DE_YOUNG_KEIZER_TABLE),
    number("d5", 0.08234, "uM", "dissociation constant of the activating calcium", DE_YOUNG_KEIZER_TABLE),
)
_RATES = (
    number("a1", 400.0, "1/(uM*s)", "binding rate of IP3", DE_YOUNG_KEIZER_TABLE),
    number("a3", 400.0, "1/(uM*s)", "binding rate of IP3, where calcium inactivates", DE_YOUNG_KEIZER_TABLE),
    number("a4", 0.2, "1/(uM*s)", "binding rate of the inactivating calcium without IP3", DE_YOUNG_KEIZER_TABLE),
    number("a5", 20.0, "1/(uM*s)", "binding rate of the activating calcium", DE_YOUNG_KEIZER_TABLE),
)


def store_leak(v2: float = 0.11) -> Mechanism:
    """Return the leak of the ER as these papers have it, per volume of cytosol: ``v2`` in 1/s."""
    return Mechanism(
        name="leak",
        fluxes=(VolumeFlux(name="leak", source=ER, target=CYTOSOL, expression="c1*v2*(e - c)"),),
        parameters=(_C1, number("v2", v2, "1/s", "rate of the leak", DE_YOUNG_KEIZER_TABLE, zero=True)),
    )


def li_rinzel_receptor(v1: float = 6.0, source: str = DE_YOUNG_KEIZER_TABLE) -> Mechanism:
    """Return the IP3 receptor of Li and Rinzel: one gate ``h``."""
    return Mechanism(
        name="receptor",
        definitions={
            "m_inf": "ip3/(ip3 + d1)*c/(c + d5)",
            "q2": "d2*(ip3 + d1)/(ip3 + d3)",
            "open_ip3r": "(m_inf*h)^3",
        },
        fluxes=(VolumeFlux(name="receptor", source=ER, target=CYTOSOL, expression="c1*v1*open_ip3r*(e - c)"),),
        states=(
            State(
                name="h",
                rate="a2*(q2 + c)",
                target="q2/(q2 + c)",
                start=1.0,
                meaning="share of subunits that are not inactivated",
            ),
        ),
        parameters=(_C1, number("v1", v1, "1/s", "rate of the IP3 receptors", source, zero=True), *_LI_RINZEL),
        shares=(("h",),),
    )


def de_young_keizer_subunit() -> Receptor:
    """Return the eight states of a subunit, ``x000`` to ``x111``: IP3, activating calcium, inactivating calcium."""
    transitions = {}
    for i, j, k in itertools.product((0, 1), repeat=3):
        for site, taken in enumerate((i, j, k)):
            if taken:
                continue
            after = [i, j, k]
            after[site] = 1
            rate, constant, ligand = {
                0: ("a3", "d3", "ip3") if k else ("a1", "d1", "ip3"),
                1: ("a5", "d5", "c"),
                2: ("a2", "d2", "c") if i else ("a4", "d4", "c"),
            }[site]
            free, bound = f"x{i}{j}{k}", "x" + "".join(map(str, after))
            transitions[free, bound] = f"{rate}*{ligand}"
            transitions[bound, free] = f"{rate}*{constant}"
    names = tuple("x" + "".join(map(str, taken)) for taken in itertools.product((0, 1), repeat=3))
    sites = ("IP3", "activating calcium", "inactivating calcium")
    meanings = {
        name: "share of subunits with "
        + (", ".join(site for site, taken in zip(sites, name[1:], strict=True) if taken == "1") or "nothing bound")
        for name in names
    }
    return Receptor(states=names, transitions=transitions, definitions={"d4": "d1*d2/d3"}, meanings=meanings)


def de_young_keizer_receptor() -> Mechanism:
    """Return the IP3 receptor of De Young and Keizer: seven of its eight states."""
    subunit, parameters = de_young_keizer_subunit(), (*_LI_RINZEL, *_RATES)
    check_reversible(subunit, parameters)
    return Mechanism(
        name="receptor",
        definitions={**subunit.definitions, **subunit.rest(), "open_ip3r": "x110^3"},
        fluxes=(VolumeFlux(name="receptor", source=ER, target=CYTOSOL, expression="c1*v1*open_ip3r*(e - c)"),),
        states=subunit.relaxing(),
        parameters=(
            _C1,
            number("v1", 6.0, "1/s", "rate of the IP3 receptors", DE_YOUNG_KEIZER_TABLE, zero=True),
            *parameters,
        ),
        shares=(subunit.states[1:],),
    )


_ATRI = "Atri et al. 1993"


def atri_receptor(k_flux: float = 8.1) -> Mechanism:
    """Return the IP3 receptor of Atri et al.: one gate ``h``; the calcium of the store does not matter."""
    return Mechanism(
        name="receptor",
        definitions={"mu": "mu0 + mu1*ip3/(k_mu + ip3)", "open_ip3r": "mu*h*(b + v1*c/(k1 + c))"},
        fluxes=(VolumeFlux(name="receptor", source=ER, target=CYTOSOL, expression="k_flux*open_ip3r"),),
        states=(
            State(
                name="h",
                rate="1/tau_h",
                target="k2^2/(k2^2 + c^2)",
                start=1.0,
                meaning="share of receptors that are not inactivated",
            ),
        ),
        parameters=(
            number("k_flux", k_flux, "uM/s", "flux of all receptors open", _ATRI, zero=True),
            number("b", 0.111, "", "share that is activated without calcium", _ATRI, zero=True),
            number("v1", 0.889, "", "share that calcium activates", _ATRI, zero=True),
            number("k1", 0.7, "uM", "concentration at which calcium activates half", _ATRI),
            number("k2", 0.7, "uM", "concentration at which calcium inactivates half", _ATRI),
            number("tau_h", 2.0, "s", "time constant of the inactivation", _ATRI),
            number("mu0", 0.567, "", "share of receptors without IP3", _ATRI, zero=True),
            number("mu1", 0.433, "", "share of receptors that IP3 adds", _ATRI, zero=True),
            number("k_mu", 4.0, "uM", "concentration of IP3 at half of it", _ATRI),
        ),
        shares=(("h",),),
    )


def atri_membrane(gamma: float = 2.0, beta: float = 0.02) -> Mechanism:
    """Return pump and leak of Atri et al.: ``gamma*c/(k_gamma + c)`` out of the cytosol, ``beta`` into it, uM/s."""
    return Mechanism(
        name="pump and leak",
        fluxes=(
            VolumeFlux(name="pump", source=CYTOSOL, target=ER, expression="gamma*c/(k_gamma + c)"),
            VolumeFlux(name="leak", source=ER, target=CYTOSOL, expression="beta"),
        ),
        parameters=(
            number("gamma", gamma, "uM/s", "largest rate of the pumps", _ATRI, zero=True),
            number("k_gamma", 0.1, "uM", "concentration at half pump rate", _ATRI),
            number("beta", beta, "uM/s", "leak into the cytosol", _ATRI, zero=True),
        ),
    )


_EGG = "wave in Xenopus eggs (Wagner, Li, Smith, Keizer 1998, doi 10.1016/S0006-3495(98)77651-9), quoted"


def egg_receptor() -> Mechanism:
    r"""Return the IP3 receptor of a wave in eggs: :math:`\nu_c(\frac{p}{p+d_I}\frac{c}{c+d_a}h)^3(e-c)`.

    :math:`\tau\dot h = d_{inh} - (c + d_{inh})h`; the leak is :math:`\nu_L(e - c)`. The set as it is quoted has no
    :math:`\tau`, which is chosen here; with its IP3 of 0.96 uM and 10 uM in the ER these equations do not rest near
    its 0.115 uM but at 1.74 uM, and not stably, so that IP3 is chosen too (0.1 uM, at rest 0.081 uM).
    """
    return Mechanism(
        name="receptor",
        definitions={"open_ip3r": "(ip3/(ip3 + d_ip3)*c/(c + d_act)*h)^3"},
        fluxes=(
            VolumeFlux(name="receptor", source=ER, target=CYTOSOL, expression="nu_c*open_ip3r*(e - c)"),
            VolumeFlux(name="leak", source=ER, target=CYTOSOL, expression="nu_l*(e - c)"),
        ),
        states=(
            State(
                name="h",
                rate="(c + d_inh)/tau",
                target="d_inh/(c + d_inh)",
                start=1.0,
                meaning="share of receptors that are not inactivated",
            ),
        ),
        parameters=(
            number("nu_c", 460.0, "1/s", "rate of the IP3 receptors", _EGG, zero=True),
            number("nu_l", 0.06, "1/s", "rate of the leak", _EGG, zero=True),
            number("d_ip3", 0.02, "uM", "dissociation constant of IP3", _EGG),
            number("d_act", 1.3, "uM", "dissociation constant of the activating calcium", _EGG),
            number("d_inh", 0.55, "uM", "dissociation constant of the inactivating calcium", _EGG),
            number("tau", 4.0, "uM*s", "inverse of the binding rate of the inactivating calcium", "chosen"),
        ),
        shares=(("h",),),
    )
