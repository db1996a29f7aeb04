"""The runtime: everything that the Space runs, and nothing else. Never imports train/."""
