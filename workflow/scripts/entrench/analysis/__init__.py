"""From scores to risk, delta-risk and their statistics."""
