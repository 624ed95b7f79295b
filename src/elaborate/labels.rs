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

const OWN_INPUT: &str = "a block reads its own input only; its parameters are numbers, words and blocks";

/// What is wrong with a parameter or a `let` where a label is expected.
fn only_a_value(diag: Diagnostic, name: &str, in_block: bool) -> Diagnostic {
    if !in_block {
        return diag.note(format!("`{name}` is a parameter or a `let`, not a value of the network"));
    }
    diag.note(format!("`{name}` is a parameter or a `let`, and cannot stand for a value of the caller"))
        .rule(OWN_INPUT)
        .help("join outside the block, where the label is")
        .help("or nest: `concat { … }` computes a branch from the current value and joins it at once")
}

impl Expander<'_> {
    /// A labeled value, for joins and `from`; reports an unknown label.
    pub(super) fn label(&mut self, name: &Ident, cx: &mut Cx) -> Option<ir::Value> {
        if let Some(found) = cx.labels.get_mut(&name.node) {
            found.used = true;
            let (value, at) = (found.value, found.span);
            // in a network, a layer can be called like a parameter, as in a file of weights
            return if cx.in_block && cx.env.vars.contains_key(&name.node) { self.ambiguous(name, at) } else { value };
        }
        let mut diag =
            Diagnostic::error(codes::UNKNOWN_LABEL, format!("no value is called `{}`", name.node), name.span, "not found");
        let without_scopes = name.node.rsplit('.').next().filter(|last| cx.labels.contains_key(*last));
        if let Some(own) = without_scopes {
            let fix = format!("a label is without the scopes around it: did you mean `{own}`?");
            diag = diag.fix(fix, name.span, own);
        } else if let Some(near) = nearest(&name.node, cx.labels.keys().map(String::as_str)) {
            diag = diag.fix(format!("did you mean `{near}`?"), name.span, near);
            // that it is not joined has the same reason
            let near = near.to_owned();
            cx.labels.get_mut(&near).into_iter().for_each(|label| label.used = true);
        } else if cx.env.vars.contains_key(&name.node) {
            self.error(only_a_value(diag, &name.node, cx.in_block));
            return None;
        } else if cx.in_block && INPUT.contains(&name.node.to_ascii_lowercase().as_str()) {
            let mark = format!("to read it elsewhere, name it in the block's first line: `branch {} {{ }}`", name.node);
            diag = diag.help("`add shortcut` adds the block's input, by the current policy").help(mark);
        } else {
            diag = diag.rule("a `branch NAME`, a stage or a statement with `as NAME` before this line gives a value a name");
        }
        self.error(diag);
        None
    }

    /// Reports a name that could be a parameter or a label.
    fn ambiguous<T>(&mut self, name: &Ident, label: Span) -> Option<T> {
        let message = format!("`{}` is a label of this block, and a parameter or `let`", name.node);
        let diag = Diagnostic::error(codes::DUPLICATE_NAME, message, name.span, "which of the two?");
        self.error(diag.label(label, "the label").rule(OWN_INPUT).help("give the label another name"));
        None
    }

    /// Reports a label that another value of the body has, whose statement is a `branch`, a `stage` or a `repeat`.
    pub(super) fn label_is_taken(&mut self, name: &Ident, first: Span, help: &str) {
        let message = format!("two values are called `{}`", name.node);
        let diag = Diagnostic::error(codes::DUPLICATE_NAME, message, name.span, "the second one").label(first, "the first one");
        self.error(diag.rule("labels belong to the whole body: a `scope` is a part of layers' names only").help(help));
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
