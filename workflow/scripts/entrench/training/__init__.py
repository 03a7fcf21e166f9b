"""LoRA training: of organisms (phase 1) and on labels or pairs (phase 3)."""
