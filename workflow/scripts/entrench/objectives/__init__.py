"""Loss functions on tensors."""
