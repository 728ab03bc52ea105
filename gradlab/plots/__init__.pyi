from gradlab.plots.animation import animate as animate
from gradlab.plots.bands import activation_bands as activation_bands
from gradlab.plots.bins import histograms as histograms
from gradlab.plots.captions import caption as caption
from gradlab.plots.carried import circle as circle
from gradlab.plots.cosines import input_gradients as input_gradients
from gradlab.plots.cosines import shattering as shattering
from gradlab.plots.curves import training_curves as training_curves
from gradlab.plots.decades import log10_axis as log10_axis
from gradlab.plots.densities import spectrum as spectrum
from gradlab.plots.depths import rate_against_depth as rate_against_depth
from gradlab.plots.depthscales import depth_scales as depth_scales
from gradlab.plots.files import save as save
from gradlab.plots.grids import heatmap as heatmap
from gradlab.plots.intervals import forest as forest
from gradlab.plots.layer_maps import layer_map as layer_map
from gradlab.plots.learning import learning_speed as learning_speed
from gradlab.plots.learning import update_ratio as update_ratio
from gradlab.plots.legends import legend as legend
from gradlab.plots.meanfield import maps as maps
from gradlab.plots.named import layer_gradients as layer_gradients
from gradlab.plots.phase import phase_diagram as phase_diagram
from gradlab.plots.printed import autodiff as autodiff
from gradlab.plots.profiles import gradient_flow as gradient_flow
from gradlab.plots.ridgelines import ridges as ridges
from gradlab.plots.spread import fluctuations as fluctuations
from gradlab.plots.styles import PRESETS as PRESETS
from gradlab.plots.styles import style as style
from gradlab.plots.trainable import trainability as trainability
from gradlab.plots.transitions import transition as transition
from gradlab.plots.walls import cliff as cliff

__all__ = [
    "PRESETS",
    "activation_bands",
    "animate",
    "autodiff",
    "caption",
    "circle",
    "cliff",
    "depth_scales",
    "fluctuations",
    "forest",
    "gradient_flow",
    "heatmap",
    "histograms",
    "input_gradients",
    "layer_gradients",
    "layer_map",
    "learning_speed",
    "legend",
    "log10_axis",
    "maps",
    "phase_diagram",
    "rate_against_depth",
    "ridges",
    "save",
    "shattering",
    "spectrum",
    "style",
    "trainability",
    "training_curves",
    "transition",
    "update_ratio",
]
