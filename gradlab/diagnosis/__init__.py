"""Any JAX model, not only gradlab's: which layers starve or blow up, by what factor, why, and what to change."""
