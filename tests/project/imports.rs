//! Imports between the files of `src/`, read from their `use` declarations and inline paths.
//!
//! A path leads to the file that defines its item, through re-exports where these can be followed. `pub use` itself imports nothing,
//! and neither do tests.

use std::collections::{BTreeMap, BTreeSet};
use std::ops::Range;

/// A file.
struct File {
    /// Its code without comments, literals and tests.
    code: String,
    /// Its `use` declarations, one for each name.
    uses: Vec<Use>,
    /// Names of its modules that are files.
    children: Vec<String>,
}

/// `pub use a::b as c`.
struct Use {
    path: Vec<String>,
    /// `c`; `*` for all names.
    name: String,
    is_public: bool,
}

/// Files by their module paths: `ir::op`, or `ir` for `ir/mod.rs`; the crate's root is empty.
pub struct Files(BTreeMap<String, File>);

impl Files {
    /// From module paths and texts.
    pub fn new(texts: impl IntoIterator<Item = (String, String)>) -> Files {
        let codes: BTreeMap<String, String> = texts.into_iter().map(|(module, text)| (module, plain(&text))).collect();
        let is_test = |module: &str| {
            let (parent, name) = module.rsplit_once("::").unwrap_or(("", module));
            codes.get(parent).is_some_and(|code| {
                ["mod", "pub mod", "pub(crate) mod"].iter().any(|word| code.contains(&format!("#[cfg(test)]\n{word} {name};")))
            })
        };
        let modules: Vec<String> = codes.keys().filter(|module| !is_test(module)).cloned().collect();
        let children = |of: &str| {
            let own = modules.iter().filter(|m| !m.is_empty() && parent(m) == of);
            own.map(|m| m.rsplit("::").next().unwrap_or(m).to_owned()).collect()
        };
        let file = |module: &String| {
            let code = codes[module].clone();
            (module.clone(), File { uses: uses(&code), code, children: children(module) })
        };
        Files(modules.iter().map(file).collect())
    }

    /// The files that each file imports from.
    pub fn edges(&self) -> BTreeMap<&str, BTreeSet<&str>> {
        self.0.keys().map(|module| (module.as_str(), self.imports(module))).collect()
    }

    fn imports(&self, module: &str) -> BTreeSet<&str> {
        let file = &self.0[module];
        // a re-export does not need what it shows
        let used = file.uses.iter().filter(|u| !u.is_public).map(|u| u.path.clone());
        let mut found: BTreeSet<&str> =
            used.chain(inline_paths(file)).filter_map(|path| self.definer(module, &path, &mut BTreeSet::new())).collect();
        found.remove(module);
        found
    }

    /// The file that defines what a path in a module refers to; `None` if it is not in this crate.
    fn definer<'f>(&'f self, module: &str, path: &[String], seen: &mut BTreeSet<(String, Vec<String>)>) -> Option<&'f str> {
        if !seen.insert((module.to_owned(), path.to_vec())) {
            return None;
        }
        let (mut at, mut rest) = match path.first()?.as_str() {
            "crate" => (String::new(), &path[1..]),
            "self" => (module.to_owned(), &path[1..]),
            "super" => (parent(module), &path[1..]),
            first if self.0[module].children.iter().any(|child| child == first) => (module.to_owned(), path),
            _ => return None,
        };
        while let [first, more @ ..] = rest {
            at = match first.as_str() {
                "super" => parent(&at),
                child if self.0.get(&at)?.children.iter().any(|c| c == child) => join(&at, child),
                _ => break,
            };
            rest = more;
        }
        let (key, file) = self.0.get_key_value(&at)?;
        let Some(name) = rest.first().filter(|name| *name != "*" && *name != "self") else { return Some(key) };
        if defines(&file.code, name) {
            return Some(key);
        }
        let named = file.uses.iter().filter(|u| u.name == *name).map(|u| u.path.clone());
        let all = file.uses.iter().filter(|u| u.name == "*").map(|u| {
            let mut path = u.path.clone();
            path.pop();
            path.push(name.clone());
            path
        });
        // a glob may lead to a file without the name
        let through = named.chain(all).find_map(|path| self.definer(&at, &path, seen).filter(|found| self.holds(found, &path)));
        through.or(Some(key))
    }

    /// Whether the item of a path is in this file, or the file itself.
    fn holds(&self, module: &str, path: &[String]) -> bool {
        path.last().is_none_or(|name| module.rsplit("::").next() == Some(name) || defines(&self.0[module].code, name))
    }
}

fn parent(module: &str) -> String {
    module.rsplit_once("::").map_or("", |(parent, _)| parent).to_owned()
}

fn join(module: &str, child: &str) -> String {
    if module.is_empty() { child.to_owned() } else { format!("{module}::{child}") }
}

fn is_word(c: char) -> bool {
    c.is_alphanumeric() || c == '_'
}

/// Whether code defines an item of this name.
fn defines(code: &str, name: &str) -> bool {
    code.match_indices(name).any(|(at, _)| {
        let line = code[..at].rsplit('\n').next().unwrap_or("");
        // not a method
        if line.starts_with(char::is_whitespace) || !line.ends_with(' ') || code[at + name.len()..].starts_with(is_word) {
            return false;
        }
        let before = line.trim_end();
        let items = ["fn", "struct", "enum", "trait", "const", "static", "type", "union", "macro_rules!"];
        items.iter().any(|item| before.strip_suffix(item).is_some_and(|rest| !rest.ends_with(is_word)))
    })
}

