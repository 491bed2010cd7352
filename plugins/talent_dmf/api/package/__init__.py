"""A data package: ranges of it, its zip directory, its manifest, the files in it."""
