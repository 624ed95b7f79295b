//! Lists of names in messages.

/// The number of names that a list shows.
const SHOWN: usize = 8;

/// Names in backticks; of a long list, the first ones and the number of the others.
pub(super) fn listed(names: &[impl AsRef<str>]) -> String {
    first(names, SHOWN)
}

/// The same with another number of names.
pub(super) fn first(names: &[impl AsRef<str>], shown: usize) -> String {
    let list: Vec<String> = names.iter().take(shown).map(|name| format!("`{}`", name.as_ref().escape_debug())).collect();
    let more = names.len().saturating_sub(shown);
    let more = if more > 0 { format!(" and {more} more") } else { String::new() };
    format!("{}{more}", list.join(", "))
}
