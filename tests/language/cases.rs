//! Every file of `tests/cases`: those in `ok` check without a word, those in `err` carry what is said about them beside the line.
//!
//! `//~ ERROR E0301 part of the message` expects an error whose primary label begins on this line; `//~^` on the line above,
//! `//~v` on the line below, each further `^` or `v` one line more. `//~ WARN W0101 …` expects a warning. What is said must be
//! expected, and what is expected must be said.

use std::fs;
use std::path::{Path, PathBuf};

use resnetc::internal::base::render;
use resnetc::internal::base::source::{SourceFile, SourceMap};
use resnetc::internal::driver::Frontend;
use resnetc::internal::syntax;
use resnetc::internal::syntax::ast::{Item, Network};

fn files(folder: &str) -> Vec<PathBuf> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/cases").join(folder);
    let mut list: Vec<PathBuf> = fs::read_dir(folder)
        .unwrap()
        .map(|e| e.unwrap().path())
        .filter(|p| p.extension().is_some_and(|e| e == "resnet"))
        .collect();
    list.sort();
    list
}

/// Checks every network of a file whose parameters all have defaults.
fn check(path: &Path) -> Frontend {
    let mut front = Frontend::open(path).unwrap();
    let names: Vec<String> = front.networks().into_iter().filter(|n| n.open.is_empty()).map(|n| n.name).collect();
    for name in names {
        front.check(&name, &[]);
    }
    front
}

#[derive(Debug)]
struct Expected {
    line: usize,
    error: bool,
    code: String,
    text: String,
}

fn expected(text: &str) -> Vec<Expected> {
    let mut list = Vec::new();
    for (i, line) in text.lines().enumerate() {
        for marker in line.split("//~").skip(1) {
            let up = marker.chars().take_while(|c| *c == '^').count();
            let down = marker.chars().take_while(|c| *c == 'v').count();
            let mut words = marker[up + down..].trim().splitn(3, ' ');
            let error = match words.next() {
                Some("ERROR") => true,
                Some("WARN") => false,
                other => panic!("line {}: `{other:?}` is neither ERROR nor WARN", i + 1),
            };
            let code = words.next().unwrap_or_default().to_string();
            list.push(Expected {
                line: i + 1 + down - up,
                error,
                code,
                text: words.next().unwrap_or_default().trim().to_string(),
            });
        }
    }
    list
}

#[test]
fn good_files_check_without_a_word() {
    let list = files("ok");
    assert!(list.len() >= 10, "only {} files", list.len());
    for path in list {
        let front = check(&path);
        let said = render::terminal(&front.diagnostics, &front.sources, false);
        assert!(front.diagnostics.is_empty(), "{}:\n{said}", path.display());
        assert!(!front.networks().is_empty(), "{} defines no network", path.display());
    }
}

/// Blocks of good files, as no network's: whatever they do with unknown values is no mistake.
#[test]
fn good_blocks_are_good_without_their_networks() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let models = [root.join("models"), root.join("models/std"), root.join("tests/reference")];
    let of = |folder: &PathBuf| fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()).collect::<Vec<_>>();
    let models = models.iter().flat_map(of).filter(|path| path.extension().is_some_and(|e| e == "resnet"));
    let mut blocks = 0;
    for path in models.chain(files("ok")) {
        let mut text = fs::read_to_string(&path).unwrap();
        if !text.contains("\nblock ") {
            continue;
        }
        let tree = syntax::parse(SourceMap::default().add_text("text", text.as_str()), &text).0;
        for item in &tree.items {
            match item {
                Item::Network(Network { span, .. }) => {
                    let blank = " ".repeat(span.range().len());
                    text.replace_range(span.range(), &blank);
                }
                Item::Block(_) => blocks += 1,
                Item::Use(_) | Item::Function(_) => {}
            }
        }
        let name = path.display().to_string();
        let front = Frontend::source(SourceFile { name, path: Some(path.clone()), text: text.into() });
        let said = render::terminal(&front.diagnostics, &front.sources, false);
        assert!(front.networks().is_empty() && !front.has_errors(), "{}:\n{said}", path.display());
    }
    assert!(blocks > 100, "only {blocks} blocks");
}

#[test]
fn bad_files_are_told_what_is_expected_and_nothing_else() {
    let list = files("err");
    assert!(list.len() >= 60, "only {} files", list.len());
    let mut failures = String::new();
    for path in list {
        let text = String::from_utf8_lossy(&fs::read(&path).unwrap()).into_owned();
        let front = check(&path);
        let mut waiting = expected(&text);
        assert!(!waiting.is_empty(), "{} expects nothing", path.display());
        let mut wrong = Vec::new();
        for diag in &front.diagnostics {
            let span = diag.span();
            let here = front.sources.file(span.file).path.as_deref() == Some(path.as_path());
            let line = if here { front.sources.line_column(span.file, span.start).0 } else { 0 };
            let fits = |e: &Expected| {
                (e.line == line || !here) && e.error == diag.is_error() && e.code == diag.code.0 && diag.message.contains(&e.text)
            };
            match waiting.iter().position(fits) {
                Some(at) => drop(waiting.remove(at)),
                None => wrong.push(format!("line {line}: unexpected {} {}", diag.code.0, diag.message)),
            }
        }
        wrong.extend(waiting.iter().map(|e| format!("line {}: {} was not said: {}", e.line, e.code, e.text)));
        if !wrong.is_empty() {
            let said = render::terminal(&front.diagnostics, &front.sources, false);
            failures += &format!("{}:\n  {}\n{said}\n", path.display(), wrong.join("\n  "));
        }
    }
    assert!(failures.is_empty(), "{failures}");
}

/// The pages of `docs/errors`: the first file on each yields its code, the second is clean.
#[test]
fn every_code_has_a_page_whose_examples_hold() {
    let mut failures = String::new();
    for info in resnetc::internal::base::codes::ALL {
        let code = info.code.0;
        assert!(
            info.page.starts_with(&format!("# {code}: {}", info.title)),
            "{code}: the page's heading is not the table's title"
        );
        let examples: Vec<&str> = info.page.split("```resnet\n").skip(1).map(|rest| rest.split("```").next().unwrap()).collect();
        if examples.is_empty() {
            assert!(info.page.contains("```"), "{code}: the page shows nothing");
            continue;
        }
        for (i, text) in examples.iter().enumerate() {
            let mut front = Frontend::text("page.resnet", text);
            let names: Vec<String> = front.networks().into_iter().filter(|n| n.open.is_empty()).map(|n| n.name).collect();
            for name in names {
                front.check(&name, &[]);
            }
            let said = render::terminal(&front.diagnostics, &front.sources, false);
            let codes: Vec<&str> = front.diagnostics.iter().map(|d| d.code.0).collect();
            // what is wrong with a checkpoint is not seen in the source alone
            let source = !code.starts_with("E05");
            let fine = if i == 0 && source { codes.contains(&code) } else { codes.is_empty() };
            if !fine {
                failures += &format!("{code}, example {}:\n{text}\n{said}\n", i + 1);
            }
        }
    }
    assert!(failures.is_empty(), "{failures}");
}
