r"""The table of named reactions: their rates as expressions, their parameters, where they are from.

Each has roles (species by their place) and rates r that a stoichiometry distributes; without one, each role has its
own. Units of parameters are written with ``{u}``, ``{t}``, ``{l}``: those of the species, of time and of length.

**Reaction on an interface** (first order, exchange). A surface rate :math:`k_s` (length per time) on an interface of
area :math:`|\Gamma|` per cell volume :math:`|Y|` consumes :math:`k_s|\Gamma|/|Y|\,u` per total volume where diffusion
over a period l is much faster, :math:`\mathrm{Da} = k_s l/D \ll 1`. It is the leading term, and an upper bound of the
rate at which a cell at rest decays (take the constant in the Rayleigh quotient).

**Negative values.** Solutions are not negative, iterates of a solver may be. Uptake with saturation goes on there as
an odd function, :math:`-V u/(K + |u|)`: once differentiable, without the pole at :math:`u = -K`, and it drives u back
to zero.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from homfem.kinetics.parameters import Parameter

_NONE = float("nan")


@dataclass(frozen=True, kw_only=True, slots=True)
class NamedReaction:
    """A reaction of the literature.

    Parameters
    ----------
    name : str
        Its name.
    meaning : str
        What it is, in words.
    source : str
        Where it is from.
    roles : tuple of str
        The species in its rates.
    rates : tuple of str
        The rates, as expressions.
    stoichiometry : tuple of rows or None
        What each role (row) gains from each rate.
    parameters : tuple of Parameter
        The table; NaN for what must be given. Numbers with units are for species without.
    pure : bool
        Whether it is scaled, so that its species have no unit.
    """

    name: str
    meaning: str
    source: str
    roles: tuple[str, ...] = ("u",)
    rates: tuple[str, ...]
    stoichiometry: tuple[tuple[float, ...], ...] | None = None
    parameters: tuple[Parameter, ...]
    pure: bool = False


def _rate(meaning: str, name: str = "rate", *, value: float = _NONE, source: str = "") -> Parameter:
    return Parameter(name=name, value=value, unit="1/{t}", meaning=meaning, source=source, at_least=0.0)


_CAPACITY = Parameter(name="capacity", value=1.0, unit="{u}", meaning="what the medium carries", above=0.0)
_AREA = Parameter(name="interface_area", value=0.0, unit="1/{l}", meaning="interface per total volume", at_least=0.0)

_ALL = (
    NamedReaction(
        name="fisher",
        meaning="logistic growth, u = 0 unstable",
        source="Fisher 1937, doi 10.1111/j.1469-1809.1937.tb02153.x",
        rates=("rate*u*(1 - u/capacity)",),
        parameters=(_rate("growth where u is small"), _CAPACITY),
    ),
    NamedReaction(
        name="nagumo",
        meaning="bistable: 0 and the capacity are stable, the threshold between them is not",
        source="Nagumo, Arimoto, Yoshizawa 1962, doi 10.1109/JRPROC.1962.288235",
        rates=("rate*u*(1 - u/capacity)*(u/capacity - threshold)",),
        parameters=(
            _rate("speed of the reaction"),
            Parameter(name="threshold", value=_NONE, meaning="unstable state, as a part of the capacity", above=0.0),
            _CAPACITY,
        ),
    ),
    NamedReaction(
        name="michaelis-menten",
        meaning="uptake that saturates",
        source="Michaelis, Menten 1913; Johnson, Goody 2011, doi 10.1021/bi201284u",
        rates=("-maximum*u/(half + abs(u))",),
        parameters=(
            Parameter(name="maximum", value=_NONE, unit="{u}/{t}", meaning="largest uptake", at_least=0.0),
            Parameter(name="half", value=_NONE, unit="{u}", meaning="u at half of the largest uptake", above=0.0),
        ),
    ),
    NamedReaction(
        name="zero-order",
        meaning="uptake that does not depend on u, as long as there is some: u may become negative",
        source="Krogh 1919, doi 10.1113/jphysiol.1919.sp001839",
        rates=("-rate",),
        parameters=(Parameter(name="rate", value=_NONE, unit="{u}/{t}", meaning="uptake; negative: release"),),
    ),
    NamedReaction(
        name="first-order",
        meaning="decay in the volume, on an interface, or both",
        source="Levenspiel 1999, Chemical Reaction Engineering, chapters 3 and 18",
        rates=("-(rate + surface_rate*interface_area)*u",),
        parameters=(
            _rate("decay per total volume", value=0.0),
            Parameter(name="surface_rate", value=0.0, unit="{l}/{t}", meaning="decay on the interface", at_least=0.0),
            _AREA,
        ),
    ),
    NamedReaction(
        name="exchange",
        meaning="transfer from a to b through an interface, until a = partition b; what one loses the other gains",
        source="Bird, Stewart, Lightfoot 2002, Transport Phenomena, section 22.4",
        roles=("a", "b"),
        rates=("(rate + transfer*interface_area)*(a - partition*b)",),
        stoichiometry=((-1.0,), (1.0,)),
        parameters=(
            _rate("transfer per total volume", value=0.0),
            Parameter(name="transfer", value=0.0, unit="{l}/{t}", meaning="coefficient of the film", at_least=0.0),
            _AREA,
            Parameter(name="partition", value=1.0, meaning="a over b in equilibrium", above=0.0),
        ),
    ),
    NamedReaction(
        name="bimolecular",
        meaning="a + b -> c by mass action",
        source="Guldberg, Waage 1879, doi 10.1002/prac.18790190111",
        roles=("a", "b", "c"),
        rates=("rate*a*b",),
        stoichiometry=((-1.0,), (-1.0,), (1.0,)),
        parameters=(
            Parameter(name="rate", value=_NONE, unit="1/{t}/{u}", meaning="rate of the reaction", at_least=0.0),
        ),
    ),
    NamedReaction(
        name="lotka-volterra",
        meaning="prey and predators",
        source="Lotka 1920, doi 10.1073/pnas.6.7.410; Volterra 1926, doi 10.1038/118558a0",
        roles=("prey", "predator"),
        rates=("growth*prey - predation*prey*predator", "yield_*predation*prey*predator - death*predator"),
        parameters=(
            _rate("growth of the prey alone", "growth"),
            Parameter(name="predation", value=_NONE, unit="1/{t}/{u}", meaning="prey eaten per predator", at_least=0.0),
            Parameter(name="yield_", value=1.0, meaning="predators per prey eaten", at_least=0.0),
            _rate("death of predators", "death"),
        ),
    ),
    NamedReaction(
        name="gray-scott",
        meaning="u + 2v -> 3v, v decays, u is fed: spots and stripes",
        source="Gray, Scott 1984, doi 10.1016/0009-2509(84)87017-7; Pearson 1993, doi 10.1126/science.261.5118.189",
        roles=("u", "v"),
        rates=("rate*u*v^2", "feed*(inlet - u)", "(feed + kill)*v"),
        stoichiometry=((-1.0, 1.0, 0.0), (1.0, 0.0, -1.0)),
        parameters=(
            Parameter(name="rate", value=1.0, unit="1/{t}/{u}^2", meaning="autocatalysis", at_least=0.0),
            _rate("flow through the reactor", "feed", value=0.04, source="Pearson 1993, figure 3"),
            _rate("decay of v", "kill", value=0.06, source="Pearson 1993, figure 3"),
            Parameter(name="inlet", value=1.0, unit="{u}", meaning="u in the feed", at_least=0.0),
        ),
    ),
    NamedReaction(
        name="schnakenberg",
        meaning="2u + v -> 3u, u decays, both are fed: Turing patterns",
        source="Schnakenberg 1979, doi 10.1016/0022-5193(79)90042-0",
        roles=("u", "v"),
        rates=("rate*(a - u + u^2*v)", "rate*(b - u^2*v)"),
        parameters=(
            _rate("speed of the reaction", value=1.0),
            Parameter(name="a", value=0.1, meaning="feed of u", source="Murray 2003, II, section 2.4", at_least=0.0),
            Parameter(name="b", value=0.9, meaning="feed of v", source="Murray 2003, II, section 2.4", at_least=0.0),
        ),
        pure=True,
    ),
    NamedReaction(
        name="brusselator",
        meaning="2u + v -> 3u, u -> v, u is fed and decays: oscillates for b > 1 + a^2",
        source="Prigogine, Lefever 1968, doi 10.1063/1.1668896",
        roles=("u", "v"),
        rates=("rate*(a + u^2*v - (b + 1)*u)", "rate*(b*u - u^2*v)"),
        parameters=(
            _rate("speed of the reaction", value=1.0),
            Parameter(name="a", value=1.0, meaning="feed of u", at_least=0.0),
            Parameter(name="b", value=3.0, meaning="conversion of u into v", at_least=0.0),
        ),
        pure=True,
    ),
)

#: Every named reaction by its name.
REACTIONS: Mapping[str, NamedReaction] = {entry.name: entry for entry in _ALL}
