"""The study: its config, its sweep of organisms and runs, and the settings of each job."""
