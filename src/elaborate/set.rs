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

/// Parses settings; a later one replaces an earlier one of the same name.
pub(super) fn parse(set: &[(String, String)], sources: &mut SourceMap, diags: &mut Vec<Diagnostic>) -> Vec<Set> {
    let mut list: Vec<Set> = Vec::new();
    for (name, value) in set {
        // The value is an expression of the language, so it is parsed as the default of a parameter. What the error shows is the
        // command line, where the value starts at the same offset.
        let plain = name.replace('.', "_");
        let before = format!("resnet 1;block s({plain} =");
        let text = format!("{before}{value}) {{\n}}\n");
        let shown = format!("resnetc ... --set {name}={value}\n");
        let scratch = sources.add_text("command line".to_owned(), shown.as_str());
        let (tree, errors) = syntax::parse(scratch, &text);
        let parsed = match (&tree.items[..], errors.is_empty()) {
            ([ast::Item::Block(block)], true) => match &block.params[..] {
                [ast::Param { default: Some(expr), name: parsed }] if parsed.node == plain => Some(expr.clone()),
                _ => None,
            },
            _ => None,
        };
        let span = Span::new(scratch, before.len()..before.len() + value.len());
        let end = before.len() - 1;
        let name_span = Span::new(scratch, end - name.len()..end);
        match parsed {
            Some(expr) => {
                list.retain(|s| s.name != *name);
                list.push(Set { name: name.clone(), expr, span, name_span });
            }
            None => diags.push(
                Diagnostic::error(
                    codes::SET_SYNTAX,
                    format!("`{name}={value}` is not a valid parameter setting"),
                    span,
                    "cannot be read",
                )
                .help("write a number, a word or a list: --set classes=10, --set depths=[2,2,2,2]"),
            ),
        }
    }
    list
}
