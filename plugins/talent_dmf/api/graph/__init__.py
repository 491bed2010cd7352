"""Microsoft Graph: drives, items, errors, quickXorHash."""
