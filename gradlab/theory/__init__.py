"""What to expect: mean field in infinitely wide networks, its corrections at finite width, spectra.

Theory computes from an activation's table and numbers alone; it runs no network and reads no measurement.
"""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
