"""Text from models: one protocol, one engine a module."""
