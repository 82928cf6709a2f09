"""Steps of ionic models: million nodes a second on one core, compiled and by NumPy, beside the NumPy code of gotranx.

    python tests/benchmarks/ionic.py [--model NAME ...] [--nodes 20000] [--json FILE]

Every code takes the same steps from the same states, in one process on one thread; the best CPU time of several repeats
counts. ``difference`` is that of all states from those of gotranx after one step, relative to the largest of each.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable
from typing import Any

import gotranx
import numpy as np
from gotranx.cli.gotran2py import get_code
from gotranx.codegen.python import Format
from gotranx.schemes import Scheme
from measure import machine, table, write_json

from homfem.kinetics.ionic import ionic_kinetics, kernels
from homfem.kinetics.ionic.registry import MODELS
from homfem.macro.reaction import CompiledReaction, make_reaction

STEP = 0.01
THEIRS = {
    "rush-larsen": Scheme.hybrid_rush_larsen,
    "generalized-rush-larsen": Scheme.generalized_rush_larsen,
    "explicit": Scheme.explicit_euler,
}


def start_of(kinetics: Any, nodes: int) -> np.ndarray:
    """Return V and states at nodes, from rest to far above the threshold; shape (1 + states, nodes)."""
    state = np.repeat(kinetics.start()[:, None], nodes, axis=1)
    state[0] += np.linspace(0.0, 60.0 if kinetics.fields[0].unit == "mV" else 0.6, nodes)
    return state


def rate(take: Callable[[], object], nodes: int, repeats: int) -> float:
    """Return million nodes a second of CPU time, the best of several repeats after one that does not count."""
    take()
    times = []
    for _ in range(repeats):
        begin = time.process_time()
        take()
        times.append(time.process_time() - begin)
    return nodes / min(times) / 1e6


def gotranx_step(name: str, scheme: str, kinetics: Any) -> tuple[Callable[..., np.ndarray], dict[str, Any]]:
    """Return the step of gotranx in NumPy, and the module with it."""
    # Without its pass for removable singularities: it did not end in ten minutes on the larger models.
    ode = gotranx.load.load_ode(MODELS / f"{name}.ode", remove_singularities=False)
    gates = [state.name for state in kinetics.states if state.gate]
    code = get_code(ode, scheme=[THEIRS[scheme]], format=Format.none, stiff_states=gates)
    module: dict[str, Any] = {}
    exec(compile(code, name, "exec"), module)
    return module[THEIRS[scheme].value], module


def cases(name: str, scheme: str, nodes: int, repeats: int) -> list[dict[str, Any]]:
    """Return the rates of every code for a model and a scheme."""
    kinetics = ionic_kinetics(name)
    state = start_of(kinetics, nodes)
    names = ["V", *(entry.name for entry in kinetics.states)]
    step, module = gotranx_step(name, scheme, kinetics)
    order = [module["state_index"](entry) for entry in names]
    theirs, p = np.empty_like(state), module["init_parameter_values"]()
    theirs[order] = state
    with np.errstate(all="ignore"):
        reached = np.array(step(theirs, 0.0, STEP, p))[order]
        found = [{"code": "gotranx, NumPy", "rate": rate(lambda: step(theirs, 0.0, STEP, p), nodes, repeats)}]
    for compile_ in (False, True):
        for degree in (1, 2):
            v = state[0].copy()
            start = {entry: state[k] for k, entry in enumerate(names) if k}
            begin = time.perf_counter()
            reaction = make_reaction(kinetics, {"V": v}, scheme=scheme, order=degree, start=start, compile=compile_)
            seconds = time.perf_counter() - begin
            reaction.step(0.0, STEP)
            values = np.vstack([v, reaction.states])
            difference = np.max(np.abs(values - reached) / np.abs(reached).max(axis=1, keepdims=True))
            compiled = isinstance(reaction, CompiledReaction)
            found.append({
                "code": ("compiled" if compiled else "NumPy") + f", order {degree}",
                "rate": rate(lambda r=reaction: r.step(0.0, STEP), nodes, repeats),
                "seconds to make": seconds,
                "difference": float(difference) if degree == 1 else None,
            })  # fmt: skip
    return [{"model": name, "scheme": scheme, "ratio": case["rate"] / found[0]["rate"], **case} for case in found]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", nargs="+", default=["tentusscher-panfilov-2006"])
    parser.add_argument("--scheme", nargs="+", default=list(kernels.SCHEMES), choices=kernels.SCHEMES)
    parser.add_argument("--nodes", type=int, default=20_000)
    parser.add_argument("--repeats", type=int, default=7)
    parser.add_argument("--json")
    options = parser.parse_args()
    results = []
    for name in options.model:
        for scheme in options.scheme:
            found = cases(name, scheme, options.nodes, options.repeats)
            results += found
            rows = [
                [r["code"], f"{r['rate']:.2f}", f"{r['ratio']:.1f}", *(f"{r[key]:.1e}" if r.get(key) is not None else ""
                 for key in ("difference", "seconds to make"))]
                for r in found
            ]  # fmt: skip
            head = ["code", "million nodes/s", "ratio", "difference", "seconds to make"]
            print(table(f"{name}, {scheme}, {options.nodes} nodes", head, rows), flush=True)
    if options.json:
        write_json(options.json, {"machine": machine(), "step": STEP, "nodes": options.nodes, "results": results})


if __name__ == "__main__":
    main()
