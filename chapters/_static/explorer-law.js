/* The formulas of the book in plain JavaScript, for the page "Explorer".

   Same symbols and names as the Python package `overparam`, which a test compares with these
   functions in a browser. Arrays are indexed from 0: feature i of the book is entry i - 1. */

(() => {
  "use strict";

  const POPULATION = 1000; // features that carry signal, trained or not
  const FARTHEST = 40; // standard deviations: beyond, tails and densities are zero

  // ---- The normal distribution, to 1e-15 relative in both tails -------------------------------

  /* Cody (1969): rational approximations of erf and of exp(y^2) erfc(y). */
  const ERF = [
    [0.18577770618460315, 3.1611237438705656, 113.86415415105016, 377.485237685302, 3209.3775891384695],
    [1, 23.601290952344122, 244.02463793444417, 1282.6165260773723, 2844.2368334391706],
  ];
  const MIDDLE = [
    [2.1531153547440383e-8, 0.5641884969886701, 8.883149794388377, 66.11919063714163,
      298.6351381974001, 881.952221241769, 1712.0476126340707, 2051.0783778260716, 1230.3393547979972],
    [1, 15.744926110709835, 117.6939508913125, 537.1811018620099, 1621.3895745666903,
      3290.7992357334596, 4362.619090143247, 3439.3676741437216, 1230.3393548037495],
  ];
  const FAR = [
    [0.016315387137302097, 0.30532663496123236, 0.36034489994980445, 0.12578172611122926,
      0.016083785148742275, 0.0006587491615298378],
    [1, 2.568520192289822, 1.8729528499234672, 0.5279051029514284, 0.06051834131244132,
      0.0023352049762686918],
  ];

  const polynomial = (coefficients, x) => coefficients.reduce((sum, c) => sum * x + c, 0);
  const ratio = ([above, below], x) => polynomial(above, x) / polynomial(below, x);

  /* exp(-x^2/2). The square of a number with few digits is exact, so the exponent keeps its. */
  function gaussian(x) {
    const short = Math.trunc(x * 16) / 16;
    return Math.exp((-short * short) / 2) * Math.exp((-(x - short) * (x + short)) / 2);
  }

  const normalDensity = (x) => gaussian(x) / Math.sqrt(2 * Math.PI);

  function normalCdf(x) {
    const y = Math.abs(x) * Math.SQRT1_2;
    if (y <= 0.46875) {
      return 0.5 + 0.5 * x * Math.SQRT1_2 * ratio(ERF, y * y);
    }
    const scaled =
      y <= 4 ? ratio(MIDDLE, y) : (1 / Math.sqrt(Math.PI) - ratio(FAR, 1 / (y * y)) / (y * y)) / y;
    const tail = 0.5 * gaussian(x) * scaled;
    return x < 0 ? tail : 1 - tail;
  }

  // ---- The population ---------------------------------------------------------------------------

  /* Variances lambda_i = i^-spectrum, saliencies lambda_i beta*_i^2 = i^-signal over their sum,
     and what the features after the first k add up to, for every k. */
  function population({ spectrum, signal }) {
    const index = Float64Array.from({ length: POPULATION }, (_, i) => i + 1);
    const total = index.reduce((sum, i) => sum + i ** -signal, 0);
    const saliency = index.map((i) => i ** -signal / total);
    const beyond = new Float64Array(POPULATION + 1);
    for (let k = POPULATION - 1; k >= 0; k -= 1) {
      beyond[k] = beyond[k + 1] + saliency[k];
    }
    return { variances: index.map((i) => i ** -spectrum), saliency, beyond };
  }

  /* The first k features; the signal of the others is noise to whoever does not have them. */
  function restrict({ variances, saliency, beyond }, k, noise) {
    return {
      variances: variances.subarray(0, k),
      saliency: saliency.subarray(0, k),
      coefficients: saliency.subarray(0, k).map((w, i) => Math.sqrt(w / variances[i])),
      noiseVariance: noise + beyond[k],
    };
  }

  // ---- The law ----------------------------------------------------------------------------------

  /* Effective ridge: the root mu of sum_i lambda_i / (lambda_i + mu) = n, for p > n.

     With l = log mu, the head deficit H = sum_{i<=n} mu / (lambda_i + mu) and the tail surplus
     T = sum_{i>n} lambda_i / (lambda_i + mu), Psi(l) = log H - log T is zero at the root and has
     a slope between 1 and 2. So the root is between l - Psi and l - Psi/2; the step is Newton's,
     kept in there. `variances` descend. */
  function effectiveRidge(variances, n) {
    const p = variances.length;
    let mu = (((p - n) / n) * variances.reduce((sum, v) => sum + v, 0)) / p; // an upper bound
    let last = Infinity;
    for (let sweep = 0; sweep < 60; sweep += 1) {
      let [head, headSlope, tail, tailSlope] = [0, 0, 0, 0];
      for (let i = 0; i < p; i += 1) {
        const zeta = variances[i] / (variances[i] + mu);
        const complement = mu / (variances[i] + mu);
        if (i < n) {
          head += complement;
          headSlope += complement * zeta;
        } else {
          tail += zeta;
          tailSlope += zeta * complement;
        }
      }
      const psi = Math.log(head / tail);
      if (Math.abs(psi) < 1e-15 || last < 1e-9) {
        break; // After a step of 1e-9 Newton's next is 1e-18.
      }
      const newton = -psi / (headSlope / head + tailSlope / tail);
      const [low, high] = psi > 0 ? [-psi, -psi / 2] : [-psi / 2, -psi];
      const step = Math.min(Math.max(newton, low), high);
      last = Math.abs(step);
      mu *= Math.exp(step);
    }
    return mu;
  }

  /* Coordinate i of the fit behaves like N(zeta_i beta*_i, gamma zeta_i^2 / (n lambda_i)).

     For p > n, gamma = n (sigma^2 + sum_i (1-zeta_i)^2 lambda_i beta*_i^2) / sum_i zeta_i (1-zeta_i);
     for p < n, zeta_i = 1 and gamma = sigma^2 n / (n - p). Null at p = n, where gamma is infinite. */
  function minNormLaw(problem, n) {
    const { variances, saliency, coefficients, noiseVariance } = problem;
    const p = variances.length;
    if (p === n) {
      return null;
    }
    const mu = p > n ? effectiveRidge(variances, n) : 0;
    const shrinkage = variances.map((v) => v / (v + mu));
    const complement = variances.map((v) => mu / (v + mu));
    let risk = (noiseVariance * n) / (n - p);
    if (p > n) {
      const bias = saliency.reduce((sum, w, i) => sum + w * complement[i] ** 2, 0);
      const spread = shrinkage.reduce((sum, zeta, i) => sum + zeta * complement[i], 0);
      risk = (n * (noiseVariance + bias)) / spread;
    }
    return {
      problem,
      n,
      effectiveRidge: mu,
      risk,
      complement,
      mean: shrinkage.map((zeta, i) => zeta * coefficients[i]),
      std: shrinkage.map((zeta, i) => Math.sqrt(risk / (n * variances[i])) * zeta),
    };
  }

  // ---- Pruning ----------------------------------------------------------------------------------

  /* Score |beta_hat_i| (magnitude) or sqrt(lambda_i) |beta_hat_i| (Hessian): mean and deviation. */
  function scoreLaw(law, rule) {
    const weights = law.problem.variances.map((v) => (rule === "magnitude" ? 1 : Math.sqrt(v)));
    return {
      mean: law.mean.map((m, i) => m * weights[i]),
      std: law.std.map((v, i) => v * weights[i]),
    };
  }

  const clip = (x) => Math.min(Math.max(x, -FARTHEST), FARTHEST);

  /* Expected number of scores above t, and its derivative with respect to -log t. */
  function survivors({ mean, std }, t) {
    let [total, slope] = [0, 0];
    for (let i = 0; i < mean.length; i += 1) {
      const above = clip((t - mean[i]) / std[i]);
      const below = clip((-t - mean[i]) / std[i]);
      total += normalCdf(-above) + normalCdf(below);
      slope += ((normalDensity(above) + normalDensity(below)) / std[i]) * t;
    }
    return [total, slope];
  }

  /* The threshold t at which s scores survive: a bracketed Newton iteration for log survivors. */
  function selectionThreshold(score, s) {
    if (s >= score.mean.length) {
      return 0;
    }
    let [low, high] = [-Infinity, Infinity];
    let logT = Math.log(Math.max(...score.mean) + Math.max(...score.std));
    for (let step = 0; step < 200; step += 1) {
      const [total, slope] = survivors(score, Math.exp(logT));
      const excess = total > 0 ? Math.log(total / s) : -Infinity;
      [low, high] = excess > 0 ? [logT, high] : [low, logT];
      const newton = slope > 1e-300 && total > 0 ? (excess * total) / slope : -1;
      let next = logT + newton;
      if (Math.abs(newton) < 1e-14) {
        break;
      }
      if (!(low < next && next < high) || Math.abs(newton) > 2) {
        const bracketed = Number.isFinite(low) && Number.isFinite(high);
        next = bracketed ? (low + high) / 2 : logT + Math.sign(excess);
      }
      logT = next;
      if (Math.abs(newton) < 1e-7) {
        break; // Newton squares the error.
      }
    }
    return Math.exp(logT);
  }

  /* Risk after pruning to s weights, and after fitting the survivors to n fresh samples.

     Pruned: sigma^2 + sum_i lambda_i E (beta*_i - beta_hat_i 1{i kept})^2. Retrained:
     (sigma^2 + sum_i lambda_i beta*_i^2 P(i removed)) (n - 1) / (n - s - 1), null for s >= n - 1.
     Moments of a standard normal beyond and within the cutoff are sums of cdf and density. */
  function pruneAndRetrain(law, s, rule) {
    const { problem, n, complement, std } = law;
    const { variances, saliency, coefficients, noiseVariance } = problem;
    const kept = Math.min(s, variances.length);
    const score = scoreLaw(law, rule);
    const t = selectionThreshold(score, kept);
    let [pruned, missing] = [noiseVariance, 0];
    for (let i = 0; i < variances.length; i += 1) {
      const above = clip((t - score.mean[i]) / score.std[i]);
      const below = clip((-t - score.mean[i]) / score.std[i]);
      const [high, low] = [normalDensity(above), normalDensity(below)];
      const tail = normalCdf(-above) + normalCdf(below); // P(kept)
      const first = high - low; // E[H; kept]
      const second = tail + above * high - below * low; // E[H^2; kept]
      const removed = normalCdf(above) - normalCdf(below);
      const lost = coefficients[i] * complement[i];
      const keptError = lost ** 2 * tail - 2 * lost * std[i] * first + std[i] ** 2 * second;
      pruned += saliency[i] * removed + variances[i] * keptError;
      missing += saliency[i] * removed;
    }
    const retrained = kept < n - 1 ? ((noiseVariance + missing) * (n - 1)) / (n - kept - 1) : null;
    return { pruned, retrained };
  }

  /* Exact risk of the best model of at most s features that is trained on these alone. */
  function trainSmall(whole, n, s, noise) {
    let best = Infinity;
    for (let k = 1; k <= s && k < n - 1; k += 1) {
      best = Math.min(best, ((noise + whole.beyond[k]) * (n - 1)) / (n - k - 1));
    }
    return best;
  }

  // ---- What the page shows ----------------------------------------------------------------------

  /* All numbers for one setting: n samples, k features trained, s weights kept. */
  function compute(settings) {
    const { n, k, s, noise, rule } = settings;
    const whole = population(settings);
    const law = minNormLaw(restrict(whole, k, noise), n);
    return {
      small: trainSmall(whole, n, s, noise),
      effectiveRidge: law && law.effectiveRidge,
      dense: law && law.risk,
      ...(law ? pruneAndRetrain(law, s, rule) : { pruned: null, retrained: null }),
    };
  }

  /* The same along one axis, "k" or "n", at the given values; null where a risk is infinite. */
  function riskCurve(settings, axis, values) {
    const whole = population(settings);
    return values.map((value) => {
      const { n, k, s, noise, rule } = { ...settings, [axis]: value };
      const law = minNormLaw(restrict(whole, k, noise), n);
      const after = law ? pruneAndRetrain(law, s, rule) : { pruned: null, retrained: null };
      return { value, dense: law && law.risk, ...after, small: trainSmall(whole, n, s, noise) };
    });
  }

  globalThis.overparam = {
    POPULATION, normalCdf, normalDensity, population, restrict, effectiveRidge, minNormLaw,
    selectionThreshold, pruneAndRetrain, trainSmall, compute, riskCurve,
  };
})();
