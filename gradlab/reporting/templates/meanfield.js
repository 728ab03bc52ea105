"use strict";
// Mean field of a network of infinite width, by the formulas of gradlab/theory/meanfield.py and trajectories.py.
const MeanField = (() => {
  const [ROUNDING, CRITICAL, OVERLAP] = [1e-12, 1e-10, 1e-9];
  const BEYOND = 40;
  const { moments, overlap, LOG_RANGE } = Gaussian;
  const GRID = Array.from({ length: 10 * LOG_RANGE + 1 }, (_, i) => -LOG_RANGE + 0.2 * i);
  const known = new Map();

  // Moments on the grid of ln q, which depend on the activation alone.
  function landscape(entry) {
    if (!known.has(entry.name)) known.set(entry.name, GRID.map((x) => moments(entry, x)));
    return known.get(entry.name);
  }

  const excess = (entry, w, b, x) => Math.log(w * Math.exp(moments(entry, x).phi2) + b) - x;

  // The places of the grid between which V crosses q first, on the way on which q moves; null where it never does.
  function bracket(entry, w, b, start, first) {
    const at = landscape(entry);
    const way = first > 0 ? 1 : -1;
    let before = start;
    const inside = (x) => (way > 0 ? x > start : x < start);
    for (let k = way > 0 ? 0 : GRID.length - 1; k >= 0 && k < GRID.length; k += way) {
      if (!inside(GRID[k])) continue;
      if (way * (Math.log(w * Math.exp(at[k].phi2) + b) - GRID[k]) < -ROUNDING) return [before, GRID[k], k];
      before = GRID[k];
    }
    return null;
  }

  // ln q* of the nearest fixed point in the direction in which q moves; infinite without one.
  function fixedPoint(entry, w, b, q0) {
    const start = Math.log(w * q0 + b);
    const first = excess(entry, w, b, start);
    if (Math.abs(first) <= ROUNDING) return start;
    const found = bracket(entry, w, b, start, first);
    if (!found) return first > 0 ? Infinity : -Infinity;
    let [near, far] = found;
    for (let i = 0; i < 200 && Math.abs(far - near) > 1e-15 * Math.max(1, Math.abs(far)); i++) {
      const middle = 0.5 * (near + far);
      if (middle === near || middle === far) break;
      if (excess(entry, w, b, middle) > 0 === first > 0) near = middle;
      else far = middle;
    }
    return 0.5 * (near + far);
  }

  // The angle of c*: 0 where chi1 is at most 1; NaN where every correlation is a fixed point.
  function fixedAngle(entry, w, q, chi1) {
    if (chi1 < 1 - CRITICAL) return 0;
    const over = (angle) => w * overlap(entry, q, angle).mean_slope - 1;
    const right = over(Math.PI / 2);
    if (chi1 <= 1 + CRITICAL) return right < -OVERLAP ? 0 : NaN;
    if (right > -OVERLAP) return Math.PI / 2;
    let [low, high] = [1e-9, Math.PI / 2];
    let [at_low, at_high] = [over(low), right];
    for (let i = 0; i < 60 && high - low > 1e-13; i++) {
      let middle = (low * at_high - high * at_low) / (at_high - at_low);
      if (!(middle > low && middle < high) || i % 3 === 2) middle = 0.5 * (low + high);
      const value = over(middle);
      if (value > 0) [low, at_low] = [middle, value];
      else [high, at_high] = [middle, value];
    }
    return 0.5 * (low + high);
  }

  // c* and the slope there where the variance grows or shrinks for ever: those of the power law that is left.
  function endless(entry, grows, w, b) {
    const far = grows ? BEYOND : -BEYOND;
    const at = moments(entry, far);
    const share = Math.exp(at.phi2 - far);
    const close = Math.exp(at.dphi2 + far - at.phi2);
    // what is left of an activation's curvature at this variance is of this size
    const chi = Math.abs(close - 1) < 1e-8 ? 1 : close;
    const angle = fixedAngle(entry, 1 / share, Math.exp(far), chi);
    if (Number.isNaN(angle)) return Math.abs(w * share - 1) <= CRITICAL && b > 0 ? [1, 1] : [NaN, NaN];
    return [Math.cos(angle), angle === 0 ? chi : overlap(entry, Math.exp(far), angle).slopes / share];
  }

  function scale(slope) {
    if (Number.isNaN(slope)) return NaN;
    return Math.abs(slope - 1) <= CRITICAL ? Infinity : slope === 0 ? 0 : -1 / Math.log(Math.abs(slope));
  }

  const phase = (chi1) => (Math.abs(chi1 - 1) <= CRITICAL ? "critical" : chi1 < 1 ? "ordered" : "chaotic");

  function meanField(entry, w, b, q0 = 1) {
    const logq = fixedPoint(entry, w, b, q0);
    const at = moments(entry, Math.min(Math.max(logq, -LOG_RANGE), LOG_RANGE));
    const chi1 = w * Math.exp(at.dphi2);
    const clipped = Math.min(Math.max(logq, -LOG_RANGE), LOG_RANGE);
    const chi_q = w * at.growth * Math.exp(at.phi2 - clipped);
    const q_star = Math.exp(logq);
    let [c_star, chi_c, note] = [NaN, NaN, ""];
    if (!Number.isFinite(logq)) {
      [c_star, chi_c] = endless(entry, logq > 0, w, b);
      note = `The variance ${logq > 0 ? "grows" : "shrinks"} for ever.`;
    } else {
      const angle = fixedAngle(entry, w, q_star, chi1);
      c_star = angle === Math.PI / 2 ? 0 : 1 - 2 * Math.sin(angle / 2) ** 2;
      chi_c = angle === 0 || Number.isNaN(angle) ? chi1 : w * overlap(entry, q_star, angle).slopes;
      if (Number.isNaN(angle)) note = "Every correlation is a fixed point.";
      if (Math.abs(chi_q - 1) <= CRITICAL) note += entry.homogeneous && b === 0 ? " Every variance is a fixed point." : " The variance reaches q* like a power of depth.";
    }
    return { q_star, c_star, chi1, chi_q, chi_c, xi_q: scale(chi_q), xi_c: scale(chi_c), xi_grad: scale(chi1), phase: phase(chi1), note: note.trim() };
  }

  // Layer by layer: ln q, and log10 of the rms delta over that of the last layer.
  function profile(entry, w, b, depth, q0 = 1) {
    const logq = [];
    const factors = [];
    let x = Math.log(w * q0 + b);
    for (let l = 0; l < depth; l++) {
      const at = moments(entry, x);
      logq.push(x);
      factors.push((0.5 * (Math.log(w) + at.dphi2)) / Math.LN10);
      const [one, two] = [Math.log(w) + at.phi2, Math.log(b)];
      const most = Math.max(one, two);
      x = most === -Infinity ? -Infinity : most + Math.log(Math.exp(one - most) + Math.exp(two - most));
    }
    const delta = new Array(depth).fill(0);
    for (let l = depth - 2; l >= 0; l--) delta[l] = delta[l + 1] + factors[l];
    return { logq, delta };
  }

  // What the map makes of correlations c at variance q.
  function correlationMap(entry, w, b, q, cs) {
    const becomes = w * Math.exp(moments(entry, Math.log(q)).phi2) + b;
    return cs.map((c) => (c === 1 ? 1 : 1 - (w * overlap(entry, q, 2 * Math.asin(Math.sqrt((1 - c) / 2))).mean_slope * (1 - c) * q) / becomes));
  }

  // The line chi1 = 1, along the variance q that is its own image: sigma_w^2 = 1 / E phi'^2, sigma_b^2 = q - sigma_w^2 E phi^2.
  function criticalLine(entry) {
    const made = [];
    for (let x = -18; x <= 9; x += 0.03) {
      const at = moments(entry, x);
      const w = Math.exp(-at.dphi2);
      made.push({ w, b: Math.exp(x) - w * Math.exp(at.phi2), stable: w * at.growth * Math.exp(at.phi2 - x) <= 1 + 1e-9 });
    }
    return made;
  }

  // chi1 at a point of the plane, between places of the grid.
  function nearlyChi1(entry, w, b, q0 = 1) {
    const at = landscape(entry);
    const start = Math.log(w * q0 + b);
    const place = Math.min(Math.max(Math.round((start + LOG_RANGE) / 0.2), 0), GRID.length - 1);
    const height = (k) => Math.log(w * Math.exp(at[k].phi2) + b) - GRID[k];
    const first = height(place);
    const way = first > 0 ? 1 : -1;
    let k = place;
    let here = first;
    while (k + way >= 0 && k + way < GRID.length) {
      const next = height(k + way);
      if (next > 0 !== first > 0) {
        const share = here / (here - next);
        return w * Math.exp(at[k].dphi2 + share * (at[k + way].dphi2 - at[k].dphi2));
      }
      k += way;
      here = next;
    }
    return w * Math.exp(at[k].dphi2);
  }

  return { meanField, profile, correlationMap, criticalLine, nearlyChi1 };
})();
