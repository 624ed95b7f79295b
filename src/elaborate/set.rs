//! `--set NAME=VALUE`.

use crate::base::codes;
use crate::base::diagnostic::Diagnostic;
use crate::base::source::{SourceMap, Span};
use crate::syntax::{self, ast};

/// A parsed `--set name=value`.
pub(super) struct Set {
    pub name: String,
    pub expr: ast::Expr,
    pub span: Span,
    /// Of the name, in the command line as shown.
    pub name_span: Span,
}

/// Parses settings; a later one replaces an earlier one of the same name. Each is a file of its own, of which messages show an excerpt.
pub(super) fn parse(set: &[(String, String)], sources: &mut SourceMap, diags: &mut Vec<Diagnostic>) -> Vec<Set> {
    let mut list: Vec<Set> = Vec::new();
    for (name, value) in set {
        let shown = if value.is_empty() { name.clone() } else { format!("{name}={value}") };
        // each network of a file is elaborated with the same settings: one file, so that their errors are the same
        let known = sources.files().find(|(_, file)| file.name == "--set" && *file.text == *shown).map(|(id, _)| id);
        let file = known.unwrap_or_else(|| sources.add_text("--set", shown.as_str()));
        let name_span = Span::new(file, 0..name.len());
        let span = Span::new(file, (name.len() + 1).min(shown.len())..shown.len());
        let wrong = |message: String, at: Span, label: &str| {
            Diagnostic::error(codes::SET_SYNTAX, message, at, label)
                .help("a setting is `NAME=VALUE`: --set classes=10, --set depths=[2,2,2,2], --set train.epochs=30")
        };
        let is_word = |part: &str| !part.is_empty() && part.chars().all(|c| c.is_ascii_alphanumeric() || c == '_');
        if !name.split('.').all(is_word) || name.starts_with(|c: char| c.is_ascii_digit()) {
            diags.push(wrong(format!("`{name}` is not the name of a parameter"), name_span, "cannot be a name"));
            continue;
        }
        if value.is_empty() {
            diags.push(wrong(format!("`{name}` is given no value"), name_span, "`=` and a value are missing after this"));
            continue;
        }
        match syntax::expression(file, value, name.len() + 1) {
            Ok(expr) => {
                list.retain(|s| s.name != *name);
                list.push(Set { name: name.clone(), expr, span, name_span });
            }
            Err(errors) => {
                let (at, label) = errors.first().map_or((span, "cannot be read"), |e| (e.span(), e.labels[0].text.as_str()));
                let reason = errors.first().map_or("", |error| error.message.as_str());
                diags.push(wrong(format!("the value of `{name}` cannot be read: {reason}"), at, label));
            }
        }
    }
    list
}

/// Points at the setting whose value is wrong where a parameter is used.
pub(super) fn show(diag: &mut Diagnostic, given: &[(String, Span)], sources: &SourceMap) {
    if ![codes::UNKNOWN_NAME, codes::BAD_VALUE].contains(&diag.code) {
        return;
    }
    let text = |span: Span| sources.file(span.file).text.get(span.start as usize..span.end as usize).unwrap_or_default();
    let (at, said) = (diag.span(), &diag.labels);
    let is_cause = |(name, span): &&(String, Span)| {
        let value = text(*span);
        let is_said =
            diag.message.starts_with(&format!("`{value}` ")) || said.iter().any(|label| label.text == format!("is {value}"));
        is_said && at.file != span.file && text(at) == name && !said.iter().any(|label| label.span == *span)
    };
    if let Some((_, span)) = given.iter().find(is_cause) {
        *diag = diag.clone().label(*span, "set here");
    }
}
