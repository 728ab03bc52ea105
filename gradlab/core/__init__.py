"""How gradients flow: layers with their hand-written backward passes."""
