"""Measure everything that the book says about cost, print the table, fail if a bar is missed.

    python benchmarks/run.py            measures for about three minutes, or goes on where it was
                                        interrupted, and keeps results in results/benchmarks.jsonl
    python benchmarks/run.py --show     prints the table of the results that are there

All numbers are ratios of CPU times, measured in turn and in random order on one thread.
"""

import argparse
import sys
from pathlib import Path
from typing import Any

import cases

from overparam import runs

RESULTS = Path(__file__).parents[1] / "results" / "benchmarks.jsonl"


def table(run: dict[str, Any]) -> tuple[list[str], list[str]]:
    """Lines to print for one task, and the bars that it misses."""
    rows: dict[str, dict[str, float]] = run["result"]["rows"]
    lines, missed = [], []
    settings = ", ".join(f"{key} {value:,}" for key, value in run["task"].items() if key != "case")
    lines.append(f"\n{run['task']['case']}: {settings}; ratios to {run['result']['base']}")
    for name, row in rows.items():
        known = ("seconds", "ratio", "low", "high")
        more = [f"{key} {value:g}" for key, value in row.items() if key not in known]
        spread = f"{row['ratio']:9.3g} ({row['low']:.3g} to {row['high']:.3g})"
        lines.append(f"  {name:33}{1e3 * row['seconds']:11.3f} ms {spread:28} {', '.join(more)}")
        for key, limit in row.items():
            if key.endswith(" at most") and row[key.removesuffix(" at most")] > limit:
                missed.append(f"{settings}: {name}: {key} {limit:g}")
            if key.startswith("times "):
                other = key.removeprefix("times ").removesuffix(" at least")
                if row["ratio"] < limit * rows[other]["ratio"]:
                    missed.append(f"{settings}: {name}: {key} {limit:g}")
    return lines, missed


def main() -> int:
    """Measure, print and judge."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--show", action="store_true", help="only print what is there")
    options = parser.parse_args()
    tasks = cases.tasks()
    if not options.show:
        if RESULTS.exists() and len(runs.read(RESULTS).runs) == len(tasks):
            RESULTS.unlink()
        runs.run_all(cases.measure, tasks, RESULTS)
    results = runs.read(RESULTS)
    print(*(f"{key}: {value}" for key, value in results.provenance.items()), sep="\n")
    every: list[str] = []
    for run in results.runs:
        lines, missed = table(run)
        print(*lines, sep="\n")
        every += missed
    print(f"\n{len(every)} bar(s) missed", *every, sep="\n  ")
    return 1 if every else 0


if __name__ == "__main__":
    sys.exit(main())
