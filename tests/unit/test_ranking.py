"""Rank scores against cases worked by hand, and what they do with useless input."""

import numpy as np
import pytest
from scipy.stats import kendalltau

from overparam import (
    bootstrap_models,
    conditional_mutual_information,
    granulated_kendall,
    kendall_tau,
    worst_sign_error,
)

SCORES = {
    "kendall": kendall_tau,
    "granulated": lambda m, g: granulated_kendall(m, g, {"x": np.arange(len(m))}).score,
    "information": lambda m, g: (
        conditional_mutual_information(m, g, {"x": np.arange(len(m)) % 2}, largest_set=1).score
    ),
    "sign error": lambda m, g: worst_sign_error(m, g, {"x": np.arange(len(m))}).worst,
}


def test_kendall_with_ties() -> None:
    """Pairs of (1,1) (2,2) (2,3) (3,2): agree, agree, agree, tie, tie, disagree."""
    measure, target = [1, 2, 2, 3], [1, 2, 3, 2]
    assert kendall_tau(measure, target, "a") == pytest.approx((3 - 1) / 6)
    # Five pairs are untied in the measure, five in the target.
    assert kendall_tau(measure, target, "b") == pytest.approx((3 - 1) / 5)


def test_kendall_against_scipy() -> None:
    rng = np.random.default_rng(0)
    for _ in range(20):
        x, y = rng.integers(0, 6, (2, 15))
        reference = kendalltau(x, y).statistic
        assert kendall_tau(x, y) == pytest.approx(reference, abs=1e-12)
        assert kendall_tau(x, y, weights=np.ones(15)) == pytest.approx(reference, abs=1e-12)


def test_weights_are_copies_without_pairs_among_themselves() -> None:
    """Models 1, 2, 3 with copies 2, 1, 1: pairs (1,2) twice, (1,3) twice, (2,3) once."""
    tau = kendall_tau([1, 2, 3], [1, 3, 2], "a", weights=[2, 1, 1])
    assert tau == pytest.approx((2 + 2 - 1) / 5)
    assert kendall_tau([1, 2, 3], [1, 3, 2], "a", weights=[1, 1, 0]) == 1


def test_granulated() -> None:
    """Width varies alone in two columns, one in order and one not; depth in three, all in order."""
    grid = {"width": [1, 1, 2, 2, 3, 3], "depth": [0, 1, 0, 1, 0, 1]}
    target = [1, 10, 2, 20, 3, 30]
    measure = [1, 6, 2, 5, 3, 4]
    result = granulated_kendall(measure, target, grid)
    assert result.axes == {"width": pytest.approx((1 - 1) / 2), "depth": pytest.approx(1.0)}
    assert result.score == pytest.approx(0.5)
    assert kendall_tau(measure, target, "a") > result.score  # the depth makes the rest


def test_granulated_leaves_out_lonely_settings() -> None:
    grid = {"width": [1, 2, 1], "depth": [0, 0, 1]}
    result = granulated_kendall([1, 2, 0], [1, 2, 3], grid)
    assert result.axes == {"width": 1.0, "depth": -1.0}
    with pytest.raises(ValueError, match="varies alone"):
        granulated_kendall([1, 2], [1, 2], {"width": [1, 2], "depth": [1, 2]})


def test_information_by_hand() -> None:
    """One condition with values 0 (models 0, 1, 2) and 1 (model 3).

    Cells: (0,0) has six ordered pairs, (0,1) and (1,0) three each. In (0,0) the measure orders as
    the target does (one bit of one); from 0 to 1 the target always rises, entropy zero.
    """
    grid = {"x": [0, 0, 0, 1]}
    measure, target = [1, 2, 3, 0], [1, 2, 3, 4]
    result = conditional_mutual_information(measure, target, grid, largest_set=1)
    assert result.sets["x",] == pytest.approx(1.0)
    # Without the condition: of twelve pairs, agree in 6, disagree in 6: nothing is known.
    assert result.sets[()] == pytest.approx(0.0, abs=1e-12)
    assert result.score == pytest.approx(0.0, abs=1e-12)


def test_the_two_weightings_differ_on_an_unbalanced_grid() -> None:
    """Cell (0,0): six pairs, the order known. Cell (1,1): two pairs, a tie in the measure.

    From 0 to 1 all pairs rise in the target. Information in nats: (0,0) log 2, (1,1) zero;
    entropies log 2 and log 2, in the other two cells zero. Pairs: weights 6 and 2 of 6 + 2, hence
    3/4. Cells alike: 1/2.
    """
    grid = {"x": [0, 0, 0, 1, 1]}
    measure, target = [1, 2, 3, 9, 9], [1, 2, 3, 4, 5]
    scores = {
        weighting: conditional_mutual_information(
            measure, target, grid, weighting=weighting, largest_set=1
        ).sets["x",]
        for weighting in ("pairs", "cells")
    }
    assert scores == {"pairs": pytest.approx(0.75), "cells": pytest.approx(0.5)}


