"""A package, or a file in it, as a stream that outlives its link."""
