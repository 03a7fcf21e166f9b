"""What a sweep will cost: its jobs, what each takes, and the plan as tables."""