def test_conditions_that_determine_the_order_are_left_out() -> None:
    grid = {"x": [0, 1, 2], "y": [0, 0, 1]}
    result = conditional_mutual_information([3, 1, 2], [1, 2, 3], grid)
    assert ("x",) not in result.sets
    assert set(result.sets) == {(), ("y",)}


def test_values_of_conditions_are_not_joined_as_strings() -> None:
    """1 and 12 differ from 11 and 2, which some published code confuses."""
    first = {"a": ["1", "11", "1", "11"], "b": ["12", "2", "12", "2"]}
    second = {"a": [0, 1, 0, 1], "b": [0, 1, 0, 1]}
    values = [1, 2, 3, 4], [1, 3, 2, 4]
    scores = [conditional_mutual_information(*values, grid).sets for grid in (first, second)]
    assert scores[0] == scores[1]


def test_sign_error() -> None:
    """Width 1 against 2 agrees in one of two depths; 2 against 3 in both; 1 against 3 in none."""
    grid = {"width": [1, 1, 2, 2, 3, 3], "depth": [0, 1, 0, 1, 0, 1]}
    target = [1, 1, 2, 2, 3, 3]
    measure = [5.0, 2.0, 0.0, 3.0, 1.0, 3.0]
    result = worst_sign_error(measure, target, grid)
    width = {key[1:]: error for key, error in result.environments.items() if key[0] == "width"}
    assert width == {(1, 2): 0.5, (1, 3): 0.5, (2, 3): 0.25}
    assert result.worst == 0.5
    assert worst_sign_error([5, 4, 3, 2, 1, 0], target, grid).worst == 1.0
    with pytest.raises(ValueError, match="environment"):
        worst_sign_error(measure, target, grid, fewest=4)


@pytest.mark.parametrize("name", SCORES)
@pytest.mark.parametrize(
    ("measure", "target", "match"),
    [
        ([], [], "empty"),
        ([1.0], [1.0], "two models"),
        ([1.0, np.nan, 2.0], [1.0, 2.0, 3.0], "finite"),
        ([1.0, 2.0, 3.0], [1.0, np.inf, 3.0], "finite"),
        ([1.0, 2.0], [1.0, 2.0, 3.0], "must be"),
    ],
)
def test_bad_models(name: str, measure: list, target: list, match: str) -> None:
    with pytest.raises(ValueError, match=match):
        SCORES[name](measure, target)


@pytest.mark.parametrize("name", SCORES)
def test_a_constant_measure_orders_nothing(name: str) -> None:
    expected = 0.5 if name == "sign error" else 0.0
    assert SCORES[name](np.ones(6), np.arange(6.0) ** 2) == pytest.approx(expected)


def test_a_constant_target_cannot_be_explained() -> None:
    assert kendall_tau([1, 2, 3], [1, 1, 1]) == 0
    with pytest.raises(ValueError, match="must order models"):
        conditional_mutual_information([1, 2, 3], [1, 1, 1], {"x": [1, 2, 3]})


@pytest.mark.parametrize("settings", [{}, None, {"x": [1, 2]}, {"x": [1.0, np.nan, 2.0]}])
def test_bad_grids(settings: object) -> None:
    for score in (granulated_kendall, conditional_mutual_information, worst_sign_error):
        with pytest.raises(ValueError, match="settings"):
            score([1, 2, 3], [1, 2, 3], settings)


def test_bad_weights_and_choices() -> None:
    with pytest.raises(ValueError, match="weights"):
        kendall_tau([1, 2, 3], [1, 2, 3], weights=[1, 0, 0])
    with pytest.raises(ValueError, match="variant"):
        kendall_tau([1, 2], [1, 2], "c")
    with pytest.raises(ValueError, match="weighting"):
        conditional_mutual_information([1, 2], [1, 2], {"x": [1, 2]}, weighting="all")
    with pytest.raises(ValueError, match="models"):
        bootstrap_models(lambda w: w.sum(), 2, 10, np.random.default_rng(0))


def test_bootstrap_error_against_many_samples_of_models() -> None:
    """The bootstrap's standard deviation is that of the score over fresh sets of models."""
    rng = np.random.default_rng(5)

    def models() -> tuple[np.ndarray, np.ndarray]:
        x = rng.standard_normal(60)
        return x, x + rng.standard_normal(60)

    fresh = np.std([kendall_tau(*models()) for _ in range(400)])
    estimates = []
    for _ in range(8):
        x, y = models()
        draws = bootstrap_models(lambda w, x=x, y=y: kendall_tau(x, y, weights=w), 60, 100, rng)
        estimates.append(draws.std())
    assert np.mean(estimates) == pytest.approx(fresh, rel=0.2)
