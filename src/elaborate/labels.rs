//! Labels: looking up the values they refer to, and evaluating label templates.

use super::eval::Env;
use super::expand::{Cx, Expander};
use super::naming::MAX_NAME;
use super::suggest::nearest;
use super::value::Value;
use crate::base::codes;
use crate::base::diagnostic::Diagnostic;
use crate::base::source::Span;
use crate::ir;
use crate::syntax::ast::{Ident, Label, Template, TemplatePart};

/// What a block's input is called elsewhere.
const INPUT: [&str; 8] = ["x", "input", "inputs", "identity", "residual", "skip", "res", "shortcut"];

impl Expander<'_> {
    /// A labeled value, for joins and `from`; reports an unknown label.
    pub(super) fn label(&mut self, name: &Ident, cx: &mut Cx) -> Option<ir::Value> {
        if let Some(found) = cx.labels.get_mut(&name.node) {
            found.used = true;
            return found.value;
        }
        let mut diag =
            Diagnostic::error(codes::UNKNOWN_LABEL, format!("no value is called `{}`", name.node), name.span, "not found");
        if let Some(near) = nearest(&name.node, cx.labels.keys().map(String::as_str)) {
            diag = diag.fix(format!("did you mean `{near}`?"), name.span, near);
        } else if cx.in_block && INPUT.contains(&name.node.to_ascii_lowercase().as_str()) {
            let mark = format!("to read it elsewhere, name it in the block's first line: `branch {} {{ }}`", name.node);
            diag = diag.help("`add shortcut` adds the block's input, by the current policy").help(mark);
        } else {
            diag = diag.rule("a `branch NAME`, a stage or a statement with `as NAME` before this line gives a value a name");
        }
        self.error(diag);
        None
    }

    /// The text of a label, with its template evaluated.
    pub(super) fn label_text(&mut self, label: &Label, env: &Env) -> Option<(String, Span)> {
        let (text, span) = match label {
            Label::Name(name) => (name.node.clone(), name.span),
            Label::Template(template) => (self.template(template, env)?, template.span),
        };
        let part_ok = |part: &str| !part.is_empty() && part.chars().all(|c| c.is_alphanumeric() || c == '_' || c == '-');
        if text.len() > MAX_NAME || !text.split('.').all(part_ok) {
            let shown: String = text.chars().take(60).collect();
            self.error(
                Diagnostic::error(codes::BAD_NAME, format!("`{shown}` cannot name a layer"), span, "not a name")
                    .rule("a name consists of letters, digits, `_` and `-`, with dots between its parts"),
            );
            return None;
        }
        Some((text, span))
    }

    fn template(&mut self, template: &Template, env: &Env) -> Option<String> {
        let mut text = String::new();
        for part in &template.parts {
            match part {
                TemplatePart::Text(part) => text.push_str(part),
                TemplatePart::Expr(expr) => match self.eval(expr, env) {
                    Value::Int(n) => text.push_str(&n.to_string()),
                    Value::Str(s) | Value::Word(s) => text.push_str(&s),
                    Value::Unknown => text.push_str(&self.unknown_text()?),
                    other => {
                        self.evaluator().mismatch("a whole number or a text", &other, expr.span);
                        return None;
                    }
                },
            }
            if text.len() > MAX_NAME {
                break;
            }
        }
        Some(text)
    }
}
