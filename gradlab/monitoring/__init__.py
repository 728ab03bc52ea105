"""Any training loop, not only gradlab's: what its gradients, its updates and its weights do, layer by layer."""
