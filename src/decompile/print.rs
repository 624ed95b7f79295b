//! The text of a recovered network, as a person would lay it out.

use std::collections::{HashMap, HashSet};

use super::attrs::{self, Val};
use super::irregular::{self, Line, Statement};
use super::layout::{self, Text, fresh, with_label};
use super::net::Net;
use super::stage::{ByIndex, Map, Policies, Policy, by_index, map_change};
use super::steps::{Arm, Expr, Name, Slot, Step, statements};
use super::text;
use super::unit::{Block, Built, Call, Run, Units};
use crate::ir::LayerNumbers;

/// What stands at the network's head and foot.
pub(super) struct Frame<'f> {
    pub name: &'f str,
    pub doc: Option<&'f str>,
    /// Whether the number of classes is a parameter.
    pub classes: bool,
    /// `expect` lines.
    pub expects: &'f [String],
}

/// A body that is being written.
pub(super) struct Body<'b> {
    /// The text of each slot, in order; `None` where it is not written.
    slots: std::vec::IntoIter<Option<String>>,
    /// The scopes that each call stands for, in order.
    calls: std::vec::IntoIter<Vec<usize>>,
    /// The policies that give the `add shortcut` in it.
    shortcut: Vec<Policy>,
    pub labels: &'b mut HashSet<String>,
    /// The `filters` of the stage before, and the dilation that it ended with.
    filters: Option<i64>,
    dilation: i64,
    /// Where `add shortcut` has its projection from: before how many steps a label is needed.
    project_from: Option<usize>,
    /// Whether this is the network's own body, and not within a scope of it.
    top: bool,
    /// Whether it is within a path that is joined: the design rules are those of the network's trunk.
    path: bool,
}

pub(super) struct Printer<'p> {
    pub net: &'p Net,
    pub units: &'p Units<'p>,
    pub policies: &'p Policies,
    pub text: Text,
    /// The policy in force; `None` within a block, where it is its user's.
    policy: Option<Policy>,
    /// Filters of the stage before this one, for the design rule.
    last_stage: Option<i64>,
    stages: Vec<(String, usize)>,
    /// Outputs that are named at the end.
    late: Vec<(usize, String)>,
}

