"use strict";
// The page of theory: sliders on the left, four figures that are computed anew at every change.
(() => {
  const data = JSON.parse(document.getElementById("data").textContent);
  const byId = (id) => document.getElementById(id);
  const table = Gaussian.activations(data.constants);
  const LAYERS = 12, POINTS = 41;
  const [BLUE, ORANGE, GREEN, RED] = data.colours;
  const SHAPES = { vanishing: "v", exploding: "^", steady: "s" };
  const names = ["w", "b", "depth"];
  const planes = new Map();
  let state;

  // ---- state and address

  const topW = () => data.most_w[state.activation] || 5;
  const allowed = { w: (v) => v > 0 && v <= 1e6, b: (v) => v >= 0 && v <= 1e6, depth: (v) => Number.isInteger(v) && v >= 2 && v <= 2000 };

  function fromAddress() {
    const given = new URLSearchParams(location.hash.slice(1));
    const view = { ...data.first };
    if (table[given.get("activation")]) view.activation = given.get("activation");
    for (const name of names) if (given.get(name) && allowed[name](Number(given.get(name)))) view[name] = Number(given.get(name));
    return view;
  }

  function toAddress() {
    const told = new URLSearchParams();
    for (const name of ["activation", ...names]) if (state[name] !== data.first[name]) told.set(name, state[name]);
    const text = told.toString();
    if (text !== location.hash.slice(1)) history.replaceState(null, "", text ? "#" + text : location.pathname + location.search);
  }

  function change(update) {
    Object.assign(state, update);
    show();
  }

  const measured = () => data.measured.find((m) => m.activation === state.activation && m.w === state.w && m.b === state.b && m.depth === state.depth);

  // ---- figures

  function plane() {
    const key = state.activation;
    if (!planes.has(key)) {
      const entry = table[key];
      const [w, b] = [topW(), data.most_b];
      const [across, down] = [90, 48];
      const rows = [];
      for (let j = 0; j < down; j++) {
        const runs = [];
        for (let i = 0; i < across; i++) {
          const chaotic = MeanField.nearlyChi1(entry, ((i + 0.5) / across) * w, ((j + 0.5) / down) * b, data.q0) > 1;
          if (runs.length && runs[runs.length - 1].chaotic === chaotic) runs[runs.length - 1].end = i + 1;
          else runs.push({ chaotic, start: i, end: i + 1 });
        }
        rows.push(runs.map((r) => ({ chaotic: r.chaotic, left: (r.start / across) * w, right: (r.end / across) * w, low: (j / down) * b, high: ((j + 1) / down) * b })));
      }
      planes.set(key, { zones: rows.flat(), line: entry.homogeneous ? null : MeanField.criticalLine(entry) });
    }
    return planes.get(key);
  }

  function drawPhase(field) {
    const root = byId("phase");
    const [w, b] = [topW(), data.most_b];
    const grid = Chart.axes(root, { x: { low: 0, high: w, kind: "number", label: [["σ", ""], ["w", "sub"], ["2", "sup"]] },
      y: { low: -0.02 * b, high: b, kind: "number", label: [["σ", ""], ["b", "sub"], ["2", "sup"]] } });
    root.setAttribute("aria-label", `Phase diagram of ${state.activation}: this network is ${field.phase}`);
    const hatch = Chart.svg("pattern", { id: "hatch", width: 7, height: 7, patternUnits: "userSpaceOnUse", patternTransform: "rotate(45)" }, Chart.svg("defs", {}, root));
    Chart.svg("rect", { width: 7, height: 7, fill: "#fbeadd" }, hatch);
    Chart.svg("line", { x1: 0, x2: 0, y1: 0, y2: 7, stroke: "#eebf9c", "stroke-width": 2 }, hatch);
    const { zones, line } = plane();
    const middle = { true: [0, 0, 0], false: [0, 0, 0] };
    for (const z of zones) {
      const box = { x: grid.x(z.left), y: grid.y(z.high), width: grid.x(z.right) - grid.x(z.left) + 0.6, height: grid.y(z.low) - grid.y(z.high) + 0.6 };
      Chart.svg("rect", { ...box, fill: z.chaotic ? "url(#hatch)" : "#e3eef7", class: z.chaotic ? "chaotic" : "ordered" }, grid.inside);
      const at = middle[z.chaotic];
      at[0] += box.width;
      at[1] += box.width * (box.x + box.width / 2);
      at[2] += box.width * (box.y + box.height / 2);
    }
    if (line) {
      for (const stable of [true, false]) {
        const points = line.map((p) => (p.stable === stable ? [grid.x(p.w), grid.y(p.b)] : [NaN, NaN]));
        Chart.line(grid.inside, points, { stroke: "#000", "stroke-width": 2, ...(stable ? {} : { "stroke-dasharray": "5 4" }) });
      }
    } else {
      const critical = 1 / MeanField.meanField(table[state.activation], 1, 0).chi1;
      Chart.line(grid.inside, [[grid.x(critical), grid.y(0)], [grid.x(critical), grid.y(b)]], { stroke: "#000", "stroke-width": 2, "stroke-dasharray": "5 4" });
      Chart.mark(grid.inside, "o", grid.x(critical), grid.y(0), 4, { fill: "#000" });
    }
    const words = { false: ["ordered:", "gradients vanish"], true: ["chaotic:", "gradients explode"] };
    for (const chaotic of [false, true]) {
      const [size, x, y] = middle[chaotic];
      const whole = zones.reduce((n, z) => n + (z.right - z.left), 0);
      if (!size || size / (whole * (grid.right - grid.left) / w) < 0.08) continue;
      const place = Math.min(Math.max(x / size, grid.left + 60), grid.right - 60);
      words[chaotic].forEach((text, i) => Chart.svg("text", { x: place, y: y / size + 17 * i - 8, "text-anchor": "middle", class: "halo" }, grid.over, text));
    }
    const there = data.measured.filter((m) => m.activation === state.activation && m.w <= w && m.b <= b);
    const seen = new Set();
    for (const m of [...there].sort((p, q) => q.depth - p.depth)) {
      if (seen.has(`${m.w} ${m.b}`)) continue;
      seen.add(`${m.w} ${m.b}`);
      Chart.mark(grid.over, SHAPES[m.verdict] || "D", grid.x(m.w), grid.y(m.b), 5, { fill: "#fff", stroke: "#000", "stroke-width": 1.5, class: "measured" });
    }
    const [x, y] = [grid.x(Math.min(state.w, w)), grid.y(Math.min(state.b, b))];
    Chart.mark(grid.over, "X", x, y, 7, { fill: RED, stroke: "#fff", "stroke-width": 1 });
  }

  function drawCobweb(field, path) {
    const root = byId("cobweb");
    const entry = table[state.activation];
    const q = path.logq.slice(0, LAYERS).map(Math.exp);
    const settled = Number.isFinite(field.q_star) ? field.q_star : q[Math.min(3, q.length - 1)];
    const top = Math.max(1.15 * Math.max(q[0], settled), 1e-300);
    const grid = Chart.axes(root, { x: { low: 0, high: top, kind: "number", label: [["variance q of a layer", ""]] },
      y: { low: 0, high: top, kind: "number", label: [["variance of the next layer", ""]] } });
    root.setAttribute("aria-label", `Map of the variance; q* is ${field.q_star}`);
    Chart.line(grid.inside, [[grid.x(0), grid.y(0)], [grid.x(top), grid.y(top)]], { stroke: "#8b959d", "stroke-dasharray": "4 3" });
    const curve = [];
    for (let i = 0; i <= 80; i++) {
      const v = Math.max((i / 80) * top, 1e-12 * top);
      curve.push([grid.x(v), grid.y(state.w * Math.exp(Gaussian.moments(entry, Math.log(v)).phi2) + state.b)]);
    }
    Chart.line(grid.inside, curve, { stroke: BLUE, "stroke-width": 2.2 });
    const stairs = [[grid.x(q[0]), grid.y(0)]];
    for (let l = 0; l + 1 < q.length; l++) stairs.push([grid.x(q[l]), grid.y(q[l + 1])], [grid.x(q[l + 1]), grid.y(q[l + 1])]);
    Chart.line(grid.inside, stairs, { stroke: RED, "stroke-width": 1.2 });
    Chart.mark(grid.inside, "s", grid.x(q[0]), grid.y(0) - 4, 4, { fill: RED });
    Chart.svg("text", { x: grid.x(q[0]), y: grid.y(0) - 14, "text-anchor": q[0] > 0.6 * top ? "end" : "start", class: "halo" }, grid.over, "layer 1");
    if (Number.isFinite(field.q_star)) {
      Chart.mark(grid.inside, "o", grid.x(field.q_star), grid.y(field.q_star), 5, { fill: "#fff", stroke: "#000", "stroke-width": 1.5 });
      const left = field.q_star > 0.5 * top;
      Chart.svg("text", { x: grid.x(field.q_star) + (left ? -10 : 10), y: grid.y(field.q_star) + (left ? -9 : 18), "text-anchor": left ? "end" : "start", class: "halo" }, grid.over, "q*");
    }
  }

  function drawCorrelation(field, path) {
    const root = byId("correlation");
    const q = field.q_star > 0 && Number.isFinite(field.q_star) ? field.q_star : field.q_star === 0 ? 1e-9 : Math.exp(Math.min(path.logq[path.logq.length - 1], 20));
    const cs = Array.from({ length: POINTS }, (_, i) => i / (POINTS - 1));
    const becomes = MeanField.correlationMap(table[state.activation], state.w, state.b, q, cs);
    const low = Math.min(0, ...becomes);
    const grid = Chart.axes(root, { x: { low: 0, high: 1, kind: "number", label: [["correlation c of two inputs in a layer", ""]] },
      y: { low, high: 1.02, kind: "number", label: [["correlation in the next layer", ""]] } });
    root.setAttribute("aria-label", `Map of the correlation; c* is ${field.c_star}`);
    Chart.line(grid.inside, [[grid.x(0), grid.y(0)], [grid.x(1), grid.y(1)]], { stroke: "#8b959d", "stroke-dasharray": "4 3" });
    Chart.line(grid.inside, cs.map((c, i) => [grid.x(c), grid.y(becomes[i])]), { stroke: GREEN, "stroke-width": 2.2 });
    if (Number.isFinite(field.c_star)) {
      Chart.mark(grid.over, "o", grid.x(field.c_star), grid.y(field.c_star), 5, { fill: "#fff", stroke: "#000", "stroke-width": 1.5 });
      const left = field.c_star > 0.5;
      Chart.svg("text", { x: grid.x(field.c_star) + (left ? -4 : 10), y: grid.y(field.c_star) + (left ? 26 : 18), "text-anchor": left ? "end" : "start", class: "halo" }, grid.over, "c*");
    }
  }

  function drawProfile(path) {
    const root = byId("profile");
    const own = measured();
    const anchor = own ? own.delta[own.delta.length - 1] : 0;
    const delta = path.delta.map((v) => v + anchor);
    const forward = path.logq.map((v) => v / (2 * Math.LN10));
    const values = [...delta, ...forward, ...(own ? [...own.delta, ...own.forward] : [])].filter((v) => v !== null && Number.isFinite(v));
    let [low, high] = [Math.min(...values), Math.max(...values)];
    const floors = data.floors.filter((f) => f.at >= low - 8 && f.at <= high);
    for (const f of floors) low = Math.min(low, f.at);
    const room = Math.max(0.05 * (high - low), 0.1);
    const side = Math.min(0.02 * state.depth, 0.9);
    const grid = Chart.axes(root, { x: { low: 1 - side, high: state.depth + side, kind: "count", label: [["layer (1 = next to the input)", ""]] },
      y: { low: low - room, high: high + room, kind: "log", label: [["root mean square", ""]] } });
    const first = delta[0] - anchor;
    root.setAttribute("aria-label", `Profile over ${state.depth} layers; the delta of the first layer is 10 to the power ${first.toFixed(2)} of the last one's`);
    for (const f of floors) {
      Chart.line(grid.inside, [[grid.left, grid.y(f.at)], [grid.right, grid.y(f.at)]], { stroke: "#5a646c", "stroke-width": 1.2, "stroke-dasharray": f.dash.join(" "), class: "floor" });
      Chart.svg("text", { x: grid.right - 4, y: grid.y(f.at) - 5, "text-anchor": "end", class: "halo" }, grid.over, f.name);
    }
    const at = (v, i) => [grid.x(i + 1), grid.y(v)];
    Chart.line(grid.inside, forward.map(at), { stroke: ORANGE, "stroke-width": 2.2, "stroke-dasharray": "8 4" });
    Chart.line(grid.inside, delta.map(at), { stroke: BLUE, "stroke-width": 2.2 });
    if (own) {
      own.forward.forEach((v, i) => Number.isFinite(v) && v !== null && Chart.mark(grid.inside, "^", ...at(v, i), 4, { fill: "#fff", stroke: ORANGE, "stroke-width": 1.6 }));
      own.delta.forEach((v, i) => Number.isFinite(v) && v !== null && Chart.mark(grid.inside, "o", ...at(v, i), 4, { fill: "#fff", stroke: BLUE, "stroke-width": 1.6 }));
    }
    const list = byId("legend");
    list.replaceChildren();
    const entry = (text, colour, dash, shape) => {
      const item = Chart.html("li", {}, list);
      const box = Chart.svg("svg", { viewBox: "0 0 42 14", "aria-hidden": "true" }, item);
      if (dash !== null) Chart.svg("line", { x1: 1, x2: 41, y1: 7, y2: 7, stroke: colour, "stroke-width": 2.2, ...(dash ? { "stroke-dasharray": dash } : {}) }, box);
      if (shape) Chart.mark(box, shape, 21, 7, 4, { fill: "#fff", stroke: colour, "stroke-width": 1.6 });
      item.append(text);
    };
    entry("delta (gradient)", BLUE, "", null);
    entry("preactivation (signal)", ORANGE, "8 4", null);
    if (own) {
      entry("delta, measured", BLUE, null, "o");
      entry("preactivation, measured", ORANGE, null, "^");
    }
    const told = [own
      ? `Lines are theory, marks the geometric mean of ${own.seeds} seeds at width ${own.width}; theory's delta is set to the measured one in the last layer.`
      : "The delta of the last layer is set to 1."];
    const power = [["10", ""], [Chart.signed(first.toFixed(2)), "sup"]];
    const lost = data.floors.filter((f) => f.lost).map((f) => [f, delta.filter((v) => v < f.at).length]).filter(([, n]) => n);
    for (const [f, n] of lost) told.push(`${f.lost} in ${n} of ${state.depth} layers.`);
    const text = byId("profile-text");
    text.replaceChildren("The delta of the first layer is ");
    Chart.rich(Chart.html("span", { id: "first-over-last" }, text), power);
    text.append(` times that of the last. ${told.join(" ")} Grey lines: where float16, bfloat16 and float32 end, if the profile comes near.`);
  }

  // ---- numbers and controls

  function numbers(field) {
    byId("chi1").value = Number.isFinite(field.chi1) ? field.chi1.toPrecision(3) : "–";
    const way = field.phase === "critical" ? ": critical, gradients keep their size" : field.phase === "ordered" ? ": ordered, gradients vanish" : ": chaotic, gradients explode";
    const layers = Math.abs(field.xi_grad);
    const pace = Number.isFinite(layers) && layers > 0 ? ` by a factor e in ${Chart.plain(Chart.number(2 * layers, 3))} layers` : "";
    byId("headline").textContent = `${way}${field.phase === "critical" ? "" : pace}.`;
    const low = (letter, sign) => [[letter, ""], [sign, "sub"]];
    const rows = [["q_star", "q*", field.q_star], ["c_star", "c*", field.c_star], ["chi1-exact", low("χ", "1"), field.chi1], ["rate", low("rate √χ", "1"), Math.sqrt(field.chi1)],
      ["chi_q", "slope of V at q*", field.chi_q], ["chi_c", "slope at c*", field.chi_c],
      ["xi_q", "ξ of the variance", field.xi_q], ["xi_c", "ξ of the correlation", field.xi_c], ["xi_grad", "ξ of the gradient", field.xi_grad]];
    const list = byId("numbers");
    list.replaceChildren();
    for (const [id, text, value] of rows) {
      Chart.rich(Chart.html("dt", {}, list), typeof text === "string" ? [[text, ""]] : text);
      Chart.rich(Chart.html("dd", { id }, list), Chart.number(value, 5));
    }
    byId("note").textContent = `${field.note} ξ counts layers in which a distance, or the mean squared delta, changes by a factor e; a negative one grows.`.trim();
  }

  function fill() {
    for (const [name, text] of Object.entries(data.activations)) Chart.html("option", { value: name }, byId("activation"), text);
    Chart.html("option", { value: "" }, byId("measured"), "none: the sliders");
    data.measured.forEach((m, i) => Chart.html("option", { value: i }, byId("measured"), m.label));
    byId("activation").addEventListener("change", () => change({ activation: byId("activation").value }));
    byId("measured").addEventListener("change", () => {
      const m = data.measured[byId("measured").value];
      if (m) change({ activation: m.activation, w: m.w, b: m.b, depth: m.depth });
    });
    for (const name of names) {
      byId(name).addEventListener("input", () => change({ [name]: Number(byId(name).value) }));
      byId(`${name}-number`).addEventListener("change", () => {
        const value = Number(byId(`${name}-number`).value);
        change(byId(`${name}-number`).value !== "" && allowed[name](value) ? { [name]: value } : {});
      });
    }
  }

  function controls() {
    const most = topW();
    const step = most > 20 ? 0.1 : 0.01;
    Object.assign(byId("w"), { min: step, max: most, step });
    Object.assign(byId("b"), { min: 0, max: data.most_b, step: 0.01 });
    byId("activation").value = state.activation;
    for (const name of names) {
      byId(name).value = state[name];
      byId(`${name}-number`).value = state[name];
    }
    byId("measured").value = measured() ? data.measured.indexOf(measured()) : "";
  }

  function show() {
    controls();
    const field = MeanField.meanField(table[state.activation], state.w, state.b, data.q0);
    const path = MeanField.profile(table[state.activation], state.w, state.b, Math.max(state.depth, LAYERS), data.q0);
    numbers(field);
    drawPhase(field);
    drawCobweb(field, path);
    drawCorrelation(field, path);
    drawProfile(state.depth < LAYERS ? MeanField.profile(table[state.activation], state.w, state.b, state.depth, data.q0) : path);
    toAddress();
  }

  fill();
  state = fromAddress();
  window.addEventListener("hashchange", () => { state = fromAddress(); show(); });
  show();
  Chart.redrawn(document.querySelectorAll(".charts > figure > svg"), show);
})();
