"""How jobs run on their machine."""
