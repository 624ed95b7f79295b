//! The rules of the code base, scanned: see "Rules" in `docs/architecture.md`.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

/// What may stand at the top.
const TOP: &[&str] = &[
    ".ci",
    ".gitignore",
    "CHANGELOG.md",
    "CONTRIBUTING.md",
    "Cargo.lock",
    "Cargo.toml",
    "LICENSE-APACHE",
    "LICENSE-MIT",
    "README.md",
    "benches",
    "clippy.toml",
    "docs",
    "examples",
    "fuzz",
    "grammar",
    "models",
    "rustfmt.toml",
    "src",
    "tests",
];

/// The folders of `src/` in the order of the flow: each imports only from those before it.
const ORDER: &[&str] = &[
    "base",
    "elementwise",
    "ir",
    "syntax",
    "elaborate",
    "check",
    "grad",
    "passes",
    "kernels",
    "plan",
    "runtime",
    "formats",
    "decompile",
    "torch",
    "data",
    "view",
    "train",
    "driver",
    "infer",
    "eval",
    "api",
    "cli",
    "lsp",
];

fn sources() -> Vec<(String, PathBuf, String)> {
    fn walk(folder: &Path, out: &mut Vec<PathBuf>) {
        for entry in fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                walk(&path, out);
            } else if path.extension().is_some_and(|e| e == "rs") && !path.to_string_lossy().replace('\\', "/").contains("/tests")
            {
                out.push(path);
            }
        }
    }
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let mut files = Vec::new();
    walk(&root, &mut files);
    files.sort();
    files
        .into_iter()
        .map(|path| {
            let inside = path.strip_prefix(&root).unwrap();
            let first = inside.components().next().unwrap().as_os_str().to_string_lossy().into_owned();
            let text = fs::read_to_string(&path).unwrap();
            (first.trim_end_matches(".rs").to_string(), path, text)
        })
        .collect()
}

/// The lines that are code: comments and the test modules at a file's end are left out.
fn code(text: &str) -> impl Iterator<Item = (usize, &str)> {
    let end = text.find("#[cfg(test)]\nmod tests {").unwrap_or(text.len());
    text[..end]
        .lines()
        .enumerate()
        .map(|(i, line)| (i + 1, line.split("//").next().unwrap_or("")))
        .filter(|(_, line)| !line.trim().is_empty())
}

fn complain(found: Vec<String>, rule: &str) {
    assert!(found.is_empty(), "{rule}:\n{}", found.join("\n"));
}

#[test]
fn a_folder_imports_only_from_those_before_it() {
    let mut found = Vec::new();
    for (folder, path, text) in sources() {
        let Some(place) = ORDER.iter().position(|f| *f == folder) else {
            assert!(matches!(folder.as_str(), "lib" | "main"), "{} stands in no known folder", path.display());
            continue;
        };
        for (line, code) in code(&text) {
            for (at, _) in code.match_indices("crate::") {
                let name: String = code[at + 7..].chars().take_while(|c| c.is_alphanumeric() || *c == '_').collect();
                let names: Vec<String> = if name.is_empty() {
                    // `use crate::{passes, plan}`
                    code[at + 7..]
                        .trim_matches(['{', '}', ';', ' '])
                        .split(',')
                        .map(|n| n.trim().split("::").next().unwrap_or("").to_string())
                        .collect()
                } else {
                    vec![name]
                };
                for name in names {
                    let Some(target) = ORDER.iter().position(|f| *f == name) else { continue };
                    let kernels = folder == "kernels" && !matches!(name.as_str(), "base" | "elementwise" | "kernels");
                    if target > place || kernels {
                        found.push(format!("{}:{line}: {folder} imports {name}", path.display()));
                    }
                }
            }
        }
    }
    complain(found, "a folder imports only from those before it, and kernels only from base and elementwise");
}

#[test]
fn the_flow_has_no_folder_that_the_rule_does_not_know() {
    let known = |name: &str| ORDER.contains(&name) || matches!(name, "lib" | "main");
    complain(sources().into_iter().filter(|(f, ..)| !known(f)).map(|(f, ..)| f).collect(), "unknown folders");
}

/// Names at the top: what git keeps, or, outside a checkout, all but the build folder.
fn top() -> Vec<String> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let kept = ["ls-files", "-z"];
    let git = Command::new("git")
        .args(kept)
        .current_dir(root)
        .output()
        .ok()
        .filter(|o| o.status.success() && root.join(".git").exists());
    let mut names: Vec<String> = match git {
        Some(output) => String::from_utf8_lossy(&output.stdout)
            .split_terminator('\0')
            // what was deleted, but not yet from the index, is not there
            .filter(|path| root.join(path).symlink_metadata().is_ok())
            .map(|path| path.split('/').next().unwrap_or(path).to_owned())
            .collect(),
        None => fs::read_dir(root)
            .unwrap()
            .map(|entry| entry.unwrap().file_name().to_string_lossy().into_owned())
            .filter(|name| !matches!(name.as_str(), ".git" | "target"))
            .collect(),
    };
    names.sort();
    names.dedup();
    names
}

