//! The `train` block. Its entries are evaluated, entries of the derivation chain and of `--set train.KEY=VALUE` are merged
//! ([`TrainEntries`]), and the result is read as a [`Recipe`].

mod augment;
mod keys;
mod read;

pub(super) use read::read;

use super::eval::{Env, Eval};
use super::foreign;
use super::set::Set;
use super::value::Value;
use crate::base::codes;
use crate::base::diagnostic::Diagnostic;
use crate::base::source::Span;
use crate::ir::{Graph, Op, Recipe, is_within};
use crate::syntax::ast;

/// The maximum nesting depth of entries.
const MAX_DEPTH: usize = 8;

/// The entries of one network in a derivation chain, or of the command line.
#[derive(Debug)]
pub(in crate::internal::elaborate) struct TrainEntries {
    entries: Vec<Entry>,
    span: Span,
    /// Whether this is the command line.
    of_command: bool,
}

/// An evaluated entry: `optimizer sgd { lr: 0.1 }`.
#[derive(Clone, Debug)]
struct Entry {
    key: String,
    key_span: Span,
    values: Vec<(Value, Span)>,
    entries: Vec<Entry>,
    span: Span,
    /// The unit of a bare number that is a duration.
    unit: LengthUnit,
    /// The module that paths are relative to; `None` on the command line, where they are relative to the working directory.
    module: Option<usize>,
}

impl Entry {
    /// The word after the key, which selects its kind.
    fn head(&self) -> Option<&str> {
        match self.values.first() {
            Some((Value::Word(word) | Value::WordCall(word, _), _)) => Some(word),
            _ => None,
        }
    }
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum LengthUnit {
    Steps,
    #[default]
    Epochs,
}

/// A recipe whose labels are not yet resolved in the graph.
#[derive(Debug)]
pub(in crate::internal::elaborate) struct UnresolvedRecipe {
    recipe: Recipe,
    freeze: Vec<(String, Span)>,
    except: Vec<(String, Span)>,
}

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

/// The unit of bare numbers in these entries, if they state the training length.
fn unit(entries: &[Entry]) -> Option<LengthUnit> {
    entries.iter().find_map(|e| match e.key.as_str() {
        "steps" => Some(LengthUnit::Steps),
        "epochs" => Some(LengthUnit::Epochs),
        _ => None,
    })
}

fn mark(entries: &mut [Entry], unit: LengthUnit) {
    for entry in entries {
        entry.unit = unit;
        mark(&mut entry.entries, unit);
    }
}

/// Merges entries over others. A key of another kind replaces the previous entry; one of the same or no kind changes individual
/// keys. `augment` is an ordered list, so a network replaces it as a whole, and the command line changes individual keys.
fn lay_over(below: &mut Vec<Entry>, above: Vec<Entry>, of_command: bool) {
    for entry in above {
        if matches!(entry.key.as_str(), "steps" | "epochs") {
            below.retain(|e| e.key == entry.key || !matches!(e.key.as_str(), "steps" | "epochs"));
        }
        let Some(old) = below.iter_mut().find(|e| e.key == entry.key) else {
            below.push(entry);
            continue;
        };
        let same = match (entry.head(), old.head()) {
            (None, _) if entry.key == "augment" && !of_command => false,
            (Some(new), old) => Some(new) == old,
            // `augment { … }` replaces `augment none`
            (None, old) => old != Some("none"),
        };
        if !same || entry.entries.is_empty() && old.entries.is_empty() {
            *old = entry;
        } else {
            if !entry.values.is_empty() {
                old.values = entry.values;
                old.module = entry.module;
                old.unit = entry.unit;
            }
            lay_over(&mut old.entries, entry.entries, of_command);
        }
    }
}

impl UnresolvedRecipe {
    /// The recipe, with labels resolved to full names of layers and scopes. `stem` means the layers before the first stage,
    /// `head` for those after the last.
    pub fn resolved(self, graph: &Graph, diags: &mut Vec<Diagnostic>) -> Recipe {
        let order = graph.order();
        let in_stage = |i: usize| {
            let mut frame = graph.node(order[i]).origin.frame;
            while let Some(id) = frame {
                if graph.frame(id).instance.is_some() {
                    return true;
                }
                frame = graph.frame(id).parent;
            }
            false
        };
        let first = (0..order.len()).find(|&i| in_stage(i));
        let last = (0..order.len()).rev().find(|&i| in_stage(i));
        let layers = |from: usize, to: usize| {
            let own = order.get(from..to).unwrap_or(&[]).iter().map(|&id| graph.node(id));
            own.filter(|node| matches!(node.op, Op::Conv(_) | Op::BatchNorm(_) | Op::Linear(_))).map(|n| n.name.clone()).collect()
        };
        let mut named = |labels: Vec<(String, Span)>| {
            let mut names: Vec<String> = Vec::new();
            for (label, span) in labels {
                let found: Vec<String> = if order.iter().any(|&id| is_within(&graph.node(id).name, &label)) {
                    vec![label.clone()]
                } else {
                    match (&*label, first, last) {
                        ("stem", Some(first), _) => layers(0, first),
                        ("head", _, Some(last)) => layers(last + 1, order.len()),
                        _ => Vec::new(),
                    }
                };
                if found.is_empty() {
                    let mut tops: Vec<&str> =
                        order.iter().filter_map(|&id| graph.node(id).name.split('.').next()).chain(["stem", "head"]).collect();
                    tops.dedup();
                    let message = format!("the network has no layer or stage `{label}`");
                    let mut diag = Diagnostic::error(codes::UNKNOWN_LABEL, message, span, "named here");
                    if let Some(near) = super::nearest(&label, tops) {
                        diag = diag.fix(format!("did you mean `{near}`?"), span, near);
                    }
                    diags.push(diag);
                }
                names.extend(found);
            }
            names
        };
        let mut recipe = self.recipe;
        recipe.freeze = named(self.freeze);
        let except = named(self.except);
        if let Some(from) = &mut recipe.from {
            from.except = except;
        }
        recipe
    }
}
