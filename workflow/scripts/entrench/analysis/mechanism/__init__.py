"""Why delta-risk has its sign: probes, decomposition, prediction."""
