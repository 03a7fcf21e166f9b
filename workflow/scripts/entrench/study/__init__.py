"""The study: its config, its sweep of organisms and runs, and what decides each job."""
