"""Risk of a subject, delta-risk of a run, and the tables of both."""
