"use strict";
// Gaussian expectations of an activation, by the quadrature of gradlab/theory/gaussian.py: the line is cut at kinks and
// into panels that grow geometrically away from 0, and each panel is integrated by Gauss and Legendre.
const Gaussian = (() => {
  const [ORDER, RATIO, ORDER_2, RATIO_2, NEAR] = [16, 4, 10, 3, 0.25];
  const spaced = (low, high, n) => Array.from({ length: n }, (_, i) => low + ((high - low) * i) / (n - 1));
  const [BASE, BASE_2] = [spaced(-9.6, 9.6, 13), spaced(-8.4, 8.4, 8)];
  // Beyond these ln q moments are continued as power laws.
  const LOG_RANGE = 60;
  const SMALL_ANGLE = 1e-4;

  function legendre(n) {
    const [x, w] = [[], []];
    for (let i = 0; i < n; i++) {
      let t = Math.cos((Math.PI * (i + 0.75)) / (n + 0.5));
      let slope = 0;
      for (let pass = 0; pass < 60; pass++) {
        let [before, now] = [1, t];
        for (let k = 2; k <= n; k++) [before, now] = [now, ((2 * k - 1) * t * now - (k - 1) * before) / k];
        slope = (n * (t * now - before)) / (t * t - 1);
        const step = now / slope;
        t -= step;
        if (Math.abs(step) < 1e-16) break;
      }
      x.push(t);
      w.push(2 / ((1 - t * t) * slope * slope));
    }
    return { x, w };
  }
  const [RULE, RULE_2] = [legendre(ORDER), legendre(ORDER_2)];

  // erf by a table from its series of positive terms, and Taylor's series around the nearest entry.
  const STEP = 1 / 64;
  const ERF = Array.from({ length: 6.5 / STEP }, (_, i) => {
    const x = i * STEP;
    let [term, sum] = [x, x];
    for (let k = 1; Math.abs(term) > 1e-18 * sum && k < 400; k++) { term *= (2 * x * x) / (2 * k + 1); sum += term; }
    const density = (2 / Math.sqrt(Math.PI)) * Math.exp(-x * x);
    return [density * sum, density];
  });
  function erf(x) {
    const size = Math.abs(x);
    if (size >= 6) return Math.sign(x);
    const i = Math.round(size / STEP);
    const [value, density] = ERF[i];
    const [a, d] = [i * STEP, size - i * STEP];
    // derivatives of exp(-x^2) are Hermite polynomials: H_k+1 = 2 x H_k - 2 k H_k-1
    let [before, now, power, sum] = [0, 1, d, 0];
    for (let k = 0; k < 8; k++) {
      sum += (k % 2 ? -1 : 1) * now * power;
      [before, now] = [now, 2 * a * now - 2 * k * before];
      power *= d / (k + 2);
    }
    return Math.sign(x) * (value + density * sum);
  }

  const sigmoid = (z) => (z >= 0 ? 1 / (1 + Math.exp(-z)) : Math.exp(z) / (1 + Math.exp(z)));
  const dsigmoid = (z) => { const e = Math.exp(-Math.abs(z)); return e / ((1 + e) * (1 + e)); };
  const cdf = (z) => 0.5 * (1 + erf(z * Math.SQRT1_2));
  const density = (z) => Math.exp(-0.5 * z * z) / Math.sqrt(2 * Math.PI);
  const elu = (alpha, scale) => ({
    phi: (z) => scale * (z > 0 ? z : alpha * Math.expm1(z)), dphi: (z) => scale * (z > 0 ? 1 : alpha * Math.exp(z)), kinks: [],
  });
  const leaky = (slope) => ({ phi: (z) => (z > 0 ? z : slope * z), dphi: (z) => (z > 0 ? 1 : slope), homogeneous: true, kinks: [] });

  function activations({ leaky_slope, selu_alpha, selu_scale }) {
    const table = {
      identity: { phi: (z) => z, dphi: () => 1, homogeneous: true },
      sigmoid: { phi: sigmoid, dphi: dsigmoid },
      tanh: { phi: Math.tanh, dphi: (z) => { const e = Math.exp(-2 * Math.abs(z)); return (4 * e) / ((1 + e) * (1 + e)); } },
      relu: leaky(0),
      leaky_relu: leaky(leaky_slope),
      elu: elu(1, 1),
      selu: elu(selu_alpha, selu_scale),
      gelu: { phi: (z) => z * cdf(z), dphi: (z) => cdf(z) + z * density(z) },
      silu: { phi: (z) => z * sigmoid(z), dphi: (z) => sigmoid(z) + z * dsigmoid(z) },
      softplus: { phi: (z) => Math.max(z, 0) + Math.log1p(Math.exp(-Math.abs(z))), dphi: sigmoid },
      softsign: { phi: (z) => z / (1 + Math.abs(z)), dphi: (z) => 1 / (1 + Math.abs(z)) ** 2 },
      hard_tanh: { phi: (z) => Math.min(Math.max(z, -1), 1), dphi: (z) => (Math.abs(z) < 1 ? 1 : 0), kinks: [-1, 1] },
      erf: { phi: erf, dphi: (z) => (2 / Math.sqrt(Math.PI)) * Math.exp(-z * z) },
    };
    for (const [name, entry] of Object.entries(table)) {
      entry.name = name;
      entry.centres = [...new Set([0, ...(entry.kinks || [])])].sort((a, b) => a - b);
    }
    return table;
  }

  // Ends of panels: those of the weight, and geometric steps around each centre.
  function ends(base, centres, scale, ratio) {
    const reach = base[1] - base[0];
    const least = Math.min(scale, reach);
    const count = Math.max(1, Math.ceil(Math.log(reach / least) / Math.log(ratio)));
    const [low, high] = [base[0], base[base.length - 1]];
    const made = base.slice();
    for (const centre of centres) {
      if (centre > low && centre < high) made.push(centre);
      for (let i = 0; i < count; i++) {
        const step = least * (reach / least) ** (i / count);
        if (centre - step > low && centre - step < high) made.push(centre - step);
        if (centre + step > low && centre + step < high) made.push(centre + step);
      }
    }
    return Float64Array.from(made).sort();
  }

  // Calls f(z, weight) at each node, the Gaussian density being in the weight.
  function nodes(cuts, rule, f) {
    for (let p = 0; p + 1 < cuts.length; p++) {
      const half = 0.5 * (cuts[p + 1] - cuts[p]);
      if (half <= 0) continue;
      const middle = 0.5 * (cuts[p + 1] + cuts[p]);
      for (let i = 0; i < rule.x.length; i++) {
        const z = middle + half * rule.x[i];
        f(z, half * rule.w[i] * density(z));
      }
    }
  }

  // ln E phi^2, ln E phi'^2, and the growth of both: d ln / d ln q.
  function moments(entry, logq) {
    const limit = entry.homogeneous ? 0 : LOG_RANGE;
    const inside = Math.min(Math.max(logq, -limit), limit);
    const root = Math.exp(0.5 * inside);
    let [phi2, dphi2, cross, fall] = [0, 0, 0, 0];
    nodes(ends(BASE, entry.centres.map((c) => c / root), NEAR / root, RATIO), RULE, (z, weight) => {
      const [phi, dphi] = [entry.phi(root * z), entry.dphi(root * z)];
      phi2 += weight * phi * phi;
      dphi2 += weight * dphi * dphi;
      cross += weight * phi * dphi * root * z;
      fall += weight * 0.5 * (z * z - 1) * dphi * dphi;
    });
    const growth = phi2 > 0 ? cross / phi2 : 0;
    const change = dphi2 > 0 ? fall / dphi2 : 0;
    const beyond = logq - inside;
    return { phi2: Math.log(phi2) + growth * beyond, dphi2: Math.log(dphi2) + change * beyond, growth };
  }

  // E (phi(u1) - phi(u2))^2 / (2 q (1 - c)) and E phi'(u1) phi'(u2) of two inputs of variance q, c = cos(angle).
  function overlap(entry, q, angle) {
    const used = Math.max(angle, SMALL_ANGLE);
    const [c, s, root] = [Math.cos(used), Math.sin(used), Math.sqrt(q)];
    const tilted = Math.abs(c) > 1e-3;
    const sharp = tilted ? Math.abs(Math.tan(used)) : Infinity;
    const places = entry.centres.map((k) => k / root);
    if (tilted) places.push(...entry.centres.map((k) => Math.min(Math.max(k / (root * c), -99), 99)));
    let [distance, slopes] = [0, 0];
    nodes(ends(BASE_2, [...new Set(places)], NEAR * Math.min(1 / root, Math.max(sharp, 1e-9)), RATIO_2), RULE_2, (z1, w1) => {
      const [phi1, dphi1] = [entry.phi(root * z1), entry.dphi(root * z1)];
      const around = entry.centres.map((k) => (k / root - c * z1) / s);
      let [far, near] = [0, 0];
      nodes(ends(BASE_2, around, NEAR / (root * s), RATIO_2), RULE_2, (z2, w2) => {
        const u2 = root * (c * z1 + s * z2);
        const gap = phi1 - entry.phi(u2);
        far += w2 * gap * gap;
        near += w2 * entry.dphi(u2);
      });
      distance += w1 * far;
      slopes += w1 * dphi1 * near;
    });
    const values = { mean_slope: distance / (4 * q * Math.sin(used / 2) ** 2), slopes };
    if (angle >= SMALL_ANGLE) return values;
    const at_zero = Math.exp(moments(entry, Math.log(q)).dphi2);
    const joined = (v) => at_zero + (angle / SMALL_ANGLE) * (v - at_zero);
    return { mean_slope: joined(values.mean_slope), slopes: joined(values.slopes) };
  }

  return { activations, moments, overlap, erf, LOG_RANGE };
})();
