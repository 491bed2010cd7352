"""The command line ``talent-dmf``: the first catalogue file, checks, single exports, and coming from elsewhere."""
