"""Losses on tensors, the positions that they compare, and the steps of training with them."""
