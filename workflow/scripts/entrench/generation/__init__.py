"""Text from models: one protocol, and one module for each engine."""
