"""A training, judged from its frame: the rules at every step, and what only time shows."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import replace

import numpy as np
import pandas as pd

from gradlab._errors import GradlabError, unknown
from gradlab._status import Status, concerns, is_whole
from gradlab.diagnosis.diagnosis import Diagnosis
from gradlab.diagnosis.evidence import Evidence
from gradlab.diagnosis.findings import SEVERITIES, Finding, Rule
from gradlab.diagnosis.layers import OF_ACTIVATION, OF_PLACE
from gradlab.diagnosis.sites import Coverage, Parameter, Place, Site
from gradlab.diagnosis.words import counted, layers

#: Columns of the frame as those of a place, of the activation behind it, and of a parameter.
_VALUE: dict[str, str] = {column: name for name, column in OF_PLACE.items()}
_ACTIVATION: dict[str, str] = {column: name for name, column in OF_ACTIVATION.items()}
_GRADIENT: dict[str, str] = {
    "log10_grad_norm": "log10_weight_grad_norm", "log10_grad_max": "log10_weight_grad_max_abs",
    "grad_zero_fraction": "gradient_zero_fraction", "grad_not_finite": "gradient_not_finite",
    "grad_lost_float32": "gradient_underflow_fraction", "gradient_snr": "gradient_snr",
    "log10_update_ratio": "log10_update_ratio", "log10_weight_norm": "log10_weight_norm",
}  # fmt: skip
#: Decades by which the update of a layer falls behind that of the median layer before it has stopped learning, and the
#: share of the steps, at the end, in which it must be so.
_BEHIND, _END = 3.0, 0.25


def diagnose_frame(frame: pd.DataFrame, *, mute: Collection[str] = ()) -> Diagnosis:
    """Judge a training by the frame of its steps.

    Parameters
    ----------
    frame : DataFrame
        Of one network: from `gradlab.train`, or of `gradlab.monitor_records` and `gradlab.observe`.
    mute : collection of str
        Rules that shall say nothing.

    Returns
    -------
    Diagnosis
        Findings say from which step on; what was over by the last one is a note. Evidence, margins and figure are of
        the last step that is finite.
    """
    from gradlab.diagnosis.rules import judge

    rows = _checked(frame)
    steps = sorted(int(step) for step in rows["step"].unique())
    bad = ~rows["status"].map(is_whole).astype(bool)
    usable = [step for step in steps if not bad[rows["step"] == step].any()]
    muted = {rule for rule in Rule if {rule.name, rule.kind} & set(mute)}
    by_rule: dict[tuple[Rule, bool], list[tuple[int, Finding]]] = {}
    evidence, margins = None, ()
    for step in usable:
        evidence = _evidence(rows[rows["step"] == step])
        findings, margins = judge(evidence, mute=mute)
        for finding in findings:
            # a rule may have a note to make beside what it finds wrong
            by_rule.setdefault((finding.rule, finding.severity == "info"), []).append((step, finding))
    said = [_over_time(seen, usable) for seen in by_rule.values()]
    of_frame = [f for f in (*_not_finite(rows, bad, steps), *_stopped(rows[~bad], usable)) if f.rule not in muted]
    said = sorted([*of_frame, *said], key=lambda f: (-SEVERITIES.index(f.severity), f.rule.name))
    if evidence is None:
        evidence = _evidence(rows[rows["step"] == steps[0]])
    last = f"step {usable[-1]}" if usable else f"step {steps[0]}, which is not finite"
    some = f"{len(usable)} of " if len(usable) < len(steps) else ""
    over = f"{some}{counted(len(steps), 'step')} from {steps[0]} to {steps[-1]}"
    notes = (*evidence.notes, f"judged at {over}; layers, margins and figure are of {last}")
    if "log10_delta_rms" not in rows:
        notes = ("the frame has no delta, so how the gradient travels is not known", *notes)
    spoke = {finding.rule for finding in said}
    margins = tuple(m for m in margins if m.rule not in spoke)
    return Diagnosis(evidence.replace(notes=notes), tuple(said), margins, "the frame", more="more seeds")


def _checked(frame: pd.DataFrame) -> pd.DataFrame:
    for name in ("network", "seed", "step", "layer", "layer_name", "status"):
        if name not in frame:
            raise unknown("column", name, map(str, frame.columns))
    networks = frame["network"].unique()
    if len(networks) != 1:
        hint = f"frame[frame['network'] == {str(networks[0])!r}]" if len(networks) else "the frame of a training"
        raise GradlabError("the frame of one network", f"{len(networks)} networks", hint)
    if not any(column in frame for column in _GRADIENT.values()):
        raise GradlabError("a frame with gradients", "none", "gl.frame(gl.monitor_records(opt_state))")
    weight = frame["weight_norm"].to_numpy(float) if "weight_norm" in frame else np.full(len(frame), np.nan)
    with np.errstate(divide="ignore", invalid="ignore"):
        return frame.assign(log10_weight_norm=np.log10(weight)).sort_values(["step", "seed", "layer"])


def _evidence(rows: pd.DataFrame) -> Evidence:
    """Return the evidence of one step: seeds are samples, layers are products with their weights."""
    order = rows.drop_duplicates("layer").sort_values("layer")
    seeds = sorted(rows["seed"].unique())
    table = lambda column: (
        rows.pivot(index="seed", columns="layer", values=column).reindex(columns=order["layer"]).to_numpy(float)
        if column in rows
        else np.full((len(seeds), len(order)), np.nan)
    )
    known = {column: table(column) for names_in in (_VALUE, _ACTIVATION, _GRADIENT) for column in names_in.values()}
    places: list[Place] = []
    parameters: list[Parameter] = []
    of_place: list[tuple[dict[str, str], int]] = []
    for j, row in enumerate(order.to_dict("records")):
        name, units, fan_in = str(row["layer_name"]), _size(row.get("width")), _size(row.get("fan_in"))
        feeds = ()
        if row["layer"] >= 1 and not all(np.isnan(known[c][:, j]).all() for c in _VALUE.values()):
            number, feeds = len(places), (len(places),)
            shape = (_size(row.get("batch")), units)
            site = Site(
                number, name, "product", "recorded", shape, str(row.get("dtype", "")), features=(1,), parameter=name
            )
            places.append(Place(site))
            of_place.append((_VALUE, j))
            if not all(np.isnan(known[c][:, j]).all() for c in ("dead_fraction", "saturated_fraction")):
                behind = replace(
                    site, number=number + 1, name=f"{name}/activation", kind="activation", parameter="", follows=number,
                    function=str(row.get("activation", "")),
                )  # fmt: skip
                places.append(Place(behind))
                of_place.append((_ACTIVATION, j))
        state = "frozen" if concerns(row["status"], Status.NO_GRADIENT) else "used"
        shape_of_weight = (fan_in, units) if np.isfinite(float(row.get("fan_in", np.nan))) else (0, 0)  # not known
        parameters.append(Parameter(name, j, (), shape_of_weight, str(row.get("dtype", "")), state, feeds))
    names = dict.fromkeys([*_VALUE, *_ACTIVATION])
    empty = np.full(len(seeds), np.nan)
    signals = {
        name: np.stack([known[names_in[name]][:, j] if name in names_in else empty for names_in, j in of_place], axis=1)
        if of_place
        else np.empty((len(seeds), 0))
        for name in names
    }
    losses, notes = _losses(rows, seeds)
    return Evidence(
        tuple(places), tuple(parameters), signals, {name: known[column] for name, column in _GRADIENT.items()},
        losses, losses, Coverage(sum(p.site.kind == "product" for p in places), len(order)),
        "seeds" if len(seeds) > 1 else "", notes=notes,
    )  # fmt: skip


def _losses(rows: pd.DataFrame, seeds: list[int]) -> tuple[np.ndarray, tuple[str, ...]]:
    if "log10_abs_loss" not in rows or rows["log10_abs_loss"].isna().all():
        return np.zeros(len(seeds)), ("the frame has no loss, so its scale is not judged",)
    first = rows.groupby("seed")[["log10_abs_loss", "loss_sign"]].first().loc[seeds]
    return (first["loss_sign"] * 10 ** first["log10_abs_loss"]).to_numpy(float), ()


def _size(value: object) -> int:
    number = float(value) if value is not None else 1.0
    return int(number) if np.isfinite(number) and number >= 1 else 1


def _over_time(seen: list[tuple[int, Finding]], steps: list[int]) -> Finding:
    """Return the findings of a rule as one: its first step; a note where it was over by the last one."""
    (first, finding), (last, worst) = seen[0], max(seen, key=lambda one: (one[0], SEVERITIES.index(one[1].severity)))
    ended = last != steps[-1]
    when = f"from step {first} on" if first != last or not ended else f"at step {first}"
    if ended and first != last:
        when = f"from step {first} to step {last}"
    names = tuple(dict.fromkeys(name for step, one in seen if step == first for name in one.layers))
    evidence = f"{when}: {finding.evidence}" if len(steps) > 1 else finding.evidence
    severity = "info" if ended else worst.severity
    return replace(finding if ended else worst, layers=names or worst.layers, evidence=evidence, severity=severity)


def _not_finite(rows: pd.DataFrame, bad: pd.Series, steps: list[int]) -> list[Finding]:
    """Return the first step at which something is not finite, or failed, and the layers that say so."""
    if not bad.any():
        return []
    lost = rows[bad]
    first = lost[lost["step"] == lost["step"].min()]
    said = str(first["status"].iloc[0])
    names = [str(name) for name in dict.fromkeys(first["layer_name"]) if name]
    text = (
        f"first at step {first['step'].iloc[0]} of {steps[-1]}, in {layers(names) or 'no layer in particular'}: {said}"
    )
    return [Finding(Rule.GL018, "error", tuple(names), text)]


def _stopped(rows: pd.DataFrame, steps: list[int]) -> list[Finding]:
    """Layers that learnt and no longer do: exactly zero gradients, no weight moved, or left behind by the others."""
    if len(steps) < 4:
        return []
    findings = []
    table = lambda column: rows.groupby(["step", "layer"])[column].mean().unstack() if column in rows else None
    names = rows.drop_duplicates("layer").set_index("layer")["layer_name"].astype(str)
    late = steps[-max(2, round(_END * len(steps))) :]
    gradient = table("log10_weight_grad_norm")
    if gradient is not None:
        zero = np.isneginf(gradient)
        dead = [j for j in gradient if zero.loc[late, j].all() and not zero[j].iloc[0] and gradient[j].notna().any()]
        for j in dead[:1]:
            since = zero.index[~zero[j]].max()
            stopped = tuple(names[k] for k in dead)
            text = f"the weight gradient of {layers(stopped)} has been exactly 0 since after step {since}"
            findings.append(Finding(Rule.GL007, "error", stopped, text))
    moved, ratio = table("moved_fraction"), table("log10_update_ratio")
    if moved is not None:
        still = [j for j in moved if (moved.loc[late, j] == 0).all() and (moved[j] > 0).any()]
        if still:
            stopped = tuple(names[k] for k in still)
            text = f"in the last {len(late)} steps recorded no weight of {layers(stopped)} was changed by its update"
            findings.append(Finding(Rule.GL014, "warning", stopped, text))
    if ratio is not None and ratio.shape[1] > 2:
        beside = ratio.sub(ratio.median(axis=1), axis=0)
        fallen = (beside.loc[late].max() - beside.drop(index=late).max())[lambda drop: drop < -_BEHIND]
        if len(fallen := fallen[np.isfinite(fallen)]):
            stopped = tuple(names[k] for k in fallen.sort_values().index)
            text = f"against the median layer the update of {layers(stopped)} has fallen by {-fallen.min():.1f} decades"
            findings.append(Finding(Rule.GL014, "warning", stopped, text, float(fallen.min()), -_BEHIND))
    return findings
