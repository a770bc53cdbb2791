# ruff: noqa: INP001, T201 - a script, which prints what it found
"""Draw the picture of the README and print the numbers that the README quotes.

Run it as ``.venv/bin/python tools/readme_picture.py``; it takes about 20 seconds.

The question: n = 200 samples, 1000 features, and in the end the model may use 100 features. The
100 best ones carry 70 percent of the signal and have ten times the variance of the others. Train
on these 100, or train on more features, all of them if need be, and prune to 100?
"""

from pathlib import Path

import matplotlib as mpl
import numpy as np
from matplotlib import pyplot as plt
from numpy.typing import NDArray

import bookkit
from bookkit import style
from overparam import (
    LinearGaussianProblem,
    MonteCarlo,
    fit,
    min_norm_law,
    prune,
    pruned_risk,
    simulate,
)

Array = NDArray[np.float64]

PICTURE = Path(__file__).with_suffix(".svg")
SAMPLES, FEATURES, KEPT = 200, 1000, 100
REPLICATES = 40
# Nothing is simulated close to the peak, where the risk of a fit has no finite variance.
WIDTHS = np.array([25, 50, 75, 100, 125, 150, 170, 235, 275, 350, 450, 600, 800, 1000])
FINE_WIDTHS = np.r_[10:197:3, 204:300:4, 300:1001:20]


def the_problem() -> LinearGaussianProblem:
    """Return the population: informative features first."""
    best = np.arange(FEATURES) < KEPT
    variances = np.where(best, 10.0, 1.0)
    signal = np.where(best, 0.7 / KEPT, 0.3 / (FEATURES - KEPT))
    return LinearGaussianProblem(variances, np.sqrt(signal / variances), noise_variance=0.1)


def keep(width: int) -> float:
    """Fraction of the features that may stay."""
    return min(KEPT / width, 1.0)


def predict(problem: LinearGaussianProblem, width: int) -> tuple[float, float]:
    """Risk of the fit on the first features, before and after pruning."""
    law = min_norm_law(problem.restrict(np.arange(width)), SAMPLES)
    return law.risk, float(pruned_risk(law, keep(width), "hessian"))


def measure(rng: np.random.Generator) -> Array:
    """Risks of the fits to one sample, shape (2, widths): as trained, and pruned."""
    problem = the_problem()
    features, labels = problem.sample(SAMPLES, rng)
    fits = np.zeros((len(WIDTHS), FEATURES))
    pruned = np.zeros_like(fits)
    for row, width in enumerate(WIDTHS):
        fits[row, :width] = fit(features[:, :width], labels)
        pruned[row, :width] = prune(
            fits[row, :width], keep(width), "hessian", variances=problem.variances[:width]
        )
    return np.array([problem.risk(fits), problem.risk(pruned)])


def draw(theory: Array, simulation: MonteCarlo, small: float) -> None:
    """Write the picture."""
    style.use()
    fig, ax = plt.subplots(figsize=(8.0, 4.2))
    mean, error = simulation.mean, 2 * simulation.standard_error
    lines = (style.theory, style.second_theory)
    markers = ({}, {"marker": "s", "markerfacecolor": "white"})
    for row, name in enumerate(("train", f"train, then prune to {KEPT}")):
        for side in (FINE_WIDTHS < SAMPLES, FINE_WIDTHS > SAMPLES):
            label = f"{name}, theory" if side[0] else None
            ax.plot(FINE_WIDTHS[side], theory[row, side], **lines[row], label=label)
        look = {**style.simulation, **markers[row]}
        ax.errorbar(WIDTHS, mean[row], error[row], **look, label=f"{name}, simulation")
    ax.axhline(small, **style.threshold)
    for text, height, shift in (
        (f"train small: only the {KEPT} best features", small, 4),
        (f"train large, then prune to {KEPT}", theory[1, -1], -24),
    ):
        ax.annotate(
            text,
            (FEATURES, height),
            xytext=(0, shift),
            textcoords="offset points",
            horizontalalignment="right",
        )
    ax.set(
        xlabel=f"number of features trained, best first ({SAMPLES} samples)",
        ylabel=r"risk $\mathcal{R}$, noise included",
        xlim=(0, FEATURES + 20),
        ylim=(0.42, 8),
        yscale="log",
    )
    ax.set_yticks([0.5, 1, 2, 4, 8], labels=["0.5", "1", "2", "4", "8"])
    ax.minorticks_off()
    ax.legend(loc="upper right")
    # A fixed salt and no date make the file the same from run to run.
    with mpl.rc_context({"svg.hashsalt": PICTURE.name}):
        fig.savefig(PICTURE, metadata={"Date": None})
    plt.close(fig)


def main() -> None:
    """Compute, draw and print."""
    problem = the_problem()
    small = min_norm_law(problem.restrict(np.arange(KEPT)), SAMPLES).risk
    theory = np.array([predict(problem, int(width)) for width in FINE_WIDTHS]).T
    simulation = simulate(measure, REPLICATES, bookkit.seed("readme", "picture"))
    draw(theory, simulation, small)
    narrow = int(np.flatnonzero(WIDTHS == KEPT)[0])
    print("risk                       theory   simulation")
    for name, row, column, expected in (
        (f"train {KEPT}", 0, narrow, small),
        (f"train {FEATURES}", 0, -1, theory[0, -1]),
        (f"train {FEATURES}, prune to {KEPT}", 1, -1, theory[1, -1]),
    ):
        mean, error = simulation.mean[row, column], simulation.standard_error[row, column]
        print(f"{name:25}  {expected:.3f}    {mean:.3f} +- {error:.3f}")
    print(f"wrote {PICTURE.name}")


if __name__ == "__main__":
    main()
