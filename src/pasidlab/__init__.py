"""Explore, run and observe how Linux hands a process its PASID."""
