"""Images, audio, text, tables, histograms, matrices and figures: from what user code has in hand to files to keep."""
