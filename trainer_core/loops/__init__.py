"""The loops: what happens in which order during fit, validate, test and predict."""
