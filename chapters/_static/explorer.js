/* The page "Explorer": from the sliders to words, a picture and a link, and back.

   The numbers come from explorer-law.js. The state is what the inputs of the form hold, the part
   of the address after # repeats it, and nothing else is kept. */

(() => {
  "use strict";

  const { compute, riskCurve, POPULATION } = globalThis.overparam;
  const SLIDERS = ["n", "k", "s", "noise", "spectrum", "signal"];
  const CHOICES = ["rule", "axis"];
  const LINES = ["dense", "pruned", "retrained", "small"]; // as the classes in explorer.css
  const RULES = { hessian: "the Hessian rule", magnitude: "magnitude" };
  const AXES = { k: "number of features trained k", n: "number of samples n" };
  const FEWEST = 10; // where both axes begin
  const POINTS = 60; // on an axis, without those close to the threshold
  const PAUSE = 300; // milliseconds without a change before the reading is announced

  const form = document.getElementById("explorer-settings");
  const picture = document.getElementById("explorer-picture");
  const reading = document.getElementById("explorer-reading");
  const message = document.getElementById("explorer-message");

  // ---- The state: in the form, and in the address -----------------------------------------------

  function settings() {
    const numbers = SLIDERS.map((name) => [name, Number(form.elements[name].value)]);
    const choices = CHOICES.map((name) => [name, form.elements[name].value]);
    return Object.fromEntries([...numbers, ...choices]);
  }

  /* The inputs themselves keep a number in its range and on its grid. */
  function restore(text) {
    for (const [name, value] of new URLSearchParams(text)) {
      if (SLIDERS.includes(name) && value.trim() !== "" && Number.isFinite(Number(value))) {
        form.elements[name].value = value;
      } else if (name === "rule" && value in RULES) {
        form.elements.rule.value = value;
      } else if (name === "axis" && value in AXES) {
        form.elements.axis.value = value;
      }
    }
  }

  const link = () => `${location.href.split("#")[0]}#${new URLSearchParams(settings())}`;

  // ---- In words -----------------------------------------------------------------------------------

  const short = (x) => (x < 1000 ? String(Number(x.toPrecision(4))) : x.toExponential(2));

  function words(now, { effectiveRidge, dense, pruned, retrained, small }) {
    const { n, k, s, noise, rule } = now;
    const start = `${n} samples, ${k} features trained, ${s} weights kept, noise variance ${noise}. `;
    const alone = Number.isFinite(small)
      ? `The best model of at most ${s} features, trained alone, has risk ${short(small)}. `
      : "";
    if (dense === null) {
      return `${start}With as many features as samples, the risk of the trained model is infinite. ${alone}`;
    }
    const ridge =
      k > n
        ? `The fit interpolates, with effective ridge ${short(effectiveRidge)}. `
        : "There are fewer features than samples: the fit is ordinary least squares. ";
    const after =
      s < k
        ? `pruned to ${s} weights by ${RULES[rule]}, ${short(pruned)}`
        : "nothing has to be pruned";
    const again =
      retrained === null
        ? `too many weights are left to train again on ${n} samples. `
        : `retrained on fresh data, ${short(retrained)}. `;
    const routes = [
      [pruned, "training large and pruning"],
      [retrained ?? Infinity, "training large, pruning and retraining on fresh data"],
      [small, "training small"],
    ];
    const best = routes.reduce((a, b) => (b[0] < a[0] ? b : a))[1];
    const verdict = s < k ? `The least risk with ${s} weights is that of ${best}.` : "";
    return `${start}${ridge}Risk of the trained model, ${short(dense)}; ${after}; ${again}${alone}${verdict}`;
  }

  // ---- The picture ----------------------------------------------------------------------------------

  function element(name, attributes, text) {
    const node = document.createElementNS("http://www.w3.org/2000/svg", name);
    Object.entries(attributes).forEach(([key, value]) => node.setAttribute(key, value));
    if (text !== undefined) {
      node.textContent = text;
    }
    return node;
  }

  /* Whole numbers, evenly spaced on a logarithmic axis and closer around the threshold. */
  function positions(threshold, current) {
    const even = Array.from({ length: POINTS + 1 }, (_, i) =>
      Math.round(FEWEST * (POPULATION / FEWEST) ** (i / POINTS)),
    );
    const near = [0, 1, 2, 4, 8, 12].flatMap((d) => [threshold - d, threshold + d]);
    const all = [...even, ...near, current].filter((x) => x >= FEWEST && x <= POPULATION);
    return [...new Set(all)].sort((a, b) => a - b);
  }

  /* A path through the points, interrupted where a risk is infinite. */
  function path(points, line, x, y) {
    let pen = "M";
    return points
      .map((point) => {
        const risk = point[line];
        const drawn = Number.isFinite(risk); // null is not
        const piece = drawn ? `${pen}${x(point.value).toFixed(1)} ${y(risk).toFixed(1)}` : "";
        pen = drawn ? "L" : "M";
        return piece;
      })
      .join("");
  }

  function draw(now, result) {
    const { axis } = now;
    const width = Math.max(picture.clientWidth, 280);
    const height = Math.round(Math.min(Math.max(width * 0.6, 260), 400));
    const frame = { left: 52, right: width - 12, top: 10, bottom: height - 44 };
    const top = 1.3 * (1 + now.noise); // above the risk of predicting zero
    const x = (value) =>
      frame.left +
      ((frame.right - frame.left) * Math.log(value / FEWEST)) / Math.log(POPULATION / FEWEST);
    const y = (risk) =>
      frame.bottom - ((frame.bottom - frame.top) * Math.min(risk, 20 * top)) / top;

    const svg = element("svg", {
      viewBox: `0 0 ${width} ${height}`, role: "img", "aria-labelledby": "explorer-title",
      "aria-describedby": "explorer-reading",
    });
    svg.append(element("title", { id: "explorer-title" }, `Risk against ${AXES[axis]}`));
    const inside = element("clipPath", { id: "explorer-inside" });
    inside.append(
      element("rect", {
        x: frame.left, y: frame.top, width: frame.right - frame.left,
        height: frame.bottom - frame.top,
      }),
    );
    svg.append(inside);
    axes(svg, frame, x, y, top, AXES[axis]);

    const curves = element("g", { "clip-path": "url(#explorer-inside)" });
    const threshold = axis === "k" ? now.n : now.k;
    curves.append(vertical("explorer-threshold", x(threshold), frame));
    curves.append(vertical("explorer-here", x(now[axis]), frame));
    const points = riskCurve(now, axis, positions(threshold, now[axis]));
    for (const line of LINES) {
      curves.append(element("path", { class: `explorer-line ${line}`, d: path(points, line, x, y) }));
    }
    svg.append(curves);
    for (const line of LINES.filter((name) => Number.isFinite(result[name]) && result[name] <= top)) {
      const at = { cx: x(now[axis]), cy: y(result[line]), r: 4.5 };
      svg.append(element("circle", { class: line, ...at }));
    }
    picture.replaceChildren(svg);
  }

  function vertical(name, x, frame) {
    return element("line", { class: name, x1: x, x2: x, y1: frame.top, y2: frame.bottom });
  }

  function axes(svg, frame, x, y, top, label) {
    const step = [0.1, 0.2, 0.5, 1].find((size) => top / size <= 8);
    for (let risk = 0; risk <= top; risk += step) {
      svg.append(
        element("line", { class: "explorer-grid", x1: frame.left, x2: frame.right, y1: y(risk), y2: y(risk) }),
        element("text", { x: frame.left - 6, y: y(risk) + 4, "text-anchor": "end" }, risk.toFixed(1)),
      );
    }
    for (const value of [10, 20, 50, 100, 200, 500, 1000]) {
      const anchor = value === POPULATION ? "end" : "middle";
      const at = { x: x(value) + (value === POPULATION ? 8 : 0), y: frame.bottom + 16 };
      svg.append(
        vertical("explorer-grid", x(value), frame),
        element("text", { ...at, "text-anchor": anchor }, value),
      );
    }
    const middle = (frame.left + frame.right) / 2;
    const center = (frame.top + frame.bottom) / 2;
    svg.append(
      element("text", { x: middle, y: frame.bottom + 36, "text-anchor": "middle" }, label),
      element("text", { transform: `translate(14 ${center}) rotate(-90)`, "text-anchor": "middle" }, "risk"),
    );
  }

  // ---- From one change to everything that follows from it ----------------------------------------

  let pending = false;
  let pause = 0;

  /* Many changes before the next frame cause one picture. */
  function changed() {
    if (!pending) {
      pending = true;
      requestAnimationFrame(() => {
        pending = false;
        show();
      });
    }
  }

  function show() {
    const now = settings();
    const result = compute(now);
    for (const name of SLIDERS) {
      form.elements[`${name}-value`].value = now[name];
    }
    draw(now, result);
    message.textContent = "";
    // A screen reader speaks, and the address changes, when the slider has come to rest.
    clearTimeout(pause);
    pause = setTimeout(() => {
      reading.textContent = words(now, result);
      history.replaceState(null, "", link());
    }, PAUSE);
  }

  async function copyLink() {
    const address = link();
    history.replaceState(null, "", address);
    try {
      await navigator.clipboard.writeText(address);
      message.textContent = "The link is copied.";
    } catch {
      message.textContent = "The link is the address of this page now; copy it from there.";
    }
  }

  form.addEventListener("input", changed);
  form.addEventListener("submit", (event) => event.preventDefault());
  document.getElementById("explorer-copy").addEventListener("click", copyLink);
  document.querySelectorAll("[data-explorer]").forEach((button) =>
    button.addEventListener("click", () => {
      form.reset();
      restore(button.dataset.explorer);
      changed();
    }),
  );
  addEventListener("hashchange", () => {
    restore(location.hash.slice(1));
    changed();
  });
  addEventListener("resize", changed);

  restore(location.hash.slice(1));
  show();
})();
