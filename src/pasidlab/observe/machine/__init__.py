"""The model as a live kernel shows it: its own functions, with tracepoints that note events, and programs without bounds."""
