from gradlab.training.cliff import Cliff as Cliff
from gradlab.training.cliff import clipping_cliff as clipping_cliff
from gradlab.training.curvature import sharpness as sharpness
from gradlab.training.loop import train as train
from gradlab.training.records import Failure as Failure
from gradlab.training.records import Training as Training
from gradlab.training.task import TrainTask as TrainTask
from gradlab.training.task import train_sweep as train_sweep

__all__ = ["Cliff", "Failure", "TrainTask", "Training", "clipping_cliff", "sharpness", "train", "train_sweep"]
