"""A call as leaves: which values are ranked, what each leaf is, and the plan that was kept."""
