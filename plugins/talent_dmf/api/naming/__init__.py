"""Names: what OneDrive accepts, file names made of templates, URLs of folders."""
