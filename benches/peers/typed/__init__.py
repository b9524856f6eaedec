"""Objects in, objects out; what each object is encoded as is the transport's affair."""
