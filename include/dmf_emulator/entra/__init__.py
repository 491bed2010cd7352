"""Entra ID: discovery and token endpoints."""
