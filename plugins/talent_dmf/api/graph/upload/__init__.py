"""The resumable upload of one file to a drive."""
