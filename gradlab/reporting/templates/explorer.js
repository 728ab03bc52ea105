"use strict";
// The explorer of a frame: choices on the left, lines by layer, the exact value of a point, verdicts below.
(() => {
  const data = JSON.parse(document.getElementById("data").textContent);
  const byId = (id) => document.getElementById(id);
  const read = (v) => (v === null || v === undefined ? NaN : v === "-" ? -Infinity : v === "+" ? Infinity : v);
  const known = Object.fromEntries(data.coordinates.map((c) => [c.name, c]));
  const place = Object.fromEntries(data.coordinates.map((c, i) => [c.name, i]));
  const LARGEST_DISTANCE = 60, DRAG = 8, MANY = 24;
  let state, lines = [], grid = null;

  // ---- choices, and the address that holds them

  function firstView() {
    const shown = {};
    for (const c of data.coordinates) shown[c.name] = new Set(data.first.shown[c.name] || c.values.map((_, i) => i));
    const { y, hue, style, theory } = data.first;
    return { y, x: "layer", hue, style, band: "ci95", theory, step: 0, from: null, to: null, held: null, at: null, shown };
  }

  function fromAddress() {
    const given = new URLSearchParams(location.hash.slice(1));
    const view = firstView();
    const one = (name, values) => { if (given.has(name) && values.includes(given.get(name))) view[name] = given.get(name); };
    one("y", Object.keys(data.columns));
    one("x", ["layer", "loss"]);
    one("hue", ["", ...Object.keys(known)]);
    one("style", ["", ...Object.keys(known)]);
    one("band", ["ci95", "seeds", "none"]);
    if (given.has("theory")) view.theory = given.get("theory") === "1" && data.first.theory;
    const step = data.steps.indexOf(Number(given.get("step")));
    if (given.has("step") && step >= 0) view.step = step;
    for (const name of ["from", "to", "at"]) {
      const value = Number(given.get(name));
      if (given.get(name) && Number.isInteger(value) && value > 0) view[name] = value;
    }
    const held = Number(given.get("held"));
    if (given.get("held") && data.networks[held]) view.held = held;
    for (const c of data.coordinates) {
      const chosen = given.getAll("f." + c.name).map((text) => c.values.indexOf(text)).filter((i) => i >= 0);
      if (chosen.length) view.shown[c.name] = new Set(chosen);
    }
    return view;
  }

  function toAddress() {
    const first = firstView();
    const told = new URLSearchParams();
    for (const name of ["y", "x", "hue", "style", "band"]) if (state[name] !== first[name]) told.set(name, state[name]);
    if (state.theory !== first.theory) told.set("theory", state.theory ? "1" : "0");
    if (state.step) told.set("step", data.steps[state.step]);
    for (const name of ["from", "to", "held", "at"]) if (state[name] !== null) told.set(name, state[name]);
    for (const c of data.coordinates) {
      const [now, then] = [state.shown[c.name], first.shown[c.name]];
      if (now.size === then.size && [...now].every((i) => then.has(i))) continue;
      for (const i of [...now].sort((a, b) => a - b)) told.append("f." + c.name, c.values[i]);
    }
    const text = told.toString();
    if (text !== location.hash.slice(1)) history.replaceState(null, "", text ? "#" + text : location.pathname + location.search);
  }

  function change(update) {
    Object.assign(state, update);
    show();
  }

  // ---- what is drawn

  const numbers = (place, part) => (data.values[state.y][place] || {})[part];
  const span = (p) => p.layers[p.layers.length - 1];

  function looks(network) {
    const { colours, markers, lines: kinds, scale } = data.looks;
    const [hue, style] = [known[state.hue], known[state.style]];
    const at = hue ? network.at[place[hue.name]] : 0;
    const turn = Math.floor(at / colours.length);
    const colour = hue && hue.scale
      ? scale[Math.round((at / (hue.values.length - 1)) * (scale.length - 1))] : colours[at % colours.length];
    const kind = style ? network.at[place[style.name]] : at;
    return { colour, shape: markers[(at + turn) % markers.length], dash: kinds[kind % kinds.length] };
  }

  const dashes = (dash, width) => (dash.length ? { "stroke-dasharray": dash.map((v) => v * width).join(" ") } : {});

  function visible() {
    const made = [];
    data.places.forEach((p, i) => {
      const network = data.networks[p.network];
      if (p.step !== state.step) return;
      if (!data.coordinates.every((c, k) => state.shown[c.name].has(network.at[k]))) return;
      const mean = (numbers(i, "m") || []).map(read);
      const at = p.layers.map((layer) => (state.x === "layer" ? layer : span(p) + 1 - layer));
      const within = (v) => (state.from === null || v >= state.from) && (state.to === null || v <= state.to);
      const points = at.map((x, k) => ({ x, k, mean: mean[k], layer: p.layers[k] }))
        .filter((point) => within(point.x)).sort((a, b) => a.x - b.x);
      made.push({ i, p, network, points, look: looks(network), low: (numbers(i, "l") || []).map(read),
        high: (numbers(i, "h") || []).map(read), seeds: (numbers(i, "s") || []).map((line) => line.map(read)),
        theory: state.theory && p.theory && p.theory[state.y] ? p.theory[state.y] : null });
    });
    return made;
  }

  const theoryAt = (line, point) => (line.theory && line.theory.v ? read(line.theory.v[point.layer - 1]) : NaN);

  function ranges() {
    let [left, right, low, high] = [Infinity, -Infinity, Infinity, -Infinity];
    const see = (v) => { if (Number.isFinite(v)) { low = Math.min(low, v); high = Math.max(high, v); } };
    for (const line of lines) for (const point of line.points) {
      left = Math.min(left, point.x);
      right = Math.max(right, point.x);
      see(point.mean);
      see(theoryAt(line, point));
      if (state.band === "ci95") { see(line.low[point.k]); see(line.high[point.k]); }
      if (state.band === "seeds") for (const seed of line.seeds) see(seed[point.k]);
    }
    if (left > right) return null;
    if (low > high) [low, high] = [-1, 0];
    const column = data.columns[state.y];
    const room = Math.max((high - low) * 0.05, column.log ? 0.02 : Math.abs(high || 1) * 0.005);
    const side = Math.min(Math.max((right - left) * 0.02, 0.3), 0.9);
    return { x: [left - side, right + side], y: [low - room, high + room] };
  }

  function draw() {
    const root = byId("chart");
    const column = data.columns[state.y];
    lines = visible();
    const range = ranges();
    root.setAttribute("aria-label", `${column.text} against layer, ${lines.length} lines`);
    if (!range) {
      root.replaceChildren();
      Chart.svg("text", { x: 12, y: 40 }, root, lines.length ? "No layer is in the chosen range." : "No network is left: tick more values.");
      grid = null;
      return;
    }
    grid = Chart.axes(root, {
      x: { low: range.x[0], high: range.x[1], kind: "count", label: state.x === "layer" ? data.x : data.x_from_loss },
      y: { low: range.y[0], high: range.y[1], kind: column.log ? "log" : "number", label: column.label },
    });
    const floor = grid.bottom - 7;
    const chosen = lines.some((line) => line.p.network === state.held);
    const up = (v) => (v === -Infinity ? floor : grid.y(v));
    for (const line of lines) {
      const faint = chosen && state.held !== line.p.network;
      const group = Chart.svg("g", { opacity: faint ? 0.18 : 1, "data-network": line.p.network }, grid.inside);
      const { colour, dash, shape } = line.look;
      if (state.band === "ci95") {
        const edge = (side) => line.points.map((q) => [grid.x(q.x), grid.y(line[side][q.k])]).filter(([, y]) => Number.isFinite(y));
        const outline = [...edge("low"), ...edge("high").reverse()];
        if (outline.length > 3) Chart.svg("path", { d: "M" + outline.map((q) => q.map((v) => v.toFixed(1)).join(",")).join("L") + "z", fill: colour, opacity: 0.22 }, group);
      }
      if (state.band === "seeds") for (const seed of line.seeds) {
        Chart.line(group, line.points.map((q) => [grid.x(q.x), grid.y(seed[q.k])]), { stroke: colour, "stroke-width": 0.8, opacity: 0.6 });
      }
      Chart.line(group, line.points.map((q) => [grid.x(q.x), up(q.mean)]), { stroke: colour, "stroke-width": 2, ...dashes(dash, 2), class: "mean" });
      const every = Math.max(1, Math.ceil((line.points.length * Math.min(lines.length, MANY)) / 260));
      line.points.forEach((q, k) => {
        if (q.mean === -Infinity) Chart.mark(group, "v", grid.x(q.x), floor, 4, { fill: "#fff", stroke: colour, "stroke-width": 1.5 });
        else if (Number.isFinite(q.mean) && (k % every === 0 || k === line.points.length - 1)) Chart.mark(group, shape, grid.x(q.x), grid.y(q.mean), 3.2, { fill: colour });
      });
      if (line.theory && line.theory.v) {
        Chart.line(group, line.points.map((q) => [grid.x(q.x), grid.y(theoryAt(line, q))]), { stroke: "#000", "stroke-width": 1.3, "stroke-dasharray": "4 3", class: "theory" });
      }
    }
    drawPoint();
  }

  // ---- one point

  function drawPoint() {
    if (!grid) return;
    grid.over.replaceChildren();
    const line = lines.find((l) => l.p.network === state.held);
    const point = line && line.points.find((q) => q.x === state.at);
    const out = byId("point");
    out.replaceChildren();
    if (!point) {
      out.append(state.held === null ? "No point is chosen." : line ? "" : "The chosen network is not shown here.");
      return;
    }
    const y = point.mean === -Infinity ? grid.bottom - 7 : Number.isFinite(point.mean) ? grid.y(point.mean) : grid.bottom;
    Chart.svg("line", { x1: grid.x(point.x), x2: grid.x(point.x), y1: grid.top, y2: grid.bottom, stroke: "#5a646c", "stroke-dasharray": "2 2" }, grid.over);
    Chart.svg("circle", { cx: grid.x(point.x), cy: y, r: 7, fill: "none", stroke: "#1d2327", "stroke-width": 2 }, grid.over);
    const column = data.columns[state.y];
    const value = (v, short) => (column.log ? Chart.fromLog(v, short ? 2 : data.decimals) : Chart.number(v, data.digits));
    const named = data.names ? data.names[point.layer] : `layer ${point.layer}`;
    Chart.html("span", {}, out, `${line.network.label}, ${named}: `);
    Chart.rich(Chart.html("b", { id: "value" }, out), value(point.mean));
    const [low, high] = [line.low[point.k], line.high[point.k]];
    const power = (v) => (column.log && Number.isFinite(v) ? Chart.fromLog(v).slice(0, 2) : value(v));
    if (Number.isFinite(low)) {
      Chart.html("br", {}, out);
      out.append(`95 % interval of the mean over ${line.p.seeds.length} seeds: `);
      Chart.rich(out, power(low));
      out.append(" to ");
      Chart.rich(out, power(high));
    }
    if (line.seeds.length) {
      Chart.html("br", {}, out);
      const most = 12;
      out.append("seeds: ");
      line.seeds.slice(0, most).forEach((seed, k) => { if (k) out.append("; "); Chart.rich(out, power(seed[point.k])); });
      if (line.seeds.length > most) out.append(`; and ${line.seeds.length - most} more`);
    }
    if (line.theory) {
      Chart.html("br", {}, out);
      const expected = theoryAt(line, point);
      if (Number.isFinite(expected)) { out.append("theory: "); Chart.rich(Chart.html("span", { id: "expected" }, out), value(expected)); }
      else if (line.theory.why !== undefined) out.append("no line of theory: " + data.texts[line.theory.why]);
    }
  }

  function nearest(event) {
    const box = byId("chart").getBoundingClientRect();
    const [x, y] = [event.clientX - box.left, event.clientY - box.top];
    let best = null, least = LARGEST_DISTANCE;
    for (const line of lines) for (const q of line.points) {
      const at = q.mean === -Infinity ? grid.bottom - 7 : Number.isFinite(q.mean) ? grid.y(q.mean) : grid.bottom;
      const gap = Math.hypot(grid.x(q.x) - x, at - y);
      if (gap < least) [best, least] = [{ held: line.p.network, at: q.x }, gap];
    }
    return best;
  }

  let drag = null;
  function pointer(event) {
    if (!grid) return;
    const box = byId("chart").getBoundingClientRect();
    const x = Math.min(Math.max(event.clientX - box.left, grid.left), grid.right);
    if (event.type === "pointerdown" && event.button === 0) drag = { from: x, pressed: true };
    if (event.type === "pointermove" && drag && Math.abs(x - drag.from) > DRAG) {
      byId("chart").setPointerCapture(event.pointerId);
      drag.to = x;
      grid.over.replaceChildren();
      Chart.svg("rect", { x: Math.min(x, drag.from), y: grid.top, width: Math.abs(x - drag.from), height: grid.bottom - grid.top, fill: "#0b5cad", opacity: 0.15 }, grid.over);
      return;
    }
    if (event.type === "pointerup" && drag && drag.to !== undefined) {
      const [a, b] = [drag.from, drag.to].map(grid.layerAt).sort((u, v) => u - v);
      drag = null;
      if (Math.floor(b) >= Math.ceil(a)) change({ from: Math.ceil(a), to: Math.floor(b) });
      else draw();
      return;
    }
    if (event.type !== "pointermove") drag = event.type === "pointerdown" ? drag : null;
    if (event.type === "pointercancel") return;
    const hit = nearest(event);
    if (hit && (hit.held !== state.held || hit.at !== state.at)) change(hit);
    else if (!hit && event.type === "pointerdown") change({ held: null, at: null });
  }

  function key(event) {
    if (event.ctrlKey || event.metaKey || event.altKey || !lines.length) return;
    if (event.key === "Escape") { event.preventDefault(); return change({ from: null, to: null, held: null, at: null }); }
    const line = lines.find((l) => l.p.network === state.held) || lines[0];
    const layers = line.points.map((q) => q.x);
    const at = layers.indexOf(state.at);
    const first = state.held === null || at < 0;
    const move = (by) => layers[Math.min(Math.max(at + by, 0), layers.length - 1)];
    let update = null;
    if (event.key === "ArrowRight") update = { held: line.p.network, at: first ? layers[0] : move(1) };
    else if (event.key === "ArrowLeft") update = { held: line.p.network, at: first ? layers[layers.length - 1] : move(-1) };
    else if (event.key === "Home") update = { held: line.p.network, at: layers[0] };
    else if (event.key === "End") update = { held: line.p.network, at: layers[layers.length - 1] };
    else if (event.key === "ArrowUp" || event.key === "ArrowDown") {
      const here = first ? layers[0] : state.at;
      const others = lines.map((l) => ({ l, q: l.points.find((q) => q.x === here) })).filter((o) => o.q)
        .sort((a, b) => (b.q.mean || 0) - (a.q.mean || 0) || a.l.i - b.l.i);
      const now = others.findIndex((o) => o.l === line);
      const next = first ? now : Math.min(Math.max(now + (event.key === "ArrowUp" ? -1 : 1), 0), others.length - 1);
      update = { held: others[next].l.p.network, at: here };
    } else if (event.key === "[" && !first) update = { from: state.at };
    else if (event.key === "]" && !first) update = { to: state.at };
    if (!update) return;
    event.preventDefault();
    change(update);
  }

  // ---- legend, notes and verdicts

  function swatch(parent, look) {
    const box = Chart.svg("svg", { viewBox: "0 0 42 14", "aria-hidden": "true" }, parent);
    const { colour, dash, shape } = look;
    Chart.svg("line", { x1: 1, x2: 41, y1: 7, y2: 7, stroke: colour, "stroke-width": 2, ...dashes(dash || [], 2), ...(look.theory ? { "stroke-dasharray": "4 3" } : {}) }, box);
    if (shape) Chart.mark(box, shape, 21, 7, 4, { fill: colour });
  }

  function legend() {
    const list = byId("legend");
    list.replaceChildren();
    const entry = (look, text) => { const item = Chart.html("li", {}, list); swatch(item, look); item.append(text); };
    const sample = (name, i) => looks({ at: data.coordinates.map((c) => (c.name === name ? i : 0)) });
    const [hue, style] = [known[state.hue], known[state.style]];
    const there = (c) => [...new Set(lines.map((l) => l.network.at[place[c.name]]))].sort((a, b) => a - b);
    if (hue) for (const i of there(hue)) entry(style ? { ...sample(hue.name, i), dash: [] } : sample(hue.name, i), hue.entries[i]);
    if (style && style !== hue) for (const i of there(style)) entry({ colour: "#5a646c", dash: data.looks.lines[i % data.looks.lines.length] }, style.entries[i]);
    if (lines.some((l) => l.theory && l.theory.v)) entry({ colour: "#000", theory: true }, "theory");
    if (lines.some((l) => l.points.some((q) => q.mean === -Infinity))) {
      const item = Chart.html("li", {}, list);
      Chart.mark(Chart.svg("svg", { viewBox: "0 0 42 14", "aria-hidden": "true" }, item), "v", 21, 7, 5, { fill: "#fff", stroke: "#5a646c", "stroke-width": 1.5 });
      item.append("exactly 0");
    }
  }

  function note() {
    const what = data.columns[state.y].text;
    const told = [`${what.charAt(0).toUpperCase()}${what.slice(1)}.`];
    const apart = data.coordinates.filter((c) => c.name !== state.hue && c.name !== state.style
      && new Set(lines.map((l) => l.network.at[place[c.name]])).size > 1).map((c) => c.text);
    if (apart.length) told.push(`Lines of one look differ in ${apart.join(", ")}: choose a value of it on the left.`);
    const means = new Set(lines.filter((l) => l.theory && l.theory.v).map((l) => data.texts[l.theory.what]));
    for (const text of means) told.push(`Theory is the ${text}.`);
    if (state.band === "seeds" && lines.length && !lines.some((l) => l.seeds.length)) told.push("Single seeds of this column are not in this file.");
    byId("note").textContent = told.join(" ");
  }

  function table() {
    const brushed = state.from !== null || state.to !== null;
    const column = data.columns[state.y];
    const judged = lines.some((l) => l.p.verdict);
    const theory = lines.some((l) => l.p.predicted || l.p.refused);
    const heads = ["network", ...(judged ? ["verdict", "rate", "decades"] : []), ...(theory ? ["predicted rate", "measured / predicted"] : []),
      ...(brushed && column.log ? ["factor per layer, chosen layers"] : [])];
    const head = byId("table").tHead, body = byId("table").tBodies[0];
    head.replaceChildren();
    body.replaceChildren();
    const top = Chart.html("tr", {}, head);
    for (const text of heads) Chart.html("th", { scope: "col" }, top, text);
    for (const line of lines) {
      const row = Chart.html("tr", state.held === line.p.network ? { class: "held" } : {}, body);
      const name = Chart.html("td", {}, row);
      swatch(name, line.look);
      const pressed = state.held === line.p.network;
      const button = Chart.html("button", { type: "button", "aria-pressed": pressed, "data-network": line.p.network }, name, line.network.label);
      button.addEventListener("click", () => {
        change(pressed ? { held: null, at: null } : { held: line.p.network, at: line.points.length ? line.points[0].x : null });
        const again = document.querySelector(`#table button[data-network="${line.p.network}"]`);
        if (again) again.focus();
      });
      const cell = (label, text) => Chart.html("td", { "data-label": label }, row, text === undefined ? "\u2013" : Chart.signed(text));
      if (judged) for (const [label, what] of [["verdict", "verdict"], ["rate", "rate"], ["decades", "decades"]]) cell(label, line.p[what]);
      if (theory && line.p.refused && !line.p.predicted) Chart.html("td", { class: "why", colspan: 2 }, row, "no prediction: " + line.p.refused);
      else if (theory) { cell("predicted rate", line.p.predicted); cell("measured / predicted", line.p.ratio); }
      if (brushed && column.log) {
        const [a, b] = [line.points[0], line.points[line.points.length - 1]];
        const slope = line.points.length > 1 ? ((state.x === "layer" ? a.mean - b.mean : b.mean - a.mean) / (line.points.length - 1)) : NaN;
        Chart.rich(cell("factor per layer", ""), Number.isFinite(slope) ? Chart.number(10 ** slope) : [["\u2013", ""]]);
      }
    }
    const level = data.level ? ` Digits in parentheses are half the width of the ${data.level} interval over seeds.` : "";
    byId("verdict-text").textContent = judged
      ? `The rate is the factor of the rms delta per layer toward the input; below 1 gradients vanish, above 1 they explode. Decades are log10 of the first hidden layer's delta over the last one's.${level}${theory ? " " + data.compared : ""}`
      : "This frame has no column from which verdicts could be made.";
  }

  // ---- controls

  function fill() {
    const select = (id, entries, name) => {
      for (const [value, text] of entries) Chart.html("option", { value }, byId(id), text);
      byId(id).addEventListener("change", () => change({ [name]: byId(id).value }));
    };
    select("y", Object.entries(data.columns).map(([name, c]) => [name, Chart.plain(c.label)]), "y");
    select("hue", [["", "one for all"], ...data.coordinates.map((c) => [c.name, c.text])], "hue");
    select("style", [["", "as the colour"], ...data.coordinates.map((c) => [c.name, c.text])], "style");
    byId("x").addEventListener("change", () => change({ x: byId("x").value, from: null, to: null, at: null }));
    byId("band").addEventListener("change", () => change({ band: byId("band").value }));
    byId("theory").addEventListener("change", () => change({ theory: byId("theory").checked }));
    byId("theory-row").hidden = !data.first.theory;
    for (const name of ["from", "to"]) byId(name).addEventListener("change", () => {
      const value = Number(byId(name).value);
      change({ [name]: byId(name).value && Number.isInteger(value) && value > 0 ? value : null });
    });
    byId("all").addEventListener("click", () => change({ from: null, to: null }));
    byId("reset").addEventListener("click", () => change(firstView()));
    byId("stepper").hidden = data.steps.length < 2;
    byId("step").max = data.steps.length - 1;
    byId("step").addEventListener("input", () => change({ step: Number(byId("step").value) }));
    for (const c of data.coordinates) {
      const box = Chart.html("fieldset", {}, byId("filters"));
      Chart.html("legend", {}, box, c.text);
      const list = Chart.html("div", {}, box);
      c.values.forEach((text, i) => {
        const label = Chart.html("label", { class: "tick" }, list);
        const tick = Chart.html("input", { type: "checkbox", "data-coordinate": c.name, "data-value": i }, label);
        label.append(text);
        tick.addEventListener("change", () => {
          tick.checked ? state.shown[c.name].add(i) : state.shown[c.name].delete(i);
          change({});
        });
      });
      if (c.values.length > 3) {
        const every = Chart.html("button", { type: "button" }, box, "all of them");
        every.addEventListener("click", () => { c.values.forEach((_, i) => state.shown[c.name].add(i)); change({}); });
      }
    }
    const left = [];
    if (data.command) left.push(`The rows were made by: ${data.command}.`);
    if (data.failed) left.push(`Nothing could be measured of ${data.failed} more ${data.failed === 1 ? "network" : "networks"}.`);
    left.push(`Logarithms are rounded to ${data.decimals} decimals, other numbers to ${data.digits} digits.`);
    if (data.without_seeds.length) left.push(`For its size this file has no single seeds of: ${data.without_seeds.join("; ")}.`);
    if (data.left_out.length) left.push(`For its size this file lacks the columns: ${data.left_out.join("; ")}.`);
    left.push("The address of this page holds what is shown: copy it to show somebody else the same view.");
    byId("rounding").textContent = left.join(" ");
  }

  function controls() {
    for (const name of ["y", "x", "hue", "style", "band"]) byId(name).value = state[name];
    byId("theory").checked = state.theory;
    for (const name of ["from", "to"]) byId(name).value = state[name] === null ? "" : state[name];
    byId("step").value = state.step;
    byId("step-value").value = data.steps[state.step];
    byId("step").setAttribute("aria-valuetext", `step ${data.steps[state.step]}`);
    for (const tick of document.querySelectorAll("#filters input")) {
      tick.checked = state.shown[tick.dataset.coordinate].has(Number(tick.dataset.value));
    }
  }

  function show() {
    controls();
    draw();
    legend();
    note();
    table();
    toAddress();
  }

  fill();
  state = fromAddress();
  if (window.matchMedia("(max-width: 56rem)").matches) byId("menu").open = false;
  show();
  for (const name of ["pointerdown", "pointermove", "pointerup", "pointercancel"]) byId("chart").addEventListener(name, pointer);
  byId("chart").addEventListener("keydown", key);
  window.addEventListener("hashchange", () => { state = fromAddress(); show(); });
  Chart.redrawn([byId("chart")], draw);
})();
