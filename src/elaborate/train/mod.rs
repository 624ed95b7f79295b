//! The `train` block. Its entries are evaluated, entries of the derivation chain and of `--set train.KEY=VALUE` are merged
//! ([`TrainEntries`]), and the result is read as a [`Recipe`](crate::ir::Recipe).

mod augment;
mod entries;
mod keys;
mod labels;
mod read;
mod unresolved;

pub(super) use entries::TrainEntries;
pub use labels::RecipeLabels;
pub(super) use read::read;
pub(super) use unresolved::UnresolvedRecipe;

use super::eval::{Env, Eval};
use super::foreign;
use super::set::Set;
use super::value::Value;
use crate::base::codes;
use crate::base::diagnostic::Diagnostic;
use crate::base::source::Span;
use crate::syntax::ast;
use entries::{Entry, LengthUnit};

/// The maximum nesting depth of entries.
const MAX_DEPTH: usize = 8;

/// The entries of a `train` block.
pub(in crate::internal::elaborate) fn level(entries: &[ast::Entry], span: Span, env: &Env, eval: &mut Eval<'_>) -> TrainEntries {
    TrainEntries { entries: evaluated(entries, env, 0, eval), span, of_command: false }
}

fn evaluated(list: &[ast::Entry], env: &Env, depth: usize, eval: &mut Eval<'_>) -> Vec<Entry> {
    let mut out: Vec<Entry> = Vec::new();
    for entry in list {
        if let Some(first) = out.iter().find(|e| e.key == entry.key.node) {
            let message = format!("`{}` is given twice", entry.key.node);
            let diag = Diagnostic::error(codes::GIVEN_TWICE, message, entry.key.span, "the second time");
            eval.diags.push(diag.label(first.key_span, "the first time"));
            continue;
        }
        if depth >= MAX_DEPTH {
            eval.diags.push(Diagnostic::error(codes::UNKNOWN_KEY, "keys are not nested this deeply", entry.key.span, "not here"));
            continue;
        }
        out.push(Entry {
            key: entry.key.node.clone(),
            key_span: entry.key.span,
            values: entry.args.iter().map(|arg| (word(eval.eval(&arg.value, env)), arg.span)).collect(),
            entries: evaluated(&entry.entries, env, depth + 1, eval),
            span: entry.span,
            unit: LengthUnit::default(),
            module: Some(env.module),
        });
    }
    out
}

/// In a recipe, the name of a block or network is a word: `schedule cosine` works even if a network is called `cosine`.
fn word(value: Value) -> Value {
    match value {
        Value::Unit(unit) if unit.args.is_empty() => Value::Word(unit.name.clone()),
        value => value,
    }
}

/// The entries of `--set train.KEY=VALUE`, if any.
pub(in crate::internal::elaborate) fn of_command(sets: &[Set], env: &Env, eval: &mut Eval<'_>) -> Option<TrainEntries> {
    let mut entries: Vec<Entry> = Vec::new();
    for set in sets {
        let value = word(eval.eval(&set.expr, env));
        let path: Vec<&str> = set.name.split('.').skip(1).take(MAX_DEPTH).collect();
        let Some((last, above)) = path.split_last() else { continue };
        // the span of each key in `--set train.optimizer.lr=0.1`
        let key_span = |depth: usize| {
            let from: usize = "train.".len() + path[..depth].iter().map(|key| key.len() + 1).sum::<usize>();
            let start = set.name_span.start + from as u32;
            Span { start, end: start + path[depth].len() as u32, ..set.name_span }
        };
        let entry = |depth: usize, values| Entry {
            key: path[depth].to_owned(),
            key_span: key_span(depth),
            values,
            entries: Vec::new(),
            span: set.span,
            unit: LengthUnit::default(),
            module: None,
        };
        let mut at = &mut entries;
        for (depth, key) in above.iter().enumerate() {
            let index = at.iter().position(|e| e.key == **key).unwrap_or_else(|| {
                at.push(entry(depth, Vec::new()));
                at.len() - 1
            });
            at = &mut at[index].entries;
        }
        let value = vec![(value, set.span)];
        match at.iter_mut().find(|e| e.key == **last) {
            Some(entry) => entry.values = value,
            None => at.push(entry(above.len(), value)),
        }
    }
    Some(TrainEntries { entries, span: sets.first()?.span, of_command: true })
}

/// Where a key stands in a recipe that is written here or in another framework as `key`: `train.optimizer.lr` for `learning_rate`.
pub(in crate::internal::elaborate) fn path(key: &str) -> Option<String> {
    let own = |context: &str, keys: &[&'static str]| match foreign::find(context, key) {
        Some(foreign::Answer::Ours(own)) => Some(own),
        _ => keys.iter().copied().find(|own| *own == key),
    };
    let direct = own("train", &read::KEYS).map(|own| format!("train.{own}"));
    direct.or_else(|| own("optimizer sgd", &read::OPTIMIZER_KEYS).map(|own| format!("train.optimizer.{own}")))
}
