"""Proving who asks: registered clients, their assertions, the hub's access tokens."""
