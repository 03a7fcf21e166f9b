"""The four misalignments: data slots, risk definition, scoring rules."""
