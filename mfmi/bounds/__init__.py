"""Points in, columns out: mean field, chains and the named bounds (theory section 4)."""
