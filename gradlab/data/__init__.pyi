from gradlab.data.loading import Data as Data
from gradlab.data.loading import balanced as balanced
from gradlab.data.loading import load as load
