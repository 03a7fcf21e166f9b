"""Why delta-risk is what it is: probes, decomposition, prediction."""
