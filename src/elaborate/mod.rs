//! Names, `use`, parameters; blocks and stages expanded into a graph.
