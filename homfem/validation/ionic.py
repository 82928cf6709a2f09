"""Single cells beside other implementations: durations of action potentials, potentials, restitution."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from homfem.validation.rows import Row


@dataclass(frozen=True, kw_only=True, slots=True)
class CellBeat:
    """A beat of a single cell at 1 Hz by LSODA at 1e-10: durations in ms, potentials in mV, the upstroke in mV/ms."""

    beats: int
    amplitude: float
    duration: float
    apd90: float
    apd50: float
    rest: float
    peak: float
    upstroke: float
    source: str


_LSODA = "by SciPy's LSODA at a tolerance of 1e-10, independently of homfem"
_FORTY = {"amplitude": 40.0, "duration": 1.0}
_EIGHTY = {"amplitude": 80.0, "duration": 0.5}
_OHARA = (
    "O'Hara, Virag, Varro and Rudy 2011, PLOS Computational Biology 7, e1002061; the CellML file of Chaste's "
    f"collection after 1000 beats, {_LSODA}"
)
#: Membranes at 1 Hz from their own start: (model, variant) -> a beat.
IONIC_APD = {
    ("aliev-panfilov", None): CellBeat(
        beats=3, apd90=264.324, apd50=247.823, rest=-80.0, peak=19.243, upstroke=43.80, **_FORTY,
        source=f"Aliev and Panfilov 1996, Chaos, Solitons and Fractals 7, 293; their equations {_LSODA}",
    ),
    ("mitchell-schaeffer", None): CellBeat(
        beats=3, apd90=286.471, apd50=260.087, rest=-80.0, peak=14.552, upstroke=73.90, **_FORTY,
        source=f"Mitchell and Schaeffer 2003, Bulletin of Mathematical Biology 65, 767; their equations {_LSODA}",
    ),
    ("gray-pathmanathan-2016", None): CellBeat(
        beats=2, apd90=215.0694, apd50=187.6875, rest=-83.0, peak=36.899, upstroke=270.62, **_FORTY,
        source="Gray and Pathmanathan 2016, PLOS Computational Biology 12, e1005087; the file of Myokit's repository "
        + _LSODA,
    ),
    ("beeler-reuter", None): CellBeat(
        beats=4, apd90=283.3702, apd50=227.8511, rest=-84.428, peak=30.680, upstroke=149.89, **_FORTY,
        source=f"Beeler and Reuter 1977, Journal of Physiology 268, 177; Myokit's file, mended in x1, {_LSODA}",
    ),
    ("luo-rudy-1991", None): CellBeat(
        beats=5, apd90=361.6463, apd50=273.3998, rest=-84.4394, peak=42.033, upstroke=404.27, **_FORTY,
        source=f"Luo and Rudy 1991, Circulation Research 68, 1501; the CellML file of Chaste's collection {_LSODA}",
    ),
    ("ohara-rudy-2011", "endo"): CellBeat(
        beats=1,
        apd90=267.8068, apd50=207.9804, rest=-88.0029, peak=40.0008, upstroke=256.94, source=_OHARA, **_EIGHTY
    ),
}  # fmt: skip

TENTUSSCHER = (
    "ten Tusscher and Panfilov 2006, American Journal of Physiology Heart 291, H1088, epicardial; generalized "
    "Rush-Larsen steps of .005 ms, -52 A/F for 1 ms, independently of homfem"
)
#: ten Tusscher and Panfilov at 1 Hz: number of the beat -> APD90 in ms.
TENTUSSCHER_BEATS = {1: 290.15, 10: 306.08, 100: 302.97}
#: The same after 100 beats: diastolic interval -> APD90 in ms; after 15 ms nothing is captured.
TENTUSSCHER_RESTITUTION = {
    1000.0: 303.63,
    500.0: 300.36,
    300.0: 290.12,
    200.0: 274.21,
    100.0: 232.63,
    50.0: 188.79,
    35.0: 170.48,
}


def ionic_rows() -> Iterator[Row]:
    """Pace each membrane and yield its numbers; some ten seconds on one core."""
    yield from _beats()
    yield from _restitution()


def _beats() -> Iterator[Row]:
    from homfem.kinetics.ionic import Pacing, ionic_kinetics, pace

    for (name, variant), theirs in IONIC_APD.items():
        pacing = Pacing(amplitude=theirs.amplitude, duration=theirs.duration, step=0.01)
        beat = pace(ionic_kinetics(name, variant), pacing, beats=theirs.beats).beats[-1]
        told = f"{name} ({variant})" if variant else name
        for what, unit, allowed in (
            ("apd90", "ms", 1e-4),
            ("apd50", "ms", 1e-4),
            ("rest", "mV", 1e-5),
            ("peak", "mV", 1e-3),
            ("upstroke", "mV/ms", 5e-3),
        ):
            numbers = {"ours": getattr(beat, what), "theirs": getattr(theirs, what), "allowed": allowed, "unit": unit}
            yield Row(name=f"{told}: {_WORDS[what]}", source=theirs.source, **numbers)


_WORDS = {
    "apd90": "APD90",
    "apd50": "APD50",
    "rest": "resting potential",
    "peak": "peak",
    "upstroke": "largest upstroke",
}


def _restitution() -> Iterator[Row]:
    from homfem.kinetics.ionic import Pacing, ionic_kinetics, pace, restitution

    kinetics, pacing = ionic_kinetics("tentusscher-panfilov-2006"), Pacing(order=1)
    last = max(TENTUSSCHER_BEATS)
    train = pace(kinetics, pacing, beats=last - 1)
    found = restitution(kinetics, list(TENTUSSCHER_RESTITUTION), pacing, beats=1, start=train.end)
    beats = (*train.beats, found.last)
    for number, theirs in TENTUSSCHER_BEATS.items():
        ours = beats[number - 1].apd90
        allowed = 0.3 / theirs
        yield Row(
            name=f"ten Tusscher-Panfilov: APD90 of beat {number}",
            ours=ours,
            theirs=theirs,
            unit="ms",
            allowed=allowed,
            source=TENTUSSCHER,
        )
    for (interval, theirs), ours in zip(TENTUSSCHER_RESTITUTION.items(), found.durations, strict=True):
        yield Row(
            name=f"ten Tusscher-Panfilov: APD90 after {interval:g} ms",
            ours=float(ours),
            theirs=theirs,
            unit="ms",
            allowed=0.5 / theirs,
            source=TENTUSSCHER,
        )
