//! `OLD=NEW`: other names for the tensors of a weight file, chosen by the user.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use super::name_list::listed;

/// Renames the tensor `old`, and all whose names begin with `old.`. An empty `old` is before all names, an empty `new` drops `old.`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(into = "String", try_from = "String")]
pub struct Rename {
    /// The name, or its first parts, in the file.
    pub old: String,
    /// What it becomes.
    pub new: String,
}

impl Rename {
    /// The new name, if this name is `old` or inside it.
    pub fn apply(&self, name: &str) -> Option<String> {
        let rest = match name.strip_prefix(&self.old)? {
            "" => return (!self.new.is_empty()).then(|| self.new.clone()),
            rest if self.old.is_empty() => rest,
            rest => rest.strip_prefix('.')?,
        };
        Some(if self.new.is_empty() { rest.to_owned() } else { format!("{}.{rest}", self.new) })
    }
}

impl fmt::Display for Rename {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}={}", self.old, self.new)
    }
}

impl From<Rename> for String {
    fn from(rename: Rename) -> String {
        rename.to_string()
    }
}

impl FromStr for Rename {
    type Err = String;

    fn from_str(text: &str) -> Result<Rename, String> {
        let parts = |side: &str| side.is_empty() || side.split('.').all(|part| !part.is_empty());
        match text.split_once('=') {
            Some((old, new)) if old != new && parts(old) && parts(new) => Ok(Rename { old: old.to_owned(), new: new.to_owned() }),
            _ => Err("expected OLD=NEW, two names or their first parts: fc.1=fc renames fc.1.weight to fc.weight".to_owned()),
        }
    }
}

impl TryFrom<String> for Rename {
    type Error = String;

    fn try_from(text: String) -> Result<Rename, String> {
        text.parse()
    }
}

/// The new names of tensors, by the old ones: for each, the longest `old` counts. All of them must be used, and no two tensors may get the
/// same name.
pub(super) fn renamed<'n>(names: &[&'n str], renames: &[Rename]) -> Result<BTreeMap<&'n str, String>, String> {
    let (mut out, mut used) = (BTreeMap::new(), BTreeSet::new());
    for name in names {
        let fits = renames.iter().enumerate().filter_map(|(at, rename)| Some((rename.old.len(), at, rename.apply(name)?)));
        if let Some((_, at, new)) = fits.max() {
            used.insert(at);
            out.insert(*name, new);
        }
    }
    if let Some((_, unused)) = renames.iter().enumerate().find(|(at, _)| !used.contains(at)) {
        let inside = format!(".{}.", unused.old);
        let near = names.iter().find_map(|name| Some(&name[..name.find(&inside)? + inside.len() - 1]));
        if let Some(near) = near.filter(|_| !unused.old.is_empty()) {
            let near = Rename { old: near.to_owned(), new: unused.new.clone() };
            return Err(format!("has no tensor for `--rename {unused}`: did you mean `--rename {near}`?"));
        }
        let begins: BTreeSet<&str> = names.iter().filter_map(|name| name.split('.').next()).collect();
        let begins: Vec<&str> = begins.into_iter().collect();
        return Err(format!(
            "has no tensor for `--rename {unused}`: none is `{0}` or begins with `{0}.`; its names begin with {1}",
            unused.old.escape_debug(),
            listed(&begins)
        ));
    }
    let mut all: BTreeMap<&str, &str> = BTreeMap::new();
    for name in names {
        let new = out.get(name).map_or(*name, String::as_str);
        if let Some(other) = all.insert(new, name) {
            return Err(format!(
                "has two tensors that are both `{}` after `--rename`: `{}` and `{}`; give the other one another name too",
                new.escape_debug(),
                other.escape_debug(),
                name.escape_debug()
            ));
        }
    }
    Ok(out)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rename(text: &str) -> Rename {
        text.parse().unwrap()
    }

    #[test]
    fn whole_parts_are_renamed() {
        for (text, name, expected) in [
            ("fc.1=fc", "fc.1.weight", Some("fc.weight")),
            ("fc.1=fc", "fc.10.weight", None),
            ("fc.1=fc", "x.fc.1.weight", None),
            ("0=conv1", "0.weight", Some("conv1.weight")),
            ("gamma=weight", "gamma", Some("weight")),
            ("encoder=", "encoder.fc.bias", Some("fc.bias")),
            ("encoder=", "encoder", None),
            ("=encoder", "fc.bias", Some("encoder.fc.bias")),
        ] {
            assert_eq!(rename(text).apply(name).as_deref(), expected, "{text} {name}");
            assert_eq!(rename(text).to_string(), text);
        }
        for text in ["fc", "=", "a=a", "a..b=c", ".a=b", "a=b."] {
            assert!(text.parse::<Rename>().is_err(), "{text}");
        }
    }

    #[test]
    fn the_longest_counts_and_all_happen_at_once() {
        let names = ["a.weight", "a.b.weight", "c.weight"];
        let new = |list: &[&str]| {
            let renames: Vec<Rename> = list.iter().map(|text| rename(text)).collect();
            renamed(&names, &renames).map(|new| names.map(|name| new.get(name).map_or(name, String::as_str).to_owned()))
        };
        assert_eq!(new(&["a=x", "a.b=y"]).unwrap(), ["x.weight", "y.weight", "c.weight"]);
        assert_eq!(new(&["a=c", "c=a"]).unwrap(), ["c.weight", "c.b.weight", "a.weight"]);
        assert!(new(&["d=x"]).unwrap_err().contains("none is `d` or begins with `d.`; its names begin with `a`, `c`"));
        assert!(new(&["b=x"]).unwrap_err().contains("did you mean `--rename a.b=x`?"));
        assert!(new(&["a=c"]).unwrap_err().contains("`c.weight` after `--rename`: `a.weight` and `c.weight`"));
    }
}
