//! Reads single entries: the kinds of values with their ranges, and their errors.

use super::super::eval::number;
use super::super::foreign;
use super::super::load::Program;
use super::super::suggest::nearest;
use super::super::value::Value;
use super::{Entry, LengthUnit};
use crate::base::codes;
use crate::base::diagnostic::Diagnostic;
use crate::base::source::Span;
use crate::ir::Count;

/// The maximum of any count.
pub(super) const MOST: u64 = 1_000_000_000_000;

/// Reads entries and collects their errors.
pub(super) struct EntryReader<'a> {
    pub program: &'a Program,
    pub diags: &'a mut Vec<Diagnostic>,
}

impl EntryReader<'_> {
    /// Reports an invalid value. `takes` completes "`batch` takes …".
    pub fn wrong(&mut self, entry: &Entry, takes: &str) {
        let span = entry.values.first().map_or(entry.span, |(_, span)| *span);
        let is = match entry.values.first() {
            Some((Value::Unknown, _)) => return,
            Some((value, _)) => format!("is {value}"),
            None => "has no value".to_owned(),
        };
        let message = format!("`{}` takes {takes}", entry.key);
        self.diags.push(Diagnostic::error(codes::RECIPE_VALUE, message, span, is));
    }

    /// Checks that an entry's keys are among these.
    pub fn known(&mut self, of: &str, entries: &[Entry], keys: &[&str]) {
        for entry in entries.iter().filter(|e| !keys.contains(&&*e.key)) {
            let message = format!("{of} has no `{}`", entry.key);
            let context = of.trim_matches('`');
            if let Some(diag) = foreign::error(context, &entry.key, codes::UNKNOWN_KEY, entry.key_span, message.clone()) {
                self.diags.push(diag);
                continue;
            }
            let mut diag = Diagnostic::error(codes::UNKNOWN_KEY, message, entry.key_span, "not one of its keys");
            diag = match nearest(&entry.key, keys.iter().copied()) {
                Some(near) => diag.fix(format!("did you mean `{near}`?"), entry.key_span, near),
                None if keys.is_empty() => diag,
                None => diag.note(format!("it has {}", keys.join(", "))),
            };
            self.diags.push(diag);
        }
    }

    /// Checks that nothing follows an entry's `count` values, and that there are no braces if it has no `keys`.
    pub fn nothing_more(&mut self, entry: &Entry, count: usize) {
        if let Some((_, span)) = entry.values.get(count) {
            let message = format!("`{}` takes no more values", entry.key);
            self.diags.push(Diagnostic::error(codes::TOO_MANY_ARGUMENTS, message, *span, "one too many"));
        }
    }

    /// An integer.
    pub fn whole(&mut self, entry: &Entry, least: u64, most: u64) -> Option<u64> {
        self.known(&format!("`{}`", entry.key), &entry.entries, &[]);
        self.nothing_more(entry, 1);
        match entry.values.first() {
            Some((Value::Int(n), _)) if u64::try_from(*n).is_ok_and(|n| (least..=most).contains(&n)) => Some(n.unsigned_abs()),
            _ => {
                let upto = if most == MOST { format!("of at least {least}") } else { format!("from {least} to {most}") };
                self.wrong(entry, &format!("a whole number {upto}"));
                None
            }
        }
    }

    /// A number. `takes` describes its range.
    pub fn number(&mut self, entry: &Entry, fits: impl Fn(f64) -> bool, takes: &str) -> Option<f64> {
        self.known(&format!("`{}`", entry.key), &entry.entries, &[]);
        self.nothing_more(entry, 1);
        match entry.values.first().and_then(|(value, _)| number(value)) {
            Some(x) if x.is_finite() && fits(x) => Some(x),
            _ => {
                self.wrong(entry, takes);
                None
            }
        }
    }

    /// `true` or `false`.
    pub fn truth(&mut self, entry: &Entry) -> Option<bool> {
        self.known(&format!("`{}`", entry.key), &entry.entries, &[]);
        self.nothing_more(entry, 1);
        match entry.values.first() {
            Some((Value::Bool(b), _)) => Some(*b),
            _ => {
                self.wrong(entry, "true or false");
                None
            }
        }
    }

    /// One of these words.
    pub fn word<'w>(&mut self, entry: &Entry, words: &[&'w str]) -> Option<&'w str> {
        self.nothing_more(entry, 1);
        let found = match entry.values.first() {
            Some((Value::Word(word), _)) => words.iter().find(|w| **w == &**word).copied(),
            _ => None,
        };
        if found.is_none() {
            let list = words.iter().map(|w| format!("`{w}`")).collect::<Vec<_>>().join(", ");
            if let Some((Value::Word(word), span)) = entry.values.first() {
                let message = format!("`{}` takes one of {list}, not `{word}`", entry.key);
                if let Some(diag) = foreign::error(&entry.key, word, codes::RECIPE_VALUE, *span, message) {
                    self.diags.push(diag);
                    return None;
                }
            }
            let before = self.diags.len();
            self.wrong(entry, &format!("one of {list}"));
            if let (Some((Value::Word(word), span)), Some(diag)) = (entry.values.first(), self.diags.get_mut(before..))
                && let Some(near) = nearest(word, words.iter().copied())
                && let Some(diag) = diag.first_mut()
            {
                *diag = diag.clone().fix(format!("did you mean `{near}`?"), *span, near);
            }
        }
        found
    }

    /// A time: `30`, `30 epochs`, `64_000 steps`.
    pub fn count(&mut self, entry: &Entry, least: u64) -> Option<Count> {
        let values: Vec<&Value> = entry.values.iter().map(|(value, _)| value).collect();
        let n = match values[..] {
            [n] | [n, _] => time(n, entry.unit),
            _ => None,
        };
        let count = match (n, values.get(1)) {
            (Some(n), None) => Some(n),
            (Some(n), Some(Value::Word(unit))) => in_unit(n.number(), unit),
            _ => None,
        };
        let count = count.filter(|n| n.number() >= least && n.number() <= MOST);
        if count.is_none() {
            self.wrong(entry, &format!("a whole number of at least {least}, optionally followed by `steps` or `epochs`"));
        }
        count
    }

    /// A list of times: `[32_000, 48_000]`, `[15, 25] epochs`.
    pub fn counts(&mut self, entry: &Entry) -> Option<Vec<Count>> {
        let unit = match entry.values.get(1) {
            Some((Value::Word(unit), _)) => Some(&**unit),
            Some(_) => Some(""),
            None => None,
        };
        let list = match entry.values.first() {
            Some((Value::List(items), _)) if items.len() <= 1000 => {
                let times = items.iter().map(|item| {
                    let n = time(item, entry.unit)?;
                    unit.map_or(Some(n), |unit| in_unit(n.number(), unit))
                });
                times.collect::<Option<Vec<Count>>>()
            }
            _ => None,
        };
        let list = list.filter(|l| !l.is_empty() && l.windows(2).all(|w| w[0].number() < w[1].number()));
        if list.is_none() {
            self.wrong(entry, "an ascending list of whole numbers: [32_000, 48_000], [15, 25] epochs");
        }
        list
    }

    /// Two numbers, the first not greater than the second.
    pub fn range(&mut self, entry: &Entry, least: f64, most: f64) -> Option<[f64; 2]> {
        self.known(&format!("`{}`", entry.key), &entry.entries, &[]);
        self.nothing_more(entry, 1);
        let pair = match entry.values.first() {
            Some((Value::List(items), _)) => match &items[..] {
                [a, b] => number(a).zip(number(b)),
                _ => None,
            },
            _ => None,
        };
        match pair {
            Some((a, b)) if a >= least && a <= b && b <= most => Some([a, b]),
            _ => {
                self.wrong(entry, &format!("two numbers from {least} to {most}, the smaller first"));
                None
            }
        }
    }

    /// A size in pixels: `32`, `32x24`.
    pub fn size(&mut self, entry: &Entry) -> Option<[usize; 2]> {
        self.nothing_more(entry, 1);
        let side = 1..=65_536u64;
        match entry.values.first() {
            Some((Value::Int(n), _)) if u64::try_from(*n).is_ok_and(|n| side.contains(&n)) => {
                Some([n.unsigned_abs() as usize; 2])
            }
            Some((Value::Size(h, w), _)) if side.contains(h) && side.contains(w) => Some([*h as usize, *w as usize]),
            _ => {
                self.wrong(entry, "a size in pixels, 1 to 65536: 224, 224x192");
                None
            }
        }
    }

    /// One label, or a list of labels.
    pub fn labels(&mut self, entry: &Entry, value: Option<&(Value, Span)>) -> Vec<(String, Span)> {
        let Some((value, span)) = value else {
            self.wrong(entry, "labels of layers or stages: [stem, layer1]");
            return Vec::new();
        };
        let items: &[Value] = match value {
            Value::List(items) => items,
            Value::Unknown => &[],
            one => std::slice::from_ref(one),
        };
        let mut list = Vec::new();
        for item in items.iter().take(10_000) {
            match item {
                Value::Word(label) | Value::Str(label) => list.push((label.to_string(), *span)),
                Value::Unknown => {}
                other => {
                    let message = format!("`{}` takes labels of layers or stages: [stem, layer1]", entry.key);
                    self.diags.push(Diagnostic::error(codes::RECIPE_VALUE, message, *span, format!("holds {other}")));
                    break;
                }
            }
        }
        list
    }
}

fn time(value: &Value, unit: LengthUnit) -> Option<Count> {
    match value {
        Value::Int(n) => {
            let n = u64::try_from(*n).ok()?;
            Some(if unit == LengthUnit::Steps { Count::Steps(n) } else { Count::Epochs(n) })
        }
        // on the command line: --set train.validate='steps(100)'
        Value::WordCall(word, args) => match &args[..] {
            [bound] if bound.key.is_none() => match bound.value {
                Value::Int(n) => in_unit(u64::try_from(n).ok()?, word),
                _ => None,
            },
            _ => None,
        },
        _ => None,
    }
}

fn in_unit(n: u64, unit: &str) -> Option<Count> {
    match unit {
        "steps" | "step" => Some(Count::Steps(n)),
        "epochs" | "epoch" => Some(Count::Epochs(n)),
        _ => None,
    }
}
