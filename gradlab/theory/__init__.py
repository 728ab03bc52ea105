"""What to expect: mean field in infinitely wide networks, its corrections at finite width, spectra.

Theory computes from an activation's table and numbers alone; it runs no network and reads no measurement.
"""

from importlib import import_module

#: Public name -> module that holds it.
_HOMES: dict[str, str] = {
    "Coefficients": "finite_width",
    "CriticalLine": "critical",
    "CriticalPoint": "critical",
    "FUNCTIONALS": "prediction",
    "JacobianMoments": "finite_width",
    "LayerTerms": "layer_terms",
    "LogNormLaw": "log_norm",
    "MeanField": "meanfield",
    "MeanFieldMaps": "maps",
    "PhaseDiagram": "phase",
    "PowersLaw": "recurrent",
    "Prediction": "prediction",
    "SlopeMoments": "spectra",
    "StreamLaw": "residual",
    "Transients": "trajectories",
    "batch_norm_factor": "normalization",
    "chrono_bias": "recurrent",
    "coefficients": "finite_width",
    "critical_line": "critical",
    "critical_point": "critical",
    "critical_sigma_w2": "critical",
    "critical_start": "critical",
    "effective_depth": "spectra",
    "expectation": "gaussian",
    "finite_width_terms": "layer_terms",
    "fixup_gain": "residual",
    "gradient_correlation": "shattering",
    "isometric_depth": "spectra",
    "jacobian_moments": "finite_width",
    "largest_eigenvalue": "spectra",
    "layer_norm_factor": "normalization",
    "learning_steps": "learning",
    "log10_cell_path": "recurrent",
    "log_norm_law": "log_norm",
    "lyapunov_exponents": "finite_width",
    "mean_field": "meanfield",
    "mean_field_maps": "maps",
    "mean_field_of": "network",
    "moment_ratio": "spectra",
    "moments": "gaussian",
    "normalised_skip_factors": "normalization",
    "overlap": "gaussian",
    "phase_diagram": "phase",
    "post_norm_factor": "residual",
    "pre_norm": "residual",
    "pre_norm_gradients": "residual",
    "predict": "prediction",
    "recurrent_powers": "recurrent",
    "reduced_residual": "residual",
    "residual_factor": "residual",
    "residual_log_variance": "residual",
    "slope_bound": "recurrent",
    "slope_moments": "spectra",
    "spectral_density": "spectra",
    "transients": "trajectories",
}

__all__ = [*_HOMES]


def __getattr__(name: str):
    if name in _HOMES:
        # importing a module binds its own name here: what it holds must win
        value = getattr(import_module(f"{__name__}.{_HOMES[name]}"), name)
        globals()[name] = value
        return value
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__() -> list[str]:
    return __all__
