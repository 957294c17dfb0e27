"""What a lowered model is written as for other tools."""
