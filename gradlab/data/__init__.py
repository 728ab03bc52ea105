"""Data for measurements: named sets, arrays and users' files, checked before anything is computed."""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
