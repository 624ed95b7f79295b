//! The names of optimizer state in training checkpoints.

/// The prefix of optimizer state in training checkpoints, before the dot. If the names of a layer have the same prefix, underscores are added
/// until none does.
const OPTIMIZER: &str = "optimizer";

/// A prefix for optimizer state that no parameter's name begins with.
pub fn optimizer_prefix<'n>(parameters: impl Iterator<Item = &'n str> + Clone) -> String {
    let mut prefix = format!("{OPTIMIZER}.");
    while parameters.clone().any(|name| name.starts_with(&prefix)) {
        prefix.insert(prefix.len() - 1, '_');
    }
    prefix
}

/// The parameter whose optimizer state has this name, if it is optimizer state.
pub(super) fn optimized(name: &str) -> Option<&str> {
    name.strip_prefix(OPTIMIZER)?.trim_start_matches('_').strip_prefix('.')
}
