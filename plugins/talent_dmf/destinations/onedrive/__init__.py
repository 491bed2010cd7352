"""A folder in OneDrive for Business or a SharePoint library."""
