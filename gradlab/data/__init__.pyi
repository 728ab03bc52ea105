from .loading import Data as Data
from .loading import balanced as balanced
from .loading import load as load
