from .judging import disagreement as disagreement
from .judging import judge as judge
from .judging import rules_named as rules_named
