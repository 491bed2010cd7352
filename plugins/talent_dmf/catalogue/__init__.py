"""The catalogue of exports, `include/exports/*.yaml`."""
