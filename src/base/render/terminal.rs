//! For people: source lines with labels, as rustc shows them.

use annotate_snippets::{Annotation, AnnotationKind, Element, Level, Origin, Renderer, Snippet, normalize_untrusted_str};

use super::excerpt::excerpt;
use super::{MOST_SHOWN, in_order};
use crate::base::diagnostic::{Diagnostic, Label, Severity};
use crate::base::source::{FileId, SourceMap};

/// Renders diagnostics, [in order](in_order), an empty line behind each. Control characters that a source may hold do not
/// reach the terminal.
pub fn terminal(diags: &[Diagnostic], sources: &SourceMap, color: bool) -> String {
    let renderer = if color { Renderer::styled().hyperlink(false) } else { Renderer::plain() };
    let mut out = String::new();
    for diag in in_order(diags).into_iter().take(MOST_SHOWN) {
        out.push_str(&one(diag, sources, &renderer));
        out.push_str("\n\n");
    }
    if let Some(more @ 1..) = diags.len().checked_sub(MOST_SHOWN) {
        out.push_str(&format!("… and {more} more\n\n"));
    }
    out
}

fn one(diag: &Diagnostic, sources: &SourceMap, renderer: &Renderer) -> String {
    let level = match diag.severity {
        Severity::Error => Level::ERROR,
        Severity::Warning => Level::WARNING,
    };
    let mut elements: Vec<Element> = Vec::new();
    // The primary label's file first, then the others in the order in which they are named.
    let mut files: Vec<FileId> = Vec::new();
    for label in &diag.labels {
        if !files.contains(&label.span.file) {
            files.push(label.span.file);
        }
    }
    for file in files {
        let labels: Vec<&Label> = diag.labels.iter().filter(|label| label.span.file == file).collect();
        elements.extend(of_file(&labels, file, sources));
    }
    for note in &diag.notes {
        let (name, text) = note.split_once(": ").unwrap_or(("note", note));
        elements.push(Level::NOTE.with_name(name.to_owned()).message(normalize_untrusted_str(text)).into());
    }
    for help in &diag.helps {
        let text = match &help.edit {
            Some((_, new)) if !help.text.contains(new.trim()) => format!("{}: `{}`", help.text, new.trim()),
            _ => help.text.clone(),
        };
        elements.push(Level::HELP.message(normalize_untrusted_str(&text)).into());
    }
    renderer.render(&[level.primary_title(diag.message.as_str()).id(diag.code.0).elements(elements)])
}

/// The lines of one file with their labels.
fn of_file<'a>(labels: &[&'a Label], file: FileId, sources: &'a SourceMap) -> Vec<Element<'a>> {
    let Some((first, others)) = labels.split_first() else { return Vec::new() };
    let source = sources.file(file);
    let shown = excerpt(source, first.span, others.iter().map(|label| label.span));
    let annotation = |label: &&'a Label| -> Annotation<'a> {
        let kind = if label.primary { AnnotationKind::Primary } else { AnnotationKind::Context };
        let annotation = kind.span(shown.place(label.span, &source.text));
        if label.text.is_empty() { annotation } else { annotation.label(normalize_untrusted_str(&label.text)) }
    };
    let name = normalize_untrusted_str(&source.name);
    let snippet = Snippet::source(&source.text[shown.range.clone()]).line_start(shown.line).fold(true);
    match shown.column {
        None => vec![snippet.path(name).annotations(labels.iter().map(annotation)).into()],
        // Columns counted from the start of the piece would be wrong, so they are stated.
        Some(column) => vec![
            Origin::path(name).line(shown.line).char_column(column).into(),
            snippet.annotations(labels.iter().take(1).map(annotation)).into(),
        ],
    }
}
