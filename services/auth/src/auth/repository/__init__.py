"""All SQL of auth. Verbs: insert, get (raises), find (may be None), list, lock (FOR UPDATE)."""
