"""LoRA training of organisms and of phase 3."""
