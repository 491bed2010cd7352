"""Where packages are saved."""
