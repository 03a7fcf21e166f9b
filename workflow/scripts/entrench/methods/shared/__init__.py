"""What methods share, the catalogue of methods, and the selection of labels."""
