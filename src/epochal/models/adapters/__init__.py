"""Models of other libraries as pairs of pure functions, one module a library; none is imported before it is needed."""
