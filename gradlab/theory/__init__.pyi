from gradlab.theory.critical import CriticalLine as CriticalLine
from gradlab.theory.critical import CriticalPoint as CriticalPoint
from gradlab.theory.critical import critical_line as critical_line
from gradlab.theory.critical import critical_point as critical_point
from gradlab.theory.critical import critical_sigma_w2 as critical_sigma_w2
from gradlab.theory.critical import critical_start as critical_start
from gradlab.theory.finite_width import Coefficients as Coefficients
from gradlab.theory.finite_width import JacobianMoments as JacobianMoments
from gradlab.theory.finite_width import coefficients as coefficients
from gradlab.theory.finite_width import jacobian_moments as jacobian_moments
from gradlab.theory.finite_width import lyapunov_exponents as lyapunov_exponents
from gradlab.theory.gaussian import expectation as expectation
from gradlab.theory.gaussian import moments as moments
from gradlab.theory.gaussian import overlap as overlap
from gradlab.theory.layer_terms import LayerTerms as LayerTerms
from gradlab.theory.layer_terms import finite_width_terms as finite_width_terms
from gradlab.theory.learning import learning_steps as learning_steps
from gradlab.theory.log_norm import LogNormLaw as LogNormLaw
from gradlab.theory.log_norm import log_norm_law as log_norm_law
from gradlab.theory.maps import MeanFieldMaps as MeanFieldMaps
from gradlab.theory.maps import mean_field_maps as mean_field_maps
from gradlab.theory.meanfield import MeanField as MeanField
from gradlab.theory.meanfield import mean_field as mean_field
from gradlab.theory.network import mean_field_of as mean_field_of
from gradlab.theory.normalization import batch_norm_factor as batch_norm_factor
from gradlab.theory.normalization import layer_norm_factor as layer_norm_factor
from gradlab.theory.normalization import normalised_skip_factors as normalised_skip_factors
from gradlab.theory.phase import PhaseDiagram as PhaseDiagram
from gradlab.theory.phase import phase_diagram as phase_diagram
from gradlab.theory.prediction import FUNCTIONALS as FUNCTIONALS
from gradlab.theory.prediction import Prediction as Prediction
from gradlab.theory.prediction import predict as predict
from gradlab.theory.recurrent import PowersLaw as PowersLaw
from gradlab.theory.recurrent import chrono_bias as chrono_bias
from gradlab.theory.recurrent import log10_cell_path as log10_cell_path
from gradlab.theory.recurrent import recurrent_powers as recurrent_powers
from gradlab.theory.recurrent import slope_bound as slope_bound
from gradlab.theory.residual import StreamLaw as StreamLaw
from gradlab.theory.residual import fixup_gain as fixup_gain
from gradlab.theory.residual import post_norm_factor as post_norm_factor
from gradlab.theory.residual import pre_norm as pre_norm
from gradlab.theory.residual import pre_norm_gradients as pre_norm_gradients
from gradlab.theory.residual import reduced_residual as reduced_residual
from gradlab.theory.residual import residual_factor as residual_factor
from gradlab.theory.residual import residual_log_variance as residual_log_variance
from gradlab.theory.shattering import gradient_correlation as gradient_correlation
from gradlab.theory.spectra import SlopeMoments as SlopeMoments
from gradlab.theory.spectra import effective_depth as effective_depth
from gradlab.theory.spectra import isometric_depth as isometric_depth
from gradlab.theory.spectra import largest_eigenvalue as largest_eigenvalue
from gradlab.theory.spectra import moment_ratio as moment_ratio
from gradlab.theory.spectra import slope_moments as slope_moments
from gradlab.theory.spectra import spectral_density as spectral_density
from gradlab.theory.trajectories import Transients as Transients
from gradlab.theory.trajectories import transients as transients

__all__ = [
    "Coefficients",
    "CriticalLine",
    "CriticalPoint",
    "FUNCTIONALS",
    "JacobianMoments",
    "LayerTerms",
    "LogNormLaw",
    "MeanField",
    "MeanFieldMaps",
    "PhaseDiagram",
    "PowersLaw",
    "Prediction",
    "SlopeMoments",
    "StreamLaw",
    "Transients",
    "batch_norm_factor",
    "chrono_bias",
    "coefficients",
    "critical_line",
    "critical_point",
    "critical_sigma_w2",
    "critical_start",
    "effective_depth",
    "expectation",
    "finite_width_terms",
    "fixup_gain",
    "gradient_correlation",
    "isometric_depth",
    "jacobian_moments",
    "largest_eigenvalue",
    "layer_norm_factor",
    "learning_steps",
    "log10_cell_path",
    "log_norm_law",
    "lyapunov_exponents",
    "mean_field",
    "mean_field_maps",
    "mean_field_of",
    "moment_ratio",
    "moments",
    "normalised_skip_factors",
    "overlap",
    "phase_diagram",
    "post_norm_factor",
    "pre_norm",
    "pre_norm_gradients",
    "predict",
    "recurrent_powers",
    "reduced_residual",
    "residual_factor",
    "residual_log_variance",
    "slope_bound",
    "slope_moments",
    "spectral_density",
    "transients",
]
