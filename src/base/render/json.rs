//! JSON output for programs: one line per diagnostic, in the format of rustc's `--error-format=json`.

use serde_json::{Value, json as object};

use super::excerpt::excerpt;
use super::{MOST_SHOWN, in_order, terminal};
use crate::base::codes;
use crate::base::diagnostic::{Diagnostic, Severity};
use crate::base::source::{SourceMap, Span};

/// How many lines of a span are included.
const MOST_LINES: usize = 6;

/// One line of [`json`] per diagnostic, [in order](in_order). If there are too many, a last line reports how many were omitted.
pub fn json_lines(diags: &[Diagnostic], sources: &SourceMap) -> impl Iterator<Item = String> {
    let more = diags.len().saturating_sub(MOST_SHOWN);
    let last = (more > 0).then(|| {
        let message = format!("… and {more} more");
        json_message("failure-note", &message, &message)
    });
    in_order(diags).into_iter().take(MOST_SHOWN).map(|diag| json(diag, sources)).chain(last)
}

/// A message that is about no source, with the fields of [`json`].
pub fn json_message(level: &str, message: &str, rendered: &str) -> String {
    object!({
        "$message_type": "diagnostic",
        "message": message,
        "code": null,
        "level": level,
        "spans": [],
        "children": [],
        "rendered": rendered,
    })
    .to_string()
}

/// One line of JSON with the fields of rustc's diagnostics: `message`, `code`, `level`, `spans`, `children`, `rendered`. Spans
/// in very long lines have no `text`.
pub fn json(diag: &Diagnostic, sources: &SourceMap) -> String {
    let level = match diag.severity {
        Severity::Error => "error",
        Severity::Warning => "warning",
    };
    let spans: Vec<Value> = diag.labels.iter().map(|l| span(l.span, l.primary, &l.text, None, sources)).collect();
    let notes = diag.notes.iter().map(|note| child("note", note, Vec::new()));
    let helps = diag.helps.iter().map(|help| {
        let edits = help.edit.iter().map(|(at, new)| span(*at, true, "", Some(new), sources)).collect();
        child("help", &help.text, edits)
    });
    let children: Vec<Value> = notes.chain(helps).collect();
    let page = codes::find(diag.code.0).map(|info| info.page);
    object!({
        "$message_type": "diagnostic",
        "message": diag.message,
        "code": { "code": diag.code.0, "explanation": page },
        "level": level,
        "spans": spans,
        "children": children,
        "rendered": terminal(std::slice::from_ref(diag), sources, false),
    })
    .to_string()
}

fn child(level: &str, message: &str, spans: Vec<Value>) -> Value {
    object!({ "message": message, "code": null, "level": level, "spans": spans, "children": [], "rendered": null })
}

fn span(span: Span, primary: bool, label: &str, replacement: Option<&str>, sources: &SourceMap) -> Value {
    let file = sources.file(span.file);
    let (line_start, column_start) = sources.line_column(span.file, span.start);
    let (line_end, column_end) = sources.line_column(span.file, span.end);
    let shown = excerpt(file, span, std::iter::empty());
    let mut text = Vec::new();
    if shown.column.is_none() {
        for (i, line) in file.text[shown.range].split('\n').enumerate().take(MOST_LINES) {
            let from = if i == 0 { column_start } else { 1 };
            let to = if line_start + i == line_end { column_end } else { line.chars().count() + 1 };
            text.push(object!({ "text": line, "highlight_start": from, "highlight_end": to }));
        }
    }
    object!({
        "file_name": file.name,
        "byte_start": span.start,
        "byte_end": span.end,
        "line_start": line_start,
        "line_end": line_end,
        "column_start": column_start,
        "column_end": column_end,
        "is_primary": primary,
        "text": text,
        "label": if label.is_empty() { Value::Null } else { Value::from(label) },
        "suggested_replacement": replacement,
        "suggestion_applicability": replacement.map(|_| "MaybeIncorrect"),
        "expansion": null,
    })
}
