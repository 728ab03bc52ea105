"""Tables in, figures out: each function draws on the axes it is given, or makes its own.

They draw what `gradlab.summarise` returns, leave `matplotlib.rcParams` as they were and write no file but by `save`.
"""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
