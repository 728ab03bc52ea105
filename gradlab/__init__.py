"""gradlab: how gradients travel through deep networks, why they vanish or explode, and what to change.

Importing it imports nothing else; every public name is loaded when it is first used. They stand in `__init__.pyi`.
"""

import lazy_loader

__version__ = "0.1.0"
__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
