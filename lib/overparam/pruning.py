"""What pruning does to a vector: score every coordinate, keep the best, set the rest to zero."""

from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.special import ndtri

from overparam._validation import Array, count, generator, nonnegative_array, real_array, reject


@dataclass(frozen=True)
class SiPPRule:
    r"""Sensitivity-informed pruning of a linear model with independent features.

    The empirical sensitivity of weight j over n held-out inputs is, for many features, proportional
    to :math:`\sqrt{\lambda_j}|\hat\beta_j| M_j` with :math:`M_j = \max_{i \le n} |z_{ij}|`, an
    extreme value of n standard normals: the Hessian score times independent noise.

    Attributes
    ----------
    sample_size : int
        n, the number of held-out inputs; as it grows the rule tends to ``"hessian"``.

    Raises
    ------
    ValueError
        If it is not an integer of at least 1.

    References
    ----------
    .. [1] C. Baykal, L. Liebenwein, I. Gilitschenski, D. Feldman, D. Rus, "SiPPing neural
       networks: sensitivity-informed provable pruning", arXiv:1910.05422. The reduction to a linear
       model with independent features is this project's.

    Examples
    --------
    >>> SiPPRule(sample_size=50)
    SiPPRule(sample_size=50)
    """

    sample_size: int

    def __post_init__(self) -> None:
        object.__setattr__(self, "sample_size", count("sample_size", self.sample_size))

    def extreme_value(self, uniform: Array) -> Array:
        """Quantile function of M: map uniforms on (0, 1) to extreme values.

        Parameters
        ----------
        uniform : ndarray
            Probabilities.

        Returns
        -------
        ndarray
            P(M <= m) = (2 Phi(m) - 1)^n solved for m.

        Examples
        --------
        >>> float(SiPPRule(1).extreme_value(np.array(0.5)).round(4))  # median of |z|
        0.6745
        """
        # 1 - u^(1/n) without cancellation where u^(1/n) is near 1.
        upper_tail = -np.expm1(np.log(uniform) / self.sample_size) / 2
        return -ndtri(upper_tail)


Rule = Literal["magnitude", "hessian", "oracle", "random"] | SiPPRule
RULES = ("magnitude", "hessian", "oracle", "random")


def check_rule(rule: object) -> None:
    """Refuse anything that is not a pruning rule.

    Parameters
    ----------
    rule : str or SiPPRule
        To be checked.

    Raises
    ------
    ValueError
        If it is not one of `RULES` and no `SiPPRule`.

    Examples
    --------
    >>> check_rule("magnitude")
    """
    if not isinstance(rule, SiPPRule) and not (isinstance(rule, str) and rule in RULES):
        names = ", ".join(repr(name) for name in RULES)
        raise reject("rule", rule, f"must be one of {names} or a SiPPRule", "Pass one of these.")


def kept_count(keep: ArrayLike, p: int) -> NDArray[np.int64]:
    """Return how many of p coordinates a keep fraction leaves: max(1, round(keep p)).

    Parameters
    ----------
    keep : array_like
        Fractions in (0, 1].
    p : int
        Number of coordinates.

    Returns
    -------
    ndarray of int
        Of the shape of `keep`.

    Raises
    ------
    ValueError
        If a fraction is outside (0, 1].

    Examples
    --------
    >>> kept_count([0.001, 0.25, 1.0], 40)
    array([ 1, 10, 40])
    """
    fractions = real_array("keep", keep, (0, 1))
    if not np.all((fractions > 0) & (fractions <= 1)):
        raise reject("keep", keep, "must be in (0, 1]", "Pass the fraction of weights to keep.")
    return np.maximum(1, np.round(fractions * p)).astype(np.int64)


def prune(
    beta: ArrayLike,
    keep: ArrayLike,
    rule: Rule,
    *,
    variances: ArrayLike | None = None,
    saliency: ArrayLike | None = None,
    rng: np.random.Generator | None = None,
) -> Array:
    r"""Keep the highest-scoring coordinates of `beta` and set the others to zero.

    Parameters
    ----------
    beta : array_like of shape (p,)
        Coefficients.
    keep : float or array_like of shape (k,)
        Fraction(s) to keep, in (0, 1]; see `kept_count`.
    rule : str or SiPPRule
        The score: ``"magnitude"`` :math:`|\beta_i|`, ``"hessian"`` (optimal brain damage with the
        diagonal of the Hessian) :math:`\sqrt{\lambda_i}|\beta_i|`, `SiPPRule` the same times an
        extreme value drawn from `rng`, ``"oracle"`` the true saliency, ``"random"`` a uniform
        order drawn from `rng`. Ties are broken by index.
    variances : array_like of shape (p,), optional
        :math:`\lambda_i`, for ``"hessian"`` and SiPP; those of the sample may stand for them.
    saliency : array_like of shape (p,), optional
        :math:`\lambda_i {\beta^*_i}^2`, for ``"oracle"``.
    rng : numpy.random.Generator, optional
        For ``"random"`` and SiPP.

    Returns
    -------
    ndarray of shape (p,) or (k, p)
        A copy of `beta` for each keep fraction; nested, since all share one order.

    Raises
    ------
    ValueError
        If an argument is out of range or one that the rule needs is missing.

    Examples
    --------
    >>> prune([3.0, -1.0, 2.0, 0.5], keep=0.5, rule="magnitude")
    array([3., 0., 2., 0.])
    >>> prune([3.0, -1.0, 2.0, 0.5], 0.25, "hessian", variances=[0.01, 9.0, 1.0, 1.0])
    array([ 0., -1.,  0.,  0.])
    """
    array = real_array("beta", beta, (1,))
    check_rule(rule)
    score = _score(array, rule, variances, saliency, rng)
    kept = kept_count(keep, array.size)
    rank = np.empty(array.size, dtype=np.int64)
    rank[np.argsort(-score, kind="stable")] = np.arange(array.size)
    return np.where(rank < kept[..., None], array, 0.0)


def _score(
    beta: Array,
    rule: Rule,
    variances: ArrayLike | None,
    saliency: ArrayLike | None,
    rng: np.random.Generator | None,
) -> Array:
    if rule == "magnitude":
        return np.abs(beta)
    if rule == "random":
        return generator(rng).random(beta.size)
    if rule == "oracle":
        return _weights("saliency", saliency, beta.size)
    score = np.sqrt(_weights("variances", variances, beta.size)) * np.abs(beta)
    if isinstance(rule, SiPPRule):
        score *= rule.extreme_value(generator(rng).random(beta.size))
    return score


def _weights(name: str, value: ArrayLike | None, p: int) -> Array:
    array = nonnegative_array(name, value)
    if array.shape != (p,):
        raise reject(f"{name}.shape", array.shape, f"must be ({p},)", "Pass one for each weight.")
    return array