impl<'p> Printer<'p> {
    pub fn new(net: &'p Net, units: &'p Units<'p>, policies: &'p Policies) -> Printer<'p> {
        Printer {
            net,
            units,
            policies,
            text: Text::default(),
            policy: None,
            last_stage: None,
            stages: Vec::new(),
            late: Vec::new(),
        }
    }

    /// The whole source; and its stages with the values that they end in.
    pub fn source(mut self, body: &Built, frame: &Frame<'_>) -> (String, Vec<(String, usize)>) {
        self.text.line("resnet 1");
        let mut used: Vec<&str> =
            self.units.blocks.iter().chain(&self.policies.blocks).filter(|b| b.standard).map(|b| &b.name[..]).collect();
        used.sort_unstable();
        used.dedup();
        if !used.is_empty() {
            self.text.line(&format!("use std.blocks: {}", used.join(", ")));
        }
        for (at, block) in self.units.blocks.iter().enumerate().filter(|(_, b)| !b.standard) {
            let mut calls: Vec<Call> = self.units.calls.values().filter(|call| call.block == at).cloned().collect();
            calls.sort_by_key(|call| call.to);
            self.block(block, self.policies.of(&calls));
        }
        for block in self.policies.blocks.iter().filter(|b| !b.standard) {
            self.block(block, Vec::new());
        }
        self.policy = Some(Policy::Identity);
        self.text.gap();
        if let Some(doc) = frame.doc {
            self.text.line(&format!("/// {}", doc.replace(['\n', '\r'], " ")));
        }
        let mut slots: Vec<Option<String>> = body.slots.iter().map(literal).collect();
        let params = match self.classes(body).filter(|_| frame.classes) {
            Some((at, count)) => {
                slots[at] = Some("classes".to_string());
                format!("(classes = {count})")
            }
            None => String::new(),
        };
        self.text.open(&format!("network {}{params}", frame.name));
        self.inputs();
        self.text.gap();
        let mut labels: HashSet<String> = ["shortcut", "output", "input"].map(String::from).into();
        labels.extend(self.net.inputs.iter().map(|&i| self.net.node(i).name.clone()));
        let mut at = Body {
            slots: slots.into_iter(),
            calls: body.calls.iter().map(|&scope| vec![scope]).collect::<Vec<_>>().into_iter(),
            shortcut: Vec::new(),
            labels: &mut labels,
            filters: None,
            dilation: 1,
            project_from: None,
            top: true,
            path: false,
        };
        self.sections(&body.steps, &mut at);
        self.outputs();
        if !frame.expects.is_empty() {
            self.text.gap();
            frame.expects.iter().for_each(|line| self.text.line(line));
        }
        self.text.close();
        (self.text.out, self.stages)
    }

    fn inputs(&mut self) {
        for (i, &input) in self.net.inputs.iter().enumerate() {
            let node = self.net.node(input);
            let dims = attrs::input(&node.shape).unwrap_or_default();
            let line =
                if i == 0 && node.name == "input" { format!("input {dims}") } else { format!("input {}: {dims}", node.name) };
            self.text.line(&line);
        }
    }

    /// Where the slot of the number of classes is: that of the last linear layer, if it makes the main output.
    fn classes(&self, body: &Built) -> Option<(usize, Val)> {
        let mut id = self.net.outputs[0].1;
        while !matches!(self.net.node(id).op, crate::ir::Op::Linear(_)) {
            match (&self.net.node(id).op, &self.net.node(id).operands[..]) {
                (crate::ir::Op::Softmax, [only]) => id = *only,
                _ => return None,
            }
        }
        let at = body.slots.iter().rposition(|slot| slot.key == "features")?;
        let value = body.slots[at].value;
        let wanted = self.net.node(id).shape.channels()?;
        (value == Val::int(wanted)).then_some((at, value))
    }

    /// A block, and the policies that give its shortcut wherever it is used.
    fn block(&mut self, block: &Block, shortcut: Vec<Policy>) {
        self.text.gap();
        let param = |p: &super::steps::Param| match &p.default {
            Some(value) => format!("{} = {value}", p.name),
            None => p.name.clone(),
        };
        // parameters without a default stand first
        let (given, usual): (Vec<_>, Vec<_>) = block.params.iter().partition(|p| p.default.is_none());
        let params: Vec<String> = given.into_iter().chain(usual).map(param).collect();
        self.text.open(&format!("block {}({})", block.name, params.join(", ")));
        let slots: Vec<Option<String>> = block
            .exprs
            .iter()
            .map(|expr| match expr {
                Expr::Omit => None,
                Expr::Literal(value) => Some(value.to_string()),
                Expr::Param(p, mul, div) => {
                    let name = &block.params[*p].name;
                    Some(match (mul, div) {
                        (1, 1) => name.clone(),
                        (_, 1) => format!("{name} * {mul}"),
                        _ => format!("{name} / {div}"),
                    })
                }
            })
            .collect();
        let mut labels: HashSet<String> = ["shortcut".to_string()].into();
        labels.extend(block.params.iter().map(|p| p.name.clone()));
        let mut at = Body {
            slots: slots.into_iter(),
            calls: block.calls.clone().into_iter(),
            shortcut,
            labels: &mut labels,
            filters: None,
            dilation: 1,
            project_from: block.project_from,
            top: false,
            path: false,
        };
        self.policy = None;
        self.steps(&block.steps, &mut LayerNumbers::default(), &mut at);
        self.text.close();
    }

    /// The network's body, with what stands before and behind its stages under headings.
    fn sections(&mut self, steps: &[Step], at: &mut Body<'_>) {
        let mut numbers = LayerNumbers::default();
        let plain = |step: &Step| matches!(step, Step::Op { .. });
        let first = steps.iter().position(|s| matches!(s, Step::Run(_)));
        let last = steps.iter().rposition(|s| matches!(s, Step::Run(_)));
        let (Some(first), Some(last)) = (first, last) else {
            self.steps(steps, &mut numbers, at);
            return;
        };
        let (stem, head) = (&steps[..first], &steps[last + 1..]);
        let mut section = |this: &mut Self, word: &str, steps: &[Step], at: &mut Body<'_>| {
            let heading = !steps.is_empty() && steps.iter().all(plain);
            if heading {
                this.text.gap();
                this.text.open(word);
                this.steps(steps, &mut numbers, at);
                this.text.close();
                this.text.gap();
            } else {
                this.steps(steps, &mut numbers, at);
            }
        };
        section(self, "stem", stem, at);
        self.policy_line(self.policies.main.clone());
        section(self, "", &steps[first..=last], at);
        section(self, "head", head, at);
    }

    fn policy_line(&mut self, policy: Policy) {
        if self.policy.as_ref() != Some(&policy) {
            self.text.gap();
            self.text.line(&format!("shortcut: {}", policy.text()));
            self.text.gap();
            self.policy = Some(policy);
        }
    }

    /// States a policy of these, where that in force is none of them: the one of most blocks, if it can be.
    fn follow(&mut self, fits: &[Policy]) {
        let main = &self.policies.main;
        if fits.is_empty() || fits.contains(main) {
            self.policy_line(main.clone());
        } else if !self.policy.as_ref().is_some_and(|policy| fits.contains(policy)) {
            self.policy_line(fits[0].clone());
        }
    }

    pub fn steps(&mut self, steps: &[Step], numbers: &mut LayerNumbers, at: &mut Body<'_>) {
        let project_from = at.project_from.take();
        let mut pre = String::new();
        for (i, step) in steps.iter().enumerate() {
            // what a projection reads has a label: that of the step before, or one of its own
            if project_from == Some(i) && pre.is_empty() {
                pre = fresh("pre", at.labels);
                self.text.line(&format!("branch {pre} {{ }}"));
            }
            match step {
                Step::Op { word, keys, leaf } => {
                    let mut label = layout::label(numbers, word, leaf.as_deref());
                    if project_from == Some(i + 1) {
                        pre = label.unwrap_or_else(|| fresh("pre", at.labels));
                        label = Some(pre.clone());
                    }
                    at.labels.extend(label.clone());
                    let args = self.args(word, keys, at);
                    self.text.line(&with_label(format!("{word}{args}"), label.as_deref()));
                }
                Step::Join { word, arms } => {
                    numbers.next(word);
                    self.join(word, arms, numbers, at);
                }
                Step::Scope { name, sequential, body } => self.scope(name, *sequential, body, at),
                Step::Call { block, label } => self.call(*block, label.as_deref(), numbers, at),
                Step::Shortcut => {
                    numbers.next("add");
                    // a block within this one has changed what its user has in force
                    if self.policy.as_ref().is_some_and(|policy| !at.shortcut.contains(policy)) {
                        let fits = std::mem::take(&mut at.shortcut);
                        self.follow(&fits);
                    }
                    let from = if pre.is_empty() { String::new() } else { format!(", project_from: {}", text::label(&pre)) };
                    self.text.line(&format!("add shortcut{from}"));
                }
                Step::Run(run) => self.run(&self.units.runs[*run], numbers, at),
                Step::Irregular(lines) => self.irregular(lines, numbers, at),
                Step::Output(output) => self.output(*output, at),
                Step::Side { output, name, body } => {
                    let label = fresh(name.as_deref().unwrap_or("side"), at.labels);
                    self.text.gap();
                    self.text.open(&format!("branch {label}"));
                    let policy = self.policy.clone();
                    self.steps(body, &mut LayerNumbers::default(), at);
                    self.policy = policy;
                    self.text.close();
                    self.text.gap();
                    self.late.push((*output, label));
                }
            }
        }
    }

    /// The arguments of a statement, with the blank before them.
    fn args(&self, word: &str, keys: &[&'static str], at: &mut Body<'_>) -> String {
        let list: Vec<(&str, Option<String>)> = keys.iter().map(|&key| (key, at.slots.next().flatten())).collect();
        let first = crate::elaborate::operators::find(word).and_then(|op| op.positional);
        let mut leads = true;
        let written = |(key, value): (&str, Option<String>)| {
            let value = value?;
            // what stands first without a key is the operator's own first argument
            let short = first == Some(key) || value == key && !(std::mem::take(&mut leads) && first.is_some());
            leads = false;
            Some(if short { value } else { format!("{key}: {value}") })
        };
        let list: Vec<String> = list.into_iter().filter_map(written).collect();
        if list.is_empty() { String::new() } else { format!(" {}", list.join(", ")) }
    }

    fn scope(&mut self, name: &str, sequential: bool, body: &[Step], at: &mut Body<'_>) {
        let word = if sequential { "sequential" } else { "scope" };
        if at.top {
            self.text.gap();
        }
        self.text.open(&format!("{word} {}", text::label(name)));
        let mut numbers = if sequential { LayerNumbers::sequential() } else { LayerNumbers::default() };
        let top = std::mem::replace(&mut at.top, false);
        self.steps(body, &mut numbers, at);
        at.top = top;
        self.text.close();
        if at.top {
            self.text.gap();
        }
    }

    fn join(&mut self, word: &'static str, arms: &[Arm], numbers: &mut LayerNumbers, at: &mut Body<'_>) {
        let name = |arm: &Arm, otherwise: &str| match &arm.name {
            Name::Plain(name) => name.clone(),
            Name::Any | Name::Main | Name::Numbered(_) => otherwise.to_string(),
        };
        let free = |arm: &Arm| match &arm.name {
            Name::Plain(name) => text::is_path(name) && !at.labels.contains(name),
            Name::Any | Name::Main => true,
            Name::Numbered(_) => false,
        };
        let Some((main, sides)) = arms.split_first() else { return };
        let branches = word == "upsample" || (word != "concat" || main.name == Name::Main) && sides.iter().all(free);
        if branches {
            // slots are those of the main way first
            let mut inner = Text::default();
            std::mem::swap(&mut inner, &mut self.text);
            self.text.indent = inner.indent;
            let before = self.policy.clone();
            self.steps(&main.body, numbers, at);
            let after = std::mem::replace(&mut self.policy, before.clone());
            let way = std::mem::replace(&mut self.text, inner);
            let mut labels = Vec::new();
            // a side path's stages follow none, and none follows them
            let (filters, last_stage) = (at.filters, self.last_stage);
            let top = std::mem::replace(&mut at.path, true);
            for arm in sides {
                (at.filters, self.last_stage) = (None, None);
                let otherwise = match (word, arm.body.is_empty()) {
                    (_, true) => "same",
                    ("mul", false) => "gate",
                    _ => "side",
                };
                let label = fresh(&name(arm, otherwise), at.labels);
                if arm.body.is_empty() {
                    self.text.line(&format!("branch {label} {{ }}"));
                } else {
                    self.text.open(&format!("branch {label}"));
                    self.steps(&arm.body, &mut LayerNumbers::default(), at);
                    self.policy.clone_from(&before);
                    self.text.close();
                }
                labels.push(label);
            }
            (at.path, at.filters, self.last_stage) = (top, filters, last_stage);
            self.policy = after;
            self.text.out.push_str(&way.out);
            let how = if word == "upsample" { "nearest, like: " } else { "" };
            self.text.line(&format!("{word} {how}{}", labels.join(", ")));
            return;
        }
        let (filters, last_stage) = (at.filters, self.last_stage);
        let top = std::mem::replace(&mut at.path, true);
        self.text.open(&format!("parallel {word}"));
        for (slot, arm) in arms.iter().enumerate() {
            let label = match &arm.name {
                Name::Numbered(stem) => {
                    let number = at.slots.next().flatten().unwrap_or_default();
                    if number.parse::<i64>().is_ok() {
                        text::label(&format!("{stem}{number}"))
                    } else {
                        format!("\"{stem}{{{number}}}\"")
                    }
                }
                Name::Plain(name) => text::label(name),
                Name::Any if arm.body.is_empty() => "same".to_string(),
                // more than one such join may stand in a scope
                Name::Any | Name::Main => fresh(&format!("path{}", slot + 1), at.labels),
            };
            (at.filters, self.last_stage) = (None, None);
            if arm.body.is_empty() {
                self.text.line(&format!("{label} {{ }}"));
            } else {
                self.text.open(&label);
                self.steps(&arm.body, &mut LayerNumbers::default(), at);
                self.text.close();
            }
        }
        self.text.close();
        (at.path, at.filters, self.last_stage) = (top, filters, last_stage);
    }

    fn call(&mut self, block: usize, label: Option<&str>, numbers: &mut LayerNumbers, at: &mut Body<'_>) {
        let block = &self.units.blocks[block];
        let scopes = at.calls.next().unwrap_or_default();
        if block.residual {
            let calls: Vec<Call> = scopes.iter().filter_map(|scope| self.units.calls.get(scope).cloned()).collect();
            self.follow(&self.policies.of(&calls));
        }
        let given: Vec<(&str, Option<String>)> = block.params.iter().map(|p| (&p.name[..], at.slots.next().flatten())).collect();
        let written = |(key, value): (&str, Option<String>)| {
            let value = value?;
            Some(if value == key { value } else { format!("{key}: {value}") })
        };
        let args: Vec<String> = given.into_iter().filter_map(written).collect();
        at.labels.extend(label.map(str::to_string));
        match label {
            Some(_) => numbers.skip(1),
            None => numbers.skip(statements(&block.steps)),
        }
        let blank = if args.is_empty() { "" } else { " " };
        let line = format!("{}{blank}{}", block.name, args.join(", "));
        self.text.line(&with_label(line, label));
    }

    /// A stage where the design rules hold, else a repeat.
    fn run(&mut self, run: &Run, numbers: &mut LayerNumbers, at: &mut Body<'_>) {
        let block = &self.units.blocks[run.block];
        if let Some(label) = run.label.as_ref().filter(|label| at.labels.contains(*label)) {
            return self.one_by_one(label, run, at);
        }
        let change = map_change(self.net, run);
        let mut keys: Vec<String> = Vec::new();
        let mut fixed: Vec<String> = Vec::new();
        let (mut filters, mut halves, mut dilates) = (None, false, false);
        for (param, column) in self.units.columns(run) {
            let Some(form) = by_index(&column) else { continue };
            match (&param.name[..], form) {
                ("filters", ByIndex::Same(Val::Int(n))) => {
                    filters = Some(n);
                    let double = at.filters.and_then(|last| last.checked_mul(2)) == Some(n);
                    keys.insert(0, format!("filters: {}", if double { "double".to_string() } else { n.to_string() }));
                }
                // a stage keeps the dilation of the one before
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
                    keys.push(format!("{name}: if i == 0 then {first} else {then}"));
                }
                (name, ByIndex::Linear(start, step)) => {
                    let times = if step == 1 { "i".to_string() } else { format!("{step} * i") };
                    let sum = if start == 0 { times } else { format!("{times} + {start}") };
                    keys.push(format!("{name}: {sum}"));
                }
            }
        }
        // the second rule is about stages that state their filters
        let breaks = match (self.last_stage, filters, change) {
            (Some(old), Some(new), Some(Map::Halved)) => new != old.saturating_mul(2),
            (Some(old), Some(new), Some(Map::Kept)) => new != old,
            (Some(_), Some(_), Some(Map::Other)) => true,
            _ => false,
        };
        // a dilated stage keeps the map where it would be halved
        let breaks = breaks && !(dilates && change == Some(Map::Kept));
        let is_stage = run.label.is_some() && !at.path && change.is_some() && (!breaks || halves || block.residual);
        if breaks && is_stage {
            match change {
                Some(Map::Kept) => keys.push("allow doubling".to_string()),
                _ => keys.push("allow halving".to_string()),
            }
        }
        if halves {
            let key = if is_stage { "map: halve" } else { "stride: if i == 0 then 2 else 1" };
            let place = usize::from(filters.is_some());
            keys.insert(place.min(keys.len()), key.to_string());
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
        numbers.skip(if run.label.is_some() { 0 } else { statements(&block.steps) * run.calls.len() });
        let word = if is_stage { "stage" } else { "repeat" };
        let label = run.label.as_ref().map(|l| format!(" {l}:")).unwrap_or_default();
        let unit = if fixed.is_empty() { block.name.clone() } else { format!("{}({})", block.name, fixed.join(", ")) };
        let keys = if keys.is_empty() { String::new() } else { format!(" {{ {} }}", keys.join(", ")) };
        self.text.line(&format!("{word}{label} {} of {unit}{keys}", run.calls.len()));
        if let (Some(label), Some(last)) = (&run.label, run.calls.last()) {
            at.labels.insert(label.clone());
            if is_stage {
                self.stages.push((label.clone(), last.to));
            }
        }
    }

    /// A run whose label is another value's already, call by call in a scope: the names are the same.
    fn one_by_one(&mut self, label: &str, run: &Run, at: &mut Body<'_>) {
        let block = &self.units.blocks[run.block];
        self.text.open(&format!("scope {}", text::label(label)));
        for (number, call) in run.calls.iter().enumerate() {
            if block.residual {
                self.follow(&self.policies.of(std::slice::from_ref(call)));
            }
            let given = block.params.iter().zip(&call.args).filter(|(param, value)| param.default.as_ref() != Some(value));
            let args: Vec<String> = given.map(|(param, value)| format!("{}: {value}", param.name)).collect();
            let blank = if args.is_empty() { "" } else { " " };
            self.text.line(&format!("{}{blank}{} as \"{number}\"", block.name, args.join(", ")));
        }
        self.text.close();
        at.labels.insert(label.to_string());
    }

    /// What has no simple form, line by line.
    fn irregular(&mut self, lines: &[Line], numbers: &mut LayerNumbers, at: &mut Body<'_>) {
        let mut labels: HashMap<usize, String> = HashMap::new();
        for line in lines {
            match line {
                Line::Main(statement) => self.statement(statement, &labels, numbers, at),
                Line::Mark(label) => {
                    let name = fresh("value", at.labels);
                    self.text.line(&format!("branch {name} {{ }}"));
                    labels.insert(*label, name);
                }
                Line::Branch { label, name, from, body } => {
                    let name = fresh(name.as_deref().unwrap_or("path"), at.labels);
                    let from = from.as_ref().map(|from| format!(" from {}", label_text(from, &labels))).unwrap_or_default();
                    self.text.open(&format!("branch {name}{from}"));
                    let mut inner = LayerNumbers::default();
                    body.iter().for_each(|statement| self.statement(statement, &labels, &mut inner, at));
                    self.text.close();
                    labels.insert(*label, name);
                }
                Line::Output { output, label } => {
                    self.late.push((*output, labels.get(label).cloned().unwrap_or_default()));
                }
            }
        }
    }

    fn statement(&mut self, it: &Statement, labels: &HashMap<usize, String>, numbers: &mut LayerNumbers, at: &mut Body<'_>) {
        let label = layout::label(numbers, it.word, it.leaf.as_deref());
        at.labels.extend(label.clone());
        let mut line = format!("{}{}", it.word, self.args(it.word, &it.keys, at));
        let like = it.word == "upsample";
        for (i, other) in it.others.iter().enumerate() {
            let comma = if i == 0 && it.keys.is_empty() { " " } else { ", " };
            line.push_str(&format!("{comma}{}{}", if like { "like: " } else { "" }, label_text(other, labels)));
        }
        self.text.line(&with_label(line, label.as_deref()));
    }

    /// The current value is an output.
    pub fn output(&mut self, output: usize, at: &mut Body<'_>) {
        let name = &self.net.outputs[output].0;
        if self.net.outputs[0].0 == "output" {
            self.text.line(&format!("output {name}"));
        } else {
            let label = fresh("value", at.labels);
            self.text.line(&format!("branch {label} {{ }}"));
            self.late.push((output, label));
        }
    }

    /// The outputs, where the main one is not called `output`, and those of side paths.
    fn outputs(&mut self) {
        let main = &self.net.outputs[0].0;
        if main != "output" || !self.late.is_empty() {
            self.text.gap();
        }
        if main != "output" {
            self.text.line(&format!("output {main}"));
        }
        self.late.sort();
        for (output, label) in std::mem::take(&mut self.late) {
            self.text.line(&format!("output {} from {label}", self.net.outputs[output].0));
        }
    }
}

/// A slot of the network's own body.
fn literal(slot: &Slot) -> Option<String> {
    (!slot.default).then(|| slot.value.to_string())
}

fn label_text(label: &irregular::Label, labels: &HashMap<usize, String>) -> String {
    match label {
        irregular::Label::Local(label) => labels.get(label).cloned().unwrap_or_default(),
        irregular::Label::Input(name) => name.clone(),
    }
}
