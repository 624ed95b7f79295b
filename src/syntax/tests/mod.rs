mod hostile;
mod properties;
mod recovery;
mod tree;

use super::*;
use crate::base::render;
use crate::base::source::SourceMap;

/// Parses a text, and renders its diagnostics.
fn read(text: &str) -> (ast::File, Vec<Diagnostic>, String) {
    let mut sources = SourceMap::default();
    let id = sources.add_text("net.resnet", text);
    let (file, diagnostics) = parse(id, text);
    let said = render::terminal(&diagnostics, &sources, false);
    (file, diagnostics, said)
}

/// Parses a text that is all right.
fn fine(text: &str) -> ast::File {
    let (file, diagnostics, said) = read(text);
    assert!(diagnostics.is_empty() && !file.damaged, "{text}\n{said}");
    file
}

/// The code of each error with the text that it points at.
fn errors(text: &str) -> Vec<(&'static str, String)> {
    let (file, diagnostics, _) = read(text);
    assert_eq!(file.damaged, !diagnostics.is_empty());
    diagnostics.iter().map(|diagnostic| (diagnostic.code.0, text[diagnostic.span().range()].to_owned())).collect()
}

/// The networks of `models/` and the standard library: a page each of what the language is for.
fn models() -> Vec<(String, String)> {
    let mut models = Vec::new();
    for folder in ["models", "models/std", "tests/cases/ok"] {
        for entry in std::fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.extension().is_some_and(|extension| extension == "resnet") {
                models.push((path.display().to_string(), std::fs::read_to_string(&path).unwrap()));
            }
        }
    }
    assert!(models.len() > 10);
    models
}