#[test]
fn nothing_stands_at_the_top_that_does_not_belong_there() {
    let names = top();
    for needed in ["Cargo.toml", "src"] {
        assert!(names.iter().any(|n| n == needed), "{needed} is not among {names:?}");
    }
    complain(
        names.into_iter().filter(|n| !TOP.contains(&n.as_str())).collect(),
        "what may stand at the top is listed here: files belong into a folder",
    );
}

/// The module path of a file: `ir::op`; empty for the crate's root.
fn module(path: &Path) -> String {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let inside = path.strip_prefix(&root).unwrap().with_extension("");
    let parts: Vec<_> =
        inside.iter().map(|part| part.to_string_lossy()).filter(|part| !matches!(&**part, "mod" | "lib")).collect();
    parts.join("::")
}

#[test]
fn files_do_not_import_from_each_other() {
    let texts = sources().into_iter().filter(|(folder, ..)| folder != "main").map(|(_, path, text)| (module(&path), text));
    let files = super::imports::Files::new(texts);
    let edges = files.edges();
    let mut found: Vec<String> = Vec::new();
    for cycle in super::imports::cycles(&edges) {
        let name = cycle.iter().copied().collect::<Vec<_>>().join(" ");
        let inside = |from: &&str| {
            edges[from].iter().filter(|to| cycle.contains(*to)).map(|to| format!("    {from} -> {to}")).collect::<Vec<_>>()
        };
        found.push(format!("{name}\n{}", cycle.iter().flat_map(inside).collect::<Vec<_>>().join("\n")));
    }
    complain(found, "files import from each other in a cycle: move what they share to a file of its own");
}

#[test]
fn the_scan_finds_cycles() {
    let cycles = |texts: &[(&str, &str)]| {
        let files = super::imports::Files::new(texts.iter().map(|&(module, text)| (module.to_owned(), text.to_owned())));
        let found: Vec<String> =
            super::imports::cycles(&files.edges()).into_iter().map(|c| c.into_iter().collect::<Vec<_>>().join(" ")).collect();
        found
    };
    let with = |a: &str, b: &str, parent: &str| cycles(&[("", "mod m;"), ("m", parent), ("m::a", a), ("m::b", b)]);
    let (a, b) = ("use super::b::g;\npub fn f() {}", "pub fn g() {}");
    assert!(with(a, b, "mod a;\nmod b;").is_empty());
    for text in [
        "use super::a::f;\npub fn g() {}",
        "use crate::m::{a::{self, f as other}};\npub fn g() {}",
        "pub fn g() { super::a::f() }",
        "pub fn g() -> crate::m::a::T {}",
    ] {
        assert_eq!(with(a, text, "mod a;\nmod b;"), ["m::a m::b"], "{text}");
    }
    // through what the parent shows again, which itself imports nothing
    for parent in
        ["mod a;\nmod b;\npub use a::f;", "mod a;\nmod b;\npub use a::*;", "mod a;\nmod b;\npub(crate) use self::a::{f};"]
    {
        assert_eq!(with(a, "use super::f;\npub fn g() {}", parent), ["m::a m::b"], "{parent}");
        assert_eq!(with(a, "pub fn g() { crate::m::f() }", parent), ["m::a m::b"], "{parent}");
    }
    // between a file and its folder
    assert_eq!(with("use super::X;", "", "mod a;\nmod b;\nstruct X;\nuse a::f;"), ["m m::a"]);
    assert_eq!(with("use super::X;", "", "mod a;\nmod b;\nstruct X;\nfn h() { a::f() }"), ["m m::a"]);
    assert!(with("use super::X;", "", "mod a;\nmod b;\nstruct X;\npub use a::f;").is_empty());
    // neither comments, literals, visibilities nor tests
    for text in [
        "// use super::a::f;\npub fn g() {}",
        "pub fn g() { \"use super::a::f; \\\" super::a::f()\" }",
        "pub fn g() { r#\"\" super::a::f()\"#; '\"'; '\\''; }",
        "pub(in super::a) fn g() {}",
        "pub fn g() {}\n#[cfg(test)]\nmod tests {\n use super::super::a::f;\n}",
    ] {
        assert!(with(a, text, "mod a;\nmod b;").is_empty(), "{text}");
    }
    assert!(with(a, "use super::a::f;\npub fn g() {}", "mod a;\n#[cfg(test)]\nmod b;").is_empty());
}

