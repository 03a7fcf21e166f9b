"""What runs jobs: one writer, one head, devices, clusters, and what an interrupted sweep left."""
