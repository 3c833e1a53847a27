"""Who says it, and on what terms: trading partners, their identities, agreements and keys."""
