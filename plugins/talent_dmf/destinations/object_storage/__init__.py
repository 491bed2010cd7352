"""A folder in an object store, a file server or on a disk."""
