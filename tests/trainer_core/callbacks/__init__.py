"""Every built-in callback in real trainings."""
