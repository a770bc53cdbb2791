"""The page "Explorer" in a browser: its numbers are those of the library, its state is a link."""

import numpy as np
import pytest

from overparam import (
    LinearGaussianProblem,
    exact_risk,
    min_norm_law,
    pruned_risk,
    retrained_risk,
)

pytestmark = pytest.mark.pages

POPULATION = 1000
SETTINGS = 400


def random_settings(rng):
    """One setting that the sliders can have."""
    n = int(rng.integers(2, 101)) * 5
    k = int(rng.integers(1, 101)) * 10
    if rng.random() < 0.2:  # close to the threshold
        n = min(k, 500) // 10 * 10 + int(rng.choice([-5, 5]))
    return {
        "n": max(n, 10),
        "k": k,
        "s": int(rng.integers(1, 401)),
        "noise": int(rng.integers(0, 41)) * 0.05,
        "spectrum": int(rng.integers(0, 61)) * 0.05,
        "signal": int(rng.integers(0, 81)) * 0.05,
        "rule": str(rng.choice(["hessian", "magnitude"])),
    }


def by_library(setting):
    """What the page computes, from the package."""
    n, k, s = setting["n"], setting["k"], setting["s"]
    index = np.arange(1.0, POPULATION + 1)
    variances, saliency = index ** -setting["spectrum"], index ** -setting["signal"]
    coefficients = np.sqrt(saliency / saliency.sum() / variances)
    whole = LinearGaussianProblem(variances, coefficients, setting["noise"])
    small = [exact_risk(whole.restrict(range(j)), n) for j in range(1, min(s, n - 2) + 1)]
    found = {"small": min(small, default=np.inf)}
    if k == n:
        return found | dict.fromkeys(("effectiveRidge", "dense", "pruned", "retrained"))
    law = min_norm_law(whole.restrict(range(k)), n)
    keep, rule = min(s, k) / k, setting["rule"]
    found |= {"effectiveRidge": law.effective_ridge, "dense": law.risk}
    found["pruned"] = float(pruned_risk(law, keep, rule))
    refit = min(s, k) < n - 1
    found["retrained"] = float(retrained_risk(law, keep, rule, "fresh")) if refit else None
    return found


@pytest.fixture
def explorer(tab, site):
    """The page, opened at a setting."""

    def open_at(fragment=""):
        tab.goto("about:blank")
        tab.goto(f"{site}/chapters/explorer.html{fragment}")
        tab.wait_for_function(
            "() => /samples/.test(document.querySelector('#explorer-reading').textContent)"
        )
        return tab

    return open_at


def reading(tab):
    return tab.inner_text("#explorer-reading")


def test_numbers_are_those_of_the_library(explorer):
    rng = np.random.default_rng(20)
    settings = [random_settings(rng) for _ in range(SETTINGS)]
    page = explorer().evaluate("(all) => all.map((one) => overparam.compute(one))", settings)
    compared = 0
    for setting, found in zip(settings, page, strict=True):
        expected = by_library(setting)
        assert found.keys() == expected.keys()
        for name, value in expected.items():
            if value is None or np.isinf(value):
                assert found[name] in (None, np.inf), (setting, name)
            else:
                assert found[name] == pytest.approx(value, rel=1e-8, abs=0), (setting, name)
                compared += 1
    assert compared > 4 * SETTINGS


def test_the_curve_is_made_of_the_same_numbers(explorer):
    tab = explorer()
    for axis, values in (("k", [10, 150, 190, 210, 1000]), ("n", [10, 90, 110, 999])):
        base = {
            "n": 200,
            "k": 100,
            "s": 20,
            "noise": 0.3,
            "spectrum": 1,
            "signal": 1.5,
            "rule": "hessian",
        }
        curve = tab.evaluate("([s, a, v]) => overparam.riskCurve(s, a, v)", [base, axis, values])
        for value, point in zip(values, curve, strict=True):
            expected = by_library(base | {axis: value})
            del expected["effectiveRidge"]
            assert {name: point[name] for name in expected} == {
                name: number if number is None else pytest.approx(number, rel=1e-8)
                for name, number in expected.items()
            }


