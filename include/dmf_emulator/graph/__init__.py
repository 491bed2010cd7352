"""Microsoft Graph's drive API, and the SharePoint origin behind it with upload sessions and downloads."""
