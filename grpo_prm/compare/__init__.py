"""Runs side by side: what differs, how sure that is, and how soon each reaches a level of reward."""