def test_normal_distribution(explorer):
    mpmath = pytest.importorskip("mpmath")
    x = [round(value, 3) for value in np.arange(-37, 9, 0.173)]
    found = explorer().evaluate("(all) => all.map((x) => overparam.normalCdf(x))", x)
    with mpmath.workdps(40):
        for value, at in zip(found, x, strict=True):
            exact = mpmath.erfc(-mpmath.mpf(at) / mpmath.sqrt(2)) / 2
            assert abs(value - exact) <= 1e-15 * exact, at


def test_keys_move_the_sliders_and_the_words_follow(explorer):
    tab = explorer()
    before = reading(tab)
    assert before.startswith("200 samples, 1000 features trained, 40 weights kept")
    tab.focus("#explorer-n")
    tab.keyboard.press("ArrowRight")
    tab.wait_for_function(
        "(old) => document.querySelector('#explorer-reading').textContent !== old", arg=before
    )
    assert reading(tab).startswith("205 samples")
    assert tab.inner_text("output[name=n-value]") == "205"
    assert "n=205" in tab.url
    number = by_library(
        {
            "n": 205,
            "k": 1000,
            "s": 40,
            "noise": 0.1,
            "spectrum": 1,
            "signal": 1.25,
            "rule": "hessian",
        }
    )
    assert f"Risk of the trained model, {number['dense']:.4g}" in reading(tab)
    tab.keyboard.press("Tab")
    assert tab.evaluate("() => document.activeElement.id") == "explorer-k"
    inputs = tab.locator("#explorer-settings input")
    for position in range(inputs.count()):
        assert inputs.nth(position).evaluate("(input) => input.labels.length") == 1
    assert tab.get_attribute("#explorer-reading", "aria-live") == "polite"


def test_a_link_reproduces_the_state(explorer):
    state = "n=150&k=300&s=25&noise=0.35&spectrum=0.5&signal=2.05&rule=magnitude&axis=n"
    tab = explorer(f"#{state}")
    words, picture = reading(tab), tab.inner_html("#explorer-picture")
    assert words.startswith(
        "150 samples, 300 features trained, 25 weights kept, noise variance 0.35"
    )
    assert "by magnitude" in words
    assert "number of samples" in picture
    tab.click("#explorer-copy")
    tab.wait_for_function("() => document.querySelector('#explorer-message').textContent")
    copied = tab.evaluate("() => navigator.clipboard.readText()")
    assert copied.endswith(f"#{state}")
    explorer()
    assert reading(tab) != words
    explorer(f"#{copied.split('#')[1]}")
    assert (reading(tab), tab.inner_html("#explorer-picture")) == (words, picture)
    explorer("#n=abc&k=&noise=-7&rule=best&unknown=1")  # What makes no sense is left out.
    assert reading(tab).startswith(
        "200 samples, 1000 features trained, 40 weights kept, noise variance 0."
    )
    assert (tab.elsewhere, tab.errors) == ([], [])


@pytest.mark.parametrize(
    ("button", "winner"),
    [
        ("The example", "training large and pruning"),
        ("Noisy labels", "training small"),
        ("Few features", "training small"),
    ],
)
def test_buttons_do_what_they_say(explorer, button, winner):
    tab = explorer()
    tab.get_by_role("button", name=button).click()
    tab.wait_for_timeout(800)
    assert reading(tab).endswith(f"is that of {winner}.")


def test_the_threshold_is_said_in_words(explorer):
    assert "the risk of the trained model is infinite" in reading(explorer("#n=200&k=200"))


def test_lines_are_drawn_in_both_modes(explorer):
    tab = explorer()
    styles = "(c) => getComputedStyle(document.querySelector(`#explorer-picture path.${c}`)).stroke"
    light = [tab.evaluate(styles, name) for name in ("dense", "pruned", "retrained", "small")]
    assert light[0] == "rgb(0, 114, 178)"  # the blue of bookkit.style.theory
    assert light[1] == "rgb(0, 158, 115)"
    tab.emulate_media(color_scheme="dark")
    tab.wait_for_function("() => document.documentElement.dataset.theme === 'dark'")
    dark = [tab.evaluate(styles, name) for name in ("dense", "pruned", "retrained", "small")]
    assert len(set(light)) == len(set(dark)) == 4
    assert not set(light) & set(dark)
