"""The storage account that holds the exported packages."""
