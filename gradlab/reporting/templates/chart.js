"use strict";
// Drawing that both pages share: axes, marks, labels with raised and lowered signs. Nothing is ever parsed as HTML.
const Chart = (() => {
  const SVG = "http://www.w3.org/2000/svg";
  const MINUS = "\u2212";

  function svg(name, attributes, parent, text) {
    const made = document.createElementNS(SVG, name);
    for (const [key, value] of Object.entries(attributes || {})) made.setAttribute(key, value);
    if (text !== undefined) made.textContent = text;
    if (parent) parent.append(made);
    return made;
  }

  function html(name, attributes, parent, text) {
    const made = document.createElement(name);
    for (const [key, value] of Object.entries(attributes || {})) made.setAttribute(key, value);
    if (text !== undefined) made.textContent = text;
    if (parent) parent.append(made);
    return made;
  }

  // Pieces are [text, kind], kind "", "sup" or "sub".
  function rich(parent, pieces) {
    for (const [text, kind] of pieces) kind ? html(kind, {}, parent, text) : parent.append(text);
    return parent;
  }

  function richText(attributes, parent, pieces) {
    const made = svg("text", attributes, parent);
    let shift = 0;
    for (const [text, kind] of pieces) {
      const level = kind === "sup" ? -5 : kind === "sub" ? 4 : 0;
      const piece = svg("tspan", { dy: level - shift }, made, text);
      if (kind) piece.style.fontSize = "10px";
      shift = level;
    }
    return made;
  }

  const signed = (text) => String(text).replace("-", MINUS);
  const plain = (pieces) => pieces.map(([text, kind]) => (kind === "sup" ? "^" + text : text)).join("");

  // A number to some digits, without zeros at its end; very large and very small ones as a power.
  function number(value, digits = 4) {
    if (Number.isNaN(value)) return [["\u2013", ""]];
    if (!Number.isFinite(value)) return [[value > 0 ? "∞" : MINUS + "∞", ""]];
    const size = Math.abs(value);
    if (value === 0 || (size >= 1e-3 && size < 1e5)) return [[signed(Number(value.toPrecision(digits))), ""]];
    const [digit, power] = value.toExponential(digits - 1).split("e");
    return [[signed(Number(digit)) + "·10", ""], [signed(Number(power)), "sup"]];
  }

  // The number whose log10 is given: as a power of ten and, in short, as a number; doubles end at 10^308.
  function fromLog(log, decimals = 4) {
    if (Number.isNaN(log)) return [["not measured", ""]];
    if (log === -Infinity) return [["exactly 0", ""]];
    if (log === Infinity) return [["not finite", ""]];
    if (log === 0) return [["1", ""]];
    const power = [["10", ""], [signed(log.toFixed(decimals)), "sup"]];
    if (log >= -3 && log < 4) return [...power, [" = " + signed(Number((10 ** log).toPrecision(4))), ""]];
    let exponent = Math.floor(log);
    let digit = (10 ** (log - exponent)).toPrecision(3);
    if (Number(digit) >= 10) [digit, exponent] = ["1.00", exponent + 1];
    return [...power, [" = " + digit + "·10", ""], [signed(exponent), "sup"]];
  }

  function steps(low, high, most) {
    const span = high - low || 1;
    const raw = span / Math.max(1, most);
    const size = 10 ** Math.floor(Math.log10(raw));
    const step = [1, 2, 5, 10].find((k) => k * size >= raw * (1 - 1e-9)) * size;
    const made = [];
    for (let i = Math.ceil(low / step - 1e-9); i * step <= high + 1e-9 * span; i++) made.push(i * step);
    return { at: made, step };
  }

  // Ticks as [place, pieces]. A logarithmic axis has places in decades.
  function ticks(low, high, kind, most) {
    if (kind === "count") {
      const { at, step } = steps(low, high, most);
      const ends = [...new Set([Math.ceil(low), Math.floor(high)])];
      const between = at.filter((v) => Number.isInteger(v) && !ends.some((e) => Math.abs(v - e) < 0.7 * step));
      return [...between, ...ends].sort((a, b) => a - b).map((v) => [v, [[String(v), ""]]]);
    }
    if (kind === "log") {
      if (high - low >= 2) {
        const { at } = steps(low, high, most);
        const whole = at.filter((v) => Math.abs(v - Math.round(v)) < 1e-6).map(Math.round);
        return [...new Set(whole)].map((v) => [v, v === 0 ? [["1", ""]] : v === 1 ? [["10", ""]] : [["10", ""], [signed(v), "sup"]]]);
      }
      if (Math.abs(low) < 250 && Math.abs(high) < 250) {
        const { at } = steps(10 ** low, 10 ** high, Math.min(most, 5));
        const few = high - low < 0.5 ? at : [];
        const usual = [];
        for (let e = Math.floor(low); e <= high; e++) for (const m of [1, 2, 5]) usual.push(m * 10 ** e);
        const values = (few.length >= 2 ? few : usual).filter((v) => v > 0 && Math.log10(v) >= low && Math.log10(v) <= high);
        if (values.length >= 2) return values.map((v) => [Math.log10(v), number(v)]);
      }
      const { at, step } = steps(low, high, most);
      const decimals = Math.max(0, -Math.floor(Math.log10(step)));
      return at.map((v) => [v, [["10", ""], [signed(v.toFixed(decimals)), "sup"]]]);
    }
    return steps(low, high, most).at.map((v) => [v, number(v)]);
  }

  const SHAPES = {
    o: (r) => `M${-r},0a${r},${r} 0 1,0 ${2 * r},0a${r},${r} 0 1,0 ${-2 * r},0`,
    s: (r) => `M${-r},${-r}h${2 * r}v${2 * r}h${-2 * r}z`,
    "^": (r) => `M0,${-1.2 * r}L${1.15 * r},${r}H${-1.15 * r}z`,
    v: (r) => `M0,${1.2 * r}L${1.15 * r},${-r}H${-1.15 * r}z`,
    D: (r) => `M0,${-1.3 * r}L${1.3 * r},0L0,${1.3 * r}L${-1.3 * r},0z`,
    P: (r) => cross(r, 0),
    X: (r) => cross(r, Math.PI / 4),
    h: (r) => "M" + [0, 1, 2, 3, 4, 5].map((k) => polar(1.25 * r, (k * Math.PI) / 3)).join("L") + "z",
  };
  const polar = (r, angle) => `${(r * Math.cos(angle)).toFixed(2)},${(r * Math.sin(angle)).toFixed(2)}`;
  function cross(r, turn) {
    const corners = [];
    for (let k = 0; k < 4; k++) {
      const a = turn + (k * Math.PI) / 2;
      corners.push(polar(1.35 * r, a - 0.35), polar(1.35 * r, a + 0.35), polar(0.62 * r, a + Math.PI / 4));
    }
    return "M" + corners.join("L") + "z";
  }

  function mark(parent, shape, x, y, radius, attributes) {
    return svg("path", { d: SHAPES[shape](radius), transform: `translate(${x},${y})`, ...attributes }, parent);
  }

  function line(parent, points, attributes) {
    let path = "";
    let open = false;
    for (const [x, y] of points) {
      if (!Number.isFinite(x) || !Number.isFinite(y)) { open = false; continue; }
      path += `${open ? "L" : "M"}${x.toFixed(1)},${y.toFixed(1)}`;
      open = true;
    }
    return svg("path", { d: path, fill: "none", "stroke-linejoin": "round", ...attributes }, parent);
  }

  // Axes in an emptied SVG, at the size that it has on the screen, so that text stays as large as that of the page.
  function axes(root, { x, y }) {
    root.replaceChildren();
    const width = root.clientWidth || 640;
    const height = root.clientHeight || 400;
    root.setAttribute("viewBox", `0 0 ${width} ${height}`);
    const bottom = height - 46;
    const top = 26;
    const down = ticks(y.low, y.high, y.kind, Math.max(2, Math.floor((bottom - top) / 48)));
    const longest = Math.max(0, ...down.map(([, pieces]) => pieces.reduce((n, [t, k]) => n + t.length * (k ? 6 : 7.4), 0)));
    const left = Math.ceil(longest) + 16;
    const right = width - 14;
    const across = ticks(x.low, x.high, x.kind, Math.max(2, Math.floor((right - left) / 62)));
    const at = {
      x: (v) => left + ((v - x.low) / (x.high - x.low)) * (right - left),
      y: (v) => bottom - ((v - y.low) / (y.high - y.low)) * (bottom - top),
      left, right, top, bottom,
      layerAt: (pixel) => x.low + ((pixel - left) / (right - left)) * (x.high - x.low),
    };
    const under = svg("g", { "aria-hidden": "true" }, root);
    for (const [v, pieces] of across) {
      svg("line", { x1: at.x(v), x2: at.x(v), y1: bottom, y2: bottom + 5, stroke: "#1d2327" }, under);
      richText({ x: at.x(v), y: bottom + 19, "text-anchor": "middle" }, under, pieces);
    }
    for (const [v, pieces] of down) {
      svg("line", { x1: left, x2: right, y1: at.y(v), y2: at.y(v), stroke: "#e6eaed" }, under);
      svg("line", { x1: left - 5, x2: left, y1: at.y(v), y2: at.y(v), stroke: "#1d2327" }, under);
      richText({ x: left - 8, y: at.y(v) + 4.5, "text-anchor": "end" }, under, pieces);
    }
    svg("path", { d: `M${left},${top - 4}V${bottom}H${right}`, fill: "none", stroke: "#1d2327" }, under);
    richText({ x: (left + right) / 2, y: height - 8, "text-anchor": "middle" }, under, x.label);
    richText({ x: 4, y: 14 }, under, y.label);
    const clip = `clip-${root.id}`;
    svg("rect", { x: left, y: top - 4, width: right - left, height: bottom - top + 4 }, svg("clipPath", { id: clip }, root));
    return { ...at, inside: svg("g", { "clip-path": `url(#${clip})` }, root), over: svg("g", {}, root) };
  }

  function redrawn(elements, draw) {
    let waiting = 0;
    const watch = new ResizeObserver(() => { cancelAnimationFrame(waiting); waiting = requestAnimationFrame(draw); });
    for (const element of elements) watch.observe(element);
  }

  return { svg, html, rich, richText, plain, number, fromLog, signed, mark, line, axes, redrawn };
})();
