"""The finance and operations (and Talent) environment: package API actions and entity sets."""
