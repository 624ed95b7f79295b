//! For people: source lines with labels, as rustc shows them.

use annotate_snippets::{AnnotationKind, Level, Renderer, Snippet};

use crate::base::diagnostic::{Diagnostic, Label, Severity};
use crate::base::source::{FileId, SourceMap};

/// Renders diagnostics one after the other, an empty line behind each.
pub fn terminal(diags: &[Diagnostic], sources: &SourceMap, colour: bool) -> String {
    let mut out = String::new();
    for diag in diags {
        out.push_str(&one(diag, sources, colour));
        out.push_str("\n\n");
    }
    out
}

fn one(diag: &Diagnostic, sources: &SourceMap, colour: bool) -> String {
    let level = match diag.severity {
        Severity::Error => Level::ERROR,
        Severity::Warning => Level::WARNING,
    };
    let mut group =
        level.primary_title(diag.message.as_str()).id(diag.code.0).elements(std::iter::empty::<annotate_snippets::Element<'_>>());
    // the primary label's file first, then the others in the order in which they are named
    let mut files: Vec<FileId> = Vec::new();
    for label in &diag.labels {
        if !files.contains(&label.span.file) {
            files.push(label.span.file);
        }
    }
    for file in files {
        let source = sources.file(file);
        let mut snippet = Snippet::source(&*source.text).path(source.name.as_str()).line_start(1).fold(true);
        for label in diag.labels.iter().filter(|l| l.span.file == file) {
            let kind = if label.primary { AnnotationKind::Primary } else { AnnotationKind::Context };
            let annotation = kind.span(range(label, &source.text));
            snippet = snippet.annotation(if label.text.is_empty() { annotation } else { annotation.label(label.text.as_str()) });
        }
        group = group.element(snippet);
    }
    for note in &diag.notes {
        let (name, text) = note.split_once(": ").unwrap_or(("note", note));
        group = group.element(Level::NOTE.with_name(name.to_string()).message(text.to_string()));
    }
    for help in &diag.helps {
        let text = match &help.edit {
            Some((_, new)) if !help.text.contains(new.as_str()) => format!("{}: `{new}`", help.text),
            _ => help.text.clone(),
        };
        group = group.element(Level::HELP.message(text));
    }
    let renderer = if colour { Renderer::styled() } else { Renderer::plain() };
    renderer.render(&[group])
}

/// A label's bytes, kept inside the text and at character boundaries whatever the span says.
fn range(label: &Label, text: &str) -> std::ops::Range<usize> {
    let clamp = |mut at: usize| {
        at = at.min(text.len());
        while !text.is_char_boundary(at) {
            at -= 1;
        }
        at
    };
    let range = label.span.range();
    let start = clamp(range.start);
    start..clamp(range.end).max(start)
}