/// The six files that say of every operator what it is there.
const BACK_ENDS: &[&str] = &[
    "src/ir/infer/mod.rs",
    "src/runtime/interp/mod.rs",
    "src/plan/lower/mod.rs",
    "src/grad/mod.rs",
    "src/formats/onnx/export/emit.rs",
    "src/torch/op.rs",
];

/// The operators that a file names.
fn operators(text: &str) -> BTreeSet<&str> {
    let name = |at: usize| text[at..].split(|c: char| !c.is_alphanumeric()).next().unwrap_or("");
    let names = text.match_indices("Op::").filter(|(at, _)| !text[..*at].ends_with(char::is_alphanumeric));
    names.map(|(at, found)| name(at + found.len())).filter(|name| name.starts_with(char::is_uppercase)).collect()
}

#[test]
fn only_the_back_ends_name_every_operator() {
    let sources = sources();
    let path_of = |path: &Path| path.strip_prefix(env!("CARGO_MANIFEST_DIR")).unwrap().to_string_lossy().replace('\\', "/");
    let code_of = |text: &str| code(text).map(|(_, line)| line).collect::<Vec<_>>().join("\n");
    let op = sources.iter().find(|(_, path, _)| path.ends_with("src/ir/op.rs")).unwrap();
    let body = code_of(&op.2);
    let body = body.split("pub enum Op {").nth(1).and_then(|rest| rest.split("\n}").next()).unwrap();
    // variants, not the fields of those that have some
    let is_variant = |line: &&str| line.starts_with("    ") && line.as_bytes().get(4).is_some_and(u8::is_ascii_uppercase);
    let all: BTreeSet<&str> =
        body.lines().filter(is_variant).map(|line| line.trim().split(['(', ',', ' ']).next().unwrap()).collect();
    assert!(all.contains("Conv") && all.len() > 8, "{all:?}");
    let mut found = Vec::new();
    for (_, path, text) in &sources {
        let (path, code) = (path_of(path), code_of(text));
        let named = operators(&code);
        let missing: Vec<_> = all.difference(&named).collect();
        if BACK_ENDS.contains(&path.as_str()) {
            found.extend((!missing.is_empty()).then(|| format!("{path} lacks {missing:?}")));
        } else if missing.len() < all.len() / 2 && !path.starts_with("src/ir/op") {
            found.push(format!("{path} names {} of {} operators: ask for a fact instead", named.len(), all.len()));
        }
    }
    complain(found, "the six back ends, and no other file, go through the operators");
}

#[test]
fn unsafe_code_stands_where_it_may() {
    let allowed = |path: &Path| {
        let path = path.to_string_lossy().replace('\\', "/");
        path.contains("/src/kernels/")
            || path.ends_with("/src/base/mmap.rs")
            || path.ends_with("/src/runtime/arena.rs")
            || path.ends_with("/src/runtime/exec.rs")
            || path.ends_with("/src/runtime/exec_train.rs")
    };
    let mut found = Vec::new();
    for (_, path, text) in sources().into_iter().filter(|(_, path, _)| !allowed(path)) {
        for (line, code) in code(&text) {
            if code.contains("unsafe ") && !code.contains("unsafe_") {
                found.push(format!("{}:{line}", path.display()));
            }
        }
    }
    complain(found, "`unsafe` lives in kernels/, base/mmap.rs, and where the arena's views are made and taken");
}

#[test]
fn only_the_command_line_prints_reads_arguments_or_exits() {
    let mut found = Vec::new();
    for (folder, path, text) in sources().into_iter().filter(|(f, ..)| !matches!(f.as_str(), "cli" | "lsp" | "main")) {
        for (line, code) in code(&text) {
            for word in ["println!", "eprintln!", "print!(", "std::process::exit", "env::args", "dbg!"] {
                if code.contains(word) {
                    found.push(format!("{}:{line}: {folder} uses {word}", path.display()));
                }
            }
        }
    }
    complain(found, "only cli and lsp print, read arguments or exit");
}

#[test]
fn only_syntax_sees_the_parser_generator() {
    let mut found = Vec::new();
    for (_, path, text) in sources().into_iter().filter(|(f, ..)| f != "syntax") {
        found.extend(code(&text).filter(|(_, c)| c.contains("pest")).map(|(line, _)| format!("{}:{line}", path.display())));
    }
    complain(found, "pest's rules are seen by syntax alone");
}

#[test]
fn the_scan_sees_code_and_not_comments() {
    let text = "use crate::plan; // crate::cli\n/// unsafe words\nfn f() {}\n#[cfg(test)]\nmod tests { use crate::cli; }\n";
    let lines: Vec<_> = code(text).map(|(n, line)| (n, line.trim().to_string())).collect();
    assert_eq!(lines, [(1, "use crate::plan;".to_string()), (3, "fn f() {}".to_string())]);
}
