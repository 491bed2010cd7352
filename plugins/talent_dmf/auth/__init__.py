"""Signing in to Entra ID and AD FS: identities, msal flows, tokens."""