/// Paths in expressions and types: from `crate`, `super` or `self`, or from a module of this file.
fn inline_paths(file: &File) -> Vec<Vec<String>> {
    let mut code = file.code.clone();
    for (range, _) in use_trees(&file.code).into_iter().rev() {
        code.replace_range(range, "");
    }
    let mut found = Vec::new();
    for (at, _) in code.match_indices("::") {
        let before = code[..at].trim_end_matches(is_word);
        let first = &code[before.len()..at];
        // a visibility imports nothing
        if before.ends_with("::") || before.ends_with("pub(in ") {
            continue;
        }
        if ["crate", "super", "self"].contains(&first) || file.children.iter().any(|child| child == first) {
            let rest: String = code[at + 2..].chars().take_while(|c| is_word(*c) || *c == ':').collect();
            found.push(std::iter::once(first).chain(rest.split("::").filter(|s| !s.is_empty())).map(str::to_owned).collect());
        }
    }
    found
}

/// The `use` declarations of code.
fn uses(code: &str) -> Vec<Use> {
    let mut found = Vec::new();
    for (range, is_public) in use_trees(code) {
        let mut paths = Vec::new();
        expand(&[], &code[range], &mut paths);
        found.extend(paths.into_iter().map(|(path, name)| Use { path, name, is_public }));
    }
    found
}

/// Where the trees of `use` declarations are, and whether these are re-exports.
fn use_trees(code: &str) -> Vec<(Range<usize>, bool)> {
    let tree = |(at, word): (usize, &str)| {
        let before = code[..at].rsplit(['\n', ';', '{', '}']).next().unwrap_or("").trim();
        let start = at + word.len();
        let len = code[start..].find(';')?;
        (before.is_empty() || before.starts_with("pub")).then(|| (start..start + len, before.starts_with("pub")))
    };
    code.match_indices("use ").filter_map(tree).collect()
}

/// The paths of `a::{b, c as d, e::*}` with their names.
fn expand(prefix: &[String], tree: &str, out: &mut Vec<(Vec<String>, String)>) {
    let tree = tree.trim();
    if let Some((head, list)) = tree.split_once('{') {
        let path: Vec<String> =
            prefix.iter().cloned().chain(head.split("::").map(str::trim).filter(|s| !s.is_empty()).map(str::to_owned)).collect();
        let list = list.trim_end().strip_suffix('}').unwrap_or(list);
        let (mut depth, mut start) = (0, 0);
        for (i, c) in list.char_indices().chain([(list.len(), ',')]) {
            match c {
                '{' => depth += 1,
                '}' => depth -= 1,
                ',' if depth == 0 => {
                    if !list[start..i].trim().is_empty() {
                        expand(&path, &list[start..i], out);
                    }
                    start = i + 1;
                }
                _ => {}
            }
        }
        return;
    }
    let (path, name) = tree.split_once(" as ").map_or((tree, None), |(path, name)| (path, Some(name.trim().to_owned())));
    let mut path: Vec<String> = prefix.iter().cloned().chain(path.split("::").map(|s| s.trim().to_owned())).collect();
    path.pop_if(|last| last == "self" && !prefix.is_empty());
    let name = name.or_else(|| path.last().cloned()).unwrap_or_default();
    out.push((path, name));
}

/// Code without comments, literals and the tests at the file's end.
fn plain(text: &str) -> String {
    let mut rest = &text[..text.find("#[cfg(test)]\nmod tests {").unwrap_or(text.len())];
    let mut out = String::new();
    while let Some(c) = rest.chars().next() {
        let skipped = if out.ends_with(is_word) && c == 'r' { None } else { literal(rest) };
        if skipped.is_none() {
            out.push(c);
        }
        rest = rest.get(skipped.unwrap_or(c.len_utf8())..).unwrap_or("");
    }
    out
}

/// The length of the comment or literal at the start of a text.
fn literal(text: &str) -> Option<usize> {
    let hashes = text[1..].len() - text[1..].trim_start_matches('#').len();
    let after = |from: usize, end: &str| text.get(from..)?.find(end).map(|at| from + at + end.len());
    match text.as_bytes() {
        [b'/', b'/', ..] => Some(text.find('\n').unwrap_or(text.len())),
        [b'r', rest @ ..] if rest.get(hashes) == Some(&b'"') => after(hashes + 2, &format!("\"{}", "#".repeat(hashes))),
        [b'"', ..] => {
            let mut escaped = false;
            let end = text.char_indices().skip(1).find(|&(_, c)| {
                let ends = c == '"' && !escaped;
                escaped = c == '\\' && !escaped;
                ends
            });
            end.map(|(at, _)| at + 1)
        }
        [b'\'', b'\\', ..] => after(3, "'"),
        // else a lifetime
        [b'\'', ..] => text.chars().nth(1).map(|c| c.len_utf8() + 1).filter(|&at| text[at..].starts_with('\'')).map(|at| at + 1),
        _ => None,
    }
}

/// The groups of files that import from each other, directly or through others.
pub fn cycles<'e>(edges: &BTreeMap<&'e str, BTreeSet<&'e str>>) -> Vec<BTreeSet<&'e str>> {
    let reach: BTreeMap<&str, BTreeSet<&str>> = edges.keys().map(|&from| (from, reachable(edges, from))).collect();
    let mut found: BTreeSet<BTreeSet<&str>> = BTreeSet::new();
    for (&from, to) in &reach {
        if to.contains(from) {
            found.insert(to.iter().copied().filter(|t| reach[t].contains(from)).collect());
        }
    }
    found.into_iter().collect()
}

fn reachable<'e>(edges: &BTreeMap<&'e str, BTreeSet<&'e str>>, from: &str) -> BTreeSet<&'e str> {
    let mut seen = BTreeSet::new();
    let mut open: Vec<&str> = edges[from].iter().copied().collect();
    while let Some(next) = open.pop() {
        if seen.insert(next) {
            open.extend(edges[next].iter().copied());
        }
    }
    seen
}
