//! Writes uses of blocks: calls, and runs of them as stages or repeats.

use super::attrs::Val;
use super::blocks::{ByIndex, Call, Run, by_index};
use super::names;
use super::print::{Body, Printer};
use super::stage::{MapChange, map_change};
use super::stmt::statements;
use super::writer::with_label;
use crate::ir::LayerNumbers;

impl Printer<'_> {
    pub fn call(&mut self, block: usize, label: Option<&str>, numbers: &mut LayerNumbers, at: &mut Body<'_>) {
        let block = &self.blocks.blocks[block];
        let scopes = at.calls.next().unwrap_or_default();
        if block.residual {
            let calls: Vec<Call> = scopes.iter().filter_map(|scope| self.blocks.calls.get(scope).cloned()).collect();
            self.ensure_policy(&self.policies.of(&calls));
        }
        let given: Vec<(&str, Option<String>)> = block.params.iter().map(|p| (&p.name[..], at.holes.next().flatten())).collect();
        let written = |(key, value): (&str, Option<String>)| {
            let value = value?;
            Some(if value == key { value } else { format!("{key}: {value}") })
        };
        let args: Vec<String> = given.into_iter().filter_map(written).collect();
        at.used_labels.extend(label.map(str::to_string));
        let is_implied = at.in_sequence && numbers.is_sequence() && label == Some(&numbers.peek(&block.name)[..]);
        match label {
            Some(_) => numbers.skip(1),
            None => numbers.skip(statements(&block.stmts)),
        }
        let label = label.filter(|_| !is_implied);
        let blank = if args.is_empty() { "" } else { " " };
        let line = format!("{}{blank}{}", block.name, args.join(", "));
        self.text.line(&with_label(line, label));
    }

    /// Writes a run as a stage if the design rules allow it, or else as a repeat.
    pub fn run(&mut self, run: &Run, numbers: &mut LayerNumbers, at: &mut Body<'_>) {
        let block = &self.blocks.blocks[run.block];
        if let Some(label) = run.label.as_ref().filter(|label| run.needs_prefix() || at.used_labels.contains(*label)) {
            return self.one_by_one(label, run, at);
        }
        let change = map_change(self.net, run);
        let mut keys: Vec<String> = Vec::new();
        let mut fixed: Vec<String> = Vec::new();
        let (mut filters, mut halves, mut dilates) = (None, false, false);
        for (param, column) in self.blocks.columns(run) {
            let Some(form) = by_index(&column) else { continue };
            match (&param.name[..], form) {
                ("filters", ByIndex::Same(Val::Int(n))) => {
                    filters = Some(n);
                    let double = !run.in_sequence && at.filters.and_then(|last| last.checked_mul(2)) == Some(n);
                    keys.insert(0, format!("filters: {}", if double { "double".to_string() } else { n.to_string() }));
                }
                // a stage inherits the dilation of the previous one
                ("dilation", ByIndex::Same(Val::Int(n))) if n == at.dilation => {}
                ("dilation", ByIndex::Same(Val::Int(n))) => {
                    at.dilation = n;
                    keys.push(format!("dilate: {n}"));
                }
                ("dilation", ByIndex::First(Val::Int(first), Val::Int(then))) if first == at.dilation && then == 2 * first => {
                    at.dilation = then;
                    dilates = true;
                    keys.push("dilate: double".to_string());
                }
                ("stride", ByIndex::Same(Val::Int(1))) => {}
                ("stride", ByIndex::Same(Val::Int(2))) if column.len() == 1 => halves = true,
                ("stride", ByIndex::First(Val::Int(2), Val::Int(1))) => halves = true,
                (name, ByIndex::Same(value)) => {
                    if Some(value) != param.default {
                        let list = if block.residual { &mut fixed } else { &mut keys };
                        list.push(format!("{name}: {value}"));
                    }
                }
                (name, ByIndex::First(first, then)) => {
                    if Some(then) != param.default {
                        keys.push(format!("{name}: {then}"));
                    }
                    keys.push(format!("first {name}: {first}"));
                }
                (name, ByIndex::Linear(start, step)) => {
                    let times = if step == 1 { "i".to_string() } else { format!("{step} * i") };
                    let sum = if start == 0 { times } else { format!("{times} + {start}") };
                    keys.push(format!("{name}: {sum}"));
                }
            }
        }
        // the second rule only applies to stages with `filters`
        let breaks = match (self.last_stage, filters, change) {
            (Some(old), Some(new), Some(MapChange::Halved)) => new != old.saturating_mul(2),
            (Some(old), Some(new), Some(MapChange::Same)) => new != old,
            (Some(_), Some(_), Some(MapChange::Other)) => true,
            _ => false,
        };
        // a dilated stage keeps the feature map size instead of halving it
        let breaks = breaks && !(dilates && change == Some(MapChange::Same));
        let is_stage = run.label.is_some() && !at.in_arm && change.is_some() && (!breaks || halves || block.residual);
        if breaks && is_stage {
            match change {
                Some(MapChange::Same) => keys.push("allow doubling".to_string()),
                _ => keys.push("allow halving".to_string()),
            }
        }
        if halves {
            let key = if is_stage { "map: halve" } else { "first stride: 2" };
            let index = usize::from(filters.is_some());
            keys.insert(index.min(keys.len()), key.to_string());
        }
        let fits = self.policies.of(&run.calls);
        if block.residual && !fits.is_empty() && !self.policy.as_ref().is_some_and(|policy| fits.contains(policy)) {
            if fits.contains(&self.policies.main) {
                self.policy_line(self.policies.main.clone());
            } else {
                keys.push(format!("shortcut: {}", fits[0].text()));
            }
        }
        if is_stage && filters.is_some() {
            self.last_stage = filters;
        }
        at.filters = filters.or(at.filters);
        numbers.skip(match run.label {
            Some(_) => 0,
            None if run.in_sequence => run.calls.len(),
            None => statements(&block.stmts) * run.calls.len(),
        });
        let word = if is_stage { "stage" } else { "repeat" };
        let label = run.label.as_ref().map(|l| format!(" {l}:")).unwrap_or_default();
        let unit = if fixed.is_empty() { block.name.clone() } else { format!("{}({})", block.name, fixed.join(", ")) };
        let keys = if keys.is_empty() { String::new() } else { format!(" {{ {} }}", keys.join(", ")) };
        self.text.line(&format!("{word}{label} {} of {unit}{keys}", run.calls.len()));
        if let (Some(label), Some(last)) = (&run.label, run.calls.last()) {
            at.used_labels.insert(label.clone());
            if is_stage {
                self.stages.push((label.clone(), last.to));
            }
        }
    }

    /// Writes a run whose label is already in use, or is a number, call by call in a scope, which gives the same names.
    fn one_by_one(&mut self, label: &str, run: &Run, at: &mut Body<'_>) {
        let block = &self.blocks.blocks[run.block];
        self.text.open(&format!("scope {}", names::label(label)));
        for (number, call) in run.calls.iter().enumerate() {
            if block.residual {
                self.ensure_policy(&self.policies.of(std::slice::from_ref(call)));
            }
            let given = block.params.iter().zip(&call.args).filter(|(param, value)| param.default.as_ref() != Some(value));
            let args: Vec<String> = given.map(|(param, value)| format!("{}: {value}", param.name)).collect();
            let blank = if args.is_empty() { "" } else { " " };
            self.text.line(&format!("{}{blank}{} as \"{number}\"", block.name, args.join(", ")));
        }
        self.text.close();
        at.used_labels.insert(label.to_string());
    }
}
