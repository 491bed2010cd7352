"""What the services remember, and the clock-driven rules of it. No HTTP, no service's wording."""
