"""Building what a run specification names."""
