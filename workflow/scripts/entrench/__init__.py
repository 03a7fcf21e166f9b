"""entrench: does consistency training entrench misalignment? All logic of the workflow."""
