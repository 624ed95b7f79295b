//! The `precision` block: which layers compute in which precision.

use super::eval::{Env, Eval};
use super::suggest::nearest;
use super::train::RecipeLabels;
use super::value::Value;
use crate::base::codes;
use crate::base::diagnostic::Diagnostic;
use crate::base::source::Span;
use crate::ir::{Graph, Precision, Precisions};
use crate::syntax::ast::Entry;

/// The key of all layers that are not named.
const DEFAULT: &str = "default";

/// The precisions of a network whose names are not yet resolved in the graph.
#[derive(Debug)]
pub(super) struct Unresolved {
    default: Precision,
    named: Vec<(String, Span, Precision)>,
}

/// Reads the entries `NAME: PRECISION`.
pub(super) fn read(entries: &[Entry], env: &Env, eval: &mut Eval<'_>) -> Unresolved {
    let mut out = Unresolved { default: Precision::default(), named: Vec::new() };
    let mut seen: Vec<(&str, Span)> = Vec::new();
    for entry in entries {
        let key = &entry.key;
        if let Some((_, first)) = seen.iter().find(|(name, _)| *name == key.node) {
            let message = format!("`{}` is given twice", key.node);
            let diag = Diagnostic::error(codes::GIVEN_TWICE, message, key.span, "the second time");
            eval.diags.push(diag.label(*first, "the first time"));
            continue;
        }
        seen.push((&key.node, key.span));
        let Some(precision) = one(entry, env, eval) else { continue };
        if key.node == DEFAULT {
            out.default = precision;
        } else {
            out.named.push((key.node.clone(), key.span, precision));
        }
    }
    out
}

/// The precision of an entry.
fn one(entry: &Entry, env: &Env, eval: &mut Eval<'_>) -> Option<Precision> {
    let [arg] = &entry.args[..] else {
        let message = format!("`{}` takes one precision: `f32`, `bf16` or `int8`", entry.key.node);
        let is = if entry.args.is_empty() { "has none" } else { "has several" };
        eval.diags.push(Diagnostic::error(codes::BAD_VALUE, message, entry.span, is));
        return None;
    };
    if let Some(inner) = entry.entries.first() {
        let message = "a precision has no keys of its own";
        let diag = Diagnostic::error(codes::UNKNOWN_KEY, message, inner.key.span, "not here");
        eval.diags.push(diag.help("name a layer by its full name: `layer1.0.conv1: f32`"));
        return None;
    }
    let value = eval.eval(&arg.value, env);
    let word = match &value {
        Value::Unknown => return None,
        Value::Word(word) => word,
        _ => {
            let message = format!("`{}` takes `f32`, `bf16` or `int8`", entry.key.node);
            eval.diags.push(Diagnostic::error(codes::BAD_VALUE, message, arg.span, format!("is {value}")));
            return None;
        }
    };
    if let Some(precision) = Precision::named(word) {
        return Some(precision);
    }
    let message = format!("there is no precision `{word}`");
    let mut diag = Diagnostic::error(codes::BAD_VALUE, message, arg.span, "not `f32`, `bf16` or `int8`");
    let ours = match &*word.to_ascii_lowercase() {
        "fp32" | "float32" | "float" | "single" => Some("f32"),
        "bfloat16" | "brainfloat16" | "bfloat" => Some("bf16"),
        "i8" | "u8" | "uint8" | "qint8" | "quint8" => Some("int8"),
        "fp16" | "f16" | "float16" | "half" => {
            diag = diag.note("f16 is not among them: its largest number is 65504, which sums exceed; bf16 has the range of f32");
            Some("bf16")
        }
        lower => nearest(lower, Precision::ALL.map(Precision::word)),
    };
    if let Some(ours) = ours {
        diag = diag.fix(format!("did you mean `{ours}`?"), arg.span, ours);
    }
    eval.diags.push(diag);
    None
}

impl Unresolved {
    /// The precisions by full names. A name that no layer, scope or section has is an error.
    pub fn resolved(self, graph: &Graph, diags: &mut Vec<Diagnostic>) -> Precisions {
        let labels = RecipeLabels::new(graph);
        let mut layers = Vec::new();
        for (name, span, precision) in self.named {
            match labels.nodes(&name) {
                Ok(found) => layers.extend(found.into_iter().map(|name| (name, precision))),
                Err(unknown) => {
                    let message = format!("the network has no layer or stage `{name}`");
                    let mut diag = Diagnostic::error(codes::UNKNOWN_LABEL, message, span, "named here");
                    if let Some(list) = unknown.list() {
                        diag = diag.note(list);
                    }
                    let near = unknown.near.or_else(|| nearest(&name, [DEFAULT]).map(str::to_owned));
                    if let Some(near) = near {
                        diag = diag.fix(format!("did you mean `{near}`?"), span, near);
                    }
                    diags.push(diag);
                }
            }
        }
        Precisions { default: self.default, layers }
    }
}
