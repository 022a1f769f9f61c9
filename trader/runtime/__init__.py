"""The runtime: the imperative shell around the engine. It asks the world through ports only."""
