//! The order of names in which `layer.10` comes after `layer.9`.

/// A key that sorts `layer.10` after `layer.9`.
pub(super) fn natural(name: &str) -> Vec<(usize, &str)> {
    name.split('.').map(|part| part.parse().map_or((usize::MAX, part), |number| (number, ""))).collect()
}
