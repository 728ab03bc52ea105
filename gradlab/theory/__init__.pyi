from gradlab.theory.finite_width import Coefficients as Coefficients
from gradlab.theory.finite_width import JacobianMoments as JacobianMoments
from gradlab.theory.finite_width import coefficients as coefficients
from gradlab.theory.finite_width import jacobian_moments as jacobian_moments
from gradlab.theory.finite_width import lyapunov_exponents as lyapunov_exponents
from gradlab.theory.log_norm import LogNormLaw as LogNormLaw
from gradlab.theory.log_norm import log_norm_law as log_norm_law
from gradlab.theory.recurrent import PowersLaw as PowersLaw
from gradlab.theory.recurrent import chrono_bias as chrono_bias
from gradlab.theory.recurrent import log10_cell_path as log10_cell_path
from gradlab.theory.recurrent import recurrent_powers as recurrent_powers
from gradlab.theory.recurrent import slope_bound as slope_bound
from gradlab.theory.shattering import gradient_correlation as gradient_correlation

__all__: list[str]
