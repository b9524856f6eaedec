"""What users install: wheels and the source distribution."""
