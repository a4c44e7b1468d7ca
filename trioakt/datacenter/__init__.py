"""Several clusters behind one directory: where each is, how it stands, and how the others reach what it has."""
