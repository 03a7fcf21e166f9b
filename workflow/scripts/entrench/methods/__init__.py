"""Label methods: pure selections over the candidates of one pool."""
