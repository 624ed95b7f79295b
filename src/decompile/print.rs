//! Writes the source of a recovered network.

use std::collections::HashSet;

use super::attrs::{self, Val};
use super::blocks::{Block, Blocks, Call};
use super::body::Built;
use super::function;
use super::names;
use super::net::Net;
use super::stage::{Policies, Policy};
use super::stmt::{Hole, Stmt};
use super::unify::Param;
use super::writer::{self, Writer, fresh, with_label};
use crate::ir::LayerNumbers;

/// The network's name, documentation, parameters and expectations.
pub(super) struct Header<'f> {
    pub name: &'f str,
    pub doc: Option<&'f str>,
    /// Whether the number of classes is a parameter.
    pub classes: bool,
    /// `expect` lines.
    pub expects: &'f [String],
}

/// The state while a body is written.
pub(super) struct Body<'b> {
    /// The text of each hole, in order; `None` if it is not written.
    pub holes: std::vec::IntoIter<Option<String>>,
    /// For each call, in order, the scopes of its instances.
    pub calls: std::vec::IntoIter<Vec<usize>>,
    /// The policies that give its `add shortcut`.
    shortcut: Vec<Policy>,
    /// See [`Block::condition`].
    condition: Option<&'b str>,
    pub used_labels: &'b mut HashSet<String>,
    /// The `filters` of the previous stage, and the dilation at its end.
    pub filters: Option<i64>,
    pub dilation: i64,
    /// The number of statements before the value that `add shortcut` projects, which needs a label.
    project_from: Option<usize>,
    /// Whether this is the network's own body, not inside a scope.
    top: bool,
    /// Whether calls without a label are named by their numbers.
    pub in_sequence: bool,
    /// Whether it is inside an arm: the design rules only apply to the network's main path.
    pub in_arm: bool,
}

pub(super) struct Printer<'p> {
    pub net: &'p Net,
    pub blocks: &'p Blocks<'p>,
    pub policies: &'p Policies,
    pub text: Writer,
    /// The current policy; `None` in a block, where it depends on the block's user.
    pub policy: Option<Policy>,
    /// The `filters` of the previous stage, for the design rule.
    pub last_stage: Option<i64>,
    pub stages: Vec<(String, usize)>,
    /// Outputs that are declared at the end.
    pub deferred_outputs: Vec<(usize, String)>,
}

impl<'p> Printer<'p> {
    pub fn new(net: &'p Net, blocks: &'p Blocks<'p>, policies: &'p Policies) -> Printer<'p> {
        Printer {
            net,
            blocks,
            policies,
            text: Writer::default(),
            policy: None,
            last_stage: None,
            stages: Vec::new(),
            deferred_outputs: Vec::new(),
        }
    }

    /// The whole source, and its stages with their last values.
    pub fn source(mut self, body: &Built, header: &Header<'_>) -> (String, Vec<(String, usize)>) {
        self.text.line("resnet 1");
        let mut used: Vec<&str> =
            self.blocks.blocks.iter().chain(&self.policies.blocks).filter(|b| b.standard).map(|b| &b.name[..]).collect();
        used.sort_unstable();
        used.dedup();
        if !used.is_empty() {
            self.text.line(&format!("use std.blocks: {}", used.join(", ")));
        }
        if !self.net.functions.is_empty() {
            self.text.gap();
        }
        // a function that is too long has no declaration: the source is rejected, and the reason names the function
        for declaration in self.net.functions.iter().filter_map(|function| function::declaration(function)) {
            self.text.line(&declaration);
        }
        for (at, block) in self.blocks.blocks.iter().enumerate().filter(|(_, b)| !b.standard) {
            let mut calls: Vec<Call> = self.blocks.calls.values().filter(|call| call.block == at).cloned().collect();
            calls.sort_by_key(|call| call.to);
            self.block(block, self.policies.of(&calls));
        }
        for block in self.policies.blocks.iter().filter(|b| !b.standard) {
            self.block(block, Vec::new());
        }
        self.policy = Some(Policy::Identity);
        self.text.gap();
        if let Some(doc) = header.doc {
            self.text.line(&format!("/// {}", doc.replace(['\n', '\r'], " ")));
        }
        let mut holes: Vec<Option<String>> = body.holes.iter().map(literal).collect();
        let params = match self.classes(body).filter(|_| header.classes) {
            Some((at, count)) => {
                holes[at] = Some("classes".to_string());
                format!("(classes = {count})")
            }
            None => String::new(),
        };
        self.text.open(&format!("network {}{params}", header.name));
        self.inputs();
        self.text.gap();
        let mut used_labels: HashSet<String> = ["shortcut", "output", "input"].map(String::from).into();
        used_labels.extend(self.net.inputs.iter().map(|&i| self.net.node(i).name.clone()));
        let mut at = Body {
            holes: holes.into_iter(),
            calls: body.calls.iter().map(|&scope| vec![scope]).collect::<Vec<_>>().into_iter(),
            shortcut: Vec::new(),
            condition: None,
            used_labels: &mut used_labels,
            filters: None,
            dilation: 1,
            project_from: None,
            top: true,
            in_sequence: false,
            in_arm: false,
        };
        self.sections(&body.stmts, &mut at);
        self.outputs();
        if !header.expects.is_empty() {
            self.text.gap();
            header.expects.iter().for_each(|line| self.text.line(line));
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

    /// The hole with the number of classes: that of the last linear layer, if it computes the main output.
    fn classes(&self, body: &Built) -> Option<(usize, Val)> {
        let mut id = self.net.outputs[0].1;
        while !matches!(self.net.node(id).op, crate::ir::Op::Linear(_)) {
            match (&self.net.node(id).op, &self.net.node(id).operands[..]) {
                (crate::ir::Op::Softmax(None), [only]) => id = *only,
                _ => return None,
            }
        }
        let at = body.holes.iter().rposition(|hole| hole.key == "features")?;
        let value = body.holes[at].value;
        let wanted = self.net.node(id).shape.channels()?;
        (value == Val::int(wanted)).then_some((at, value))
    }

    /// Writes a block. `shortcut` has the policies that give its shortcut in all uses.
    fn block(&mut self, block: &Block, shortcut: Vec<Policy>) {
        self.text.gap();
        let param = |p: &Param| match &p.default {
            Some(value) => format!("{} = {value}", p.name),
            None => p.name.clone(),
        };
        // parameters without a default come first
        let (required, optional): (Vec<_>, Vec<_>) = block.params.iter().partition(|p| p.default.is_none());
        let params: Vec<String> = required.into_iter().chain(optional).map(param).collect();
        self.text.open(&format!("block {}({})", block.name, params.join(", ")));
        let holes: Vec<Option<String>> = block.exprs.iter().map(|expr| expr.text(&block.params)).collect();
        let mut used_labels: HashSet<String> = ["shortcut".to_string()].into();
        used_labels.extend(block.params.iter().map(|p| p.name.clone()));
        let mut at = Body {
            holes: holes.into_iter(),
            calls: block.calls.clone().into_iter(),
            shortcut,
            condition: block.condition.as_deref(),
            used_labels: &mut used_labels,
            filters: None,
            dilation: 1,
            project_from: block.project_from,
            top: false,
            in_sequence: false,
            in_arm: false,
        };
        self.policy = None;
        self.stmts(&block.stmts, &mut LayerNumbers::default(), &mut at);
        self.text.close();
    }

    /// Writes the network's body, with the layers before and after its stages as `stem` and `head`.
    fn sections(&mut self, stmts: &[Stmt], at: &mut Body<'_>) {
        let mut numbers = LayerNumbers::default();
        let plain = |stmt: &Stmt| matches!(stmt, Stmt::Op { .. } | Stmt::Activation);
        // a block that reduces the feature map for the first stage is not in the stem
        let runs = stmts.iter().position(|s| matches!(s, Stmt::Run(_)));
        let first = runs.map(|at| stmts[..at].iter().rposition(|s| !matches!(s, Stmt::Call { .. })).map_or(0, |last| last + 1));
        let last = stmts.iter().rposition(|s| matches!(s, Stmt::Run(_)));
        let (Some(first), Some(last)) = (first, last) else {
            self.stmts(stmts, &mut numbers, at);
            return;
        };
        let (stem, head) = (&stmts[..first], &stmts[last + 1..]);
        let mut section = |this: &mut Self, word: &str, stmts: &[Stmt], at: &mut Body<'_>| {
            let has_heading = !stmts.is_empty() && stmts.iter().all(plain);
            if has_heading {
                this.text.gap();
                this.text.open(word);
                this.stmts(stmts, &mut numbers, at);
                this.text.close();
                this.text.gap();
            } else {
                this.stmts(stmts, &mut numbers, at);
            }
        };
        section(self, "stem", stem, at);
        self.policy_line(self.policies.main.clone());
        section(self, "", &stmts[first..=last], at);
        section(self, "head", head, at);
    }

    pub fn policy_line(&mut self, policy: Policy) {
        if self.policy.as_ref() != Some(&policy) {
            self.text.gap();
            self.text.line(&format!("shortcut: {}", policy.text()));
            self.text.gap();
            self.policy = Some(policy);
        }
    }

    /// Writes one of these policies unless the current one is among them; preferably the policy of most blocks.
    pub fn ensure_policy(&mut self, fits: &[Policy]) {
        let main = &self.policies.main;
        if fits.is_empty() || fits.contains(main) {
            self.policy_line(main.clone());
        } else if !self.policy.as_ref().is_some_and(|policy| fits.contains(policy)) {
            self.policy_line(fits[0].clone());
        }
    }

    pub fn stmts(&mut self, stmts: &[Stmt], numbers: &mut LayerNumbers, at: &mut Body<'_>) {
        let project_from = at.project_from.take();
        let mut pre = String::new();
        for (i, stmt) in stmts.iter().enumerate() {
            // the value that a projection reads has the label of the previous statement, or a new one
            if project_from == Some(i) && pre.is_empty() {
                pre = fresh("pre", at.used_labels);
                self.text.line(&format!("branch {pre} {{ }}"));
            }
            match stmt {
                Stmt::Op { word, expression, keys, leaf } => {
                    let mut label = writer::label(numbers, word, leaf.as_deref());
                    if project_from == Some(i + 1) {
                        pre = label.unwrap_or_else(|| fresh("pre", at.used_labels));
                        label = Some(pre.clone());
                    }
                    at.used_labels.extend(label.clone());
                    let args = self.args(word, expression.as_deref(), keys, at);
                    self.text.line(&with_label(format!("{word}{args}"), label.as_deref()));
                }
                Stmt::Activation => {
                    let word = at.holes.next().flatten().unwrap_or_default();
                    numbers.next(&word);
                    let label = (project_from == Some(i + 1)).then(|| fresh("pre", at.used_labels));
                    pre = label.clone().unwrap_or(pre);
                    self.text.line(&with_label(word, label.as_deref()));
                }
                Stmt::Join { word, arms } => {
                    self.join(word, arms, numbers, at);
                }
                Stmt::Scope { name, sequential, body } => {
                    numbers.skip(1);
                    self.scope(name, *sequential, body, at);
                }
                Stmt::Call { block, label } => self.call(*block, label.as_deref(), numbers, at),
                Stmt::Shortcut => {
                    numbers.next("add");
                    // a nested block has changed the current policy
                    if self.policy.as_ref().is_some_and(|policy| !at.shortcut.contains(policy)) {
                        let fits = std::mem::take(&mut at.shortcut);
                        self.ensure_policy(&fits);
                    }
                    let from = if pre.is_empty() { String::new() } else { format!(", project_from: {}", names::label(&pre)) };
                    if let Some(condition) = at.condition {
                        self.text.open(&format!("if {condition}"));
                    }
                    self.text.line(&format!("add shortcut{from}"));
                    if at.condition.is_some() {
                        self.text.close();
                    }
                }
                Stmt::Run(run) => self.run(&self.blocks.runs[*run], numbers, at),
                Stmt::Irregular(lines) => self.irregular(lines, numbers, at),
                Stmt::Output(output) => self.output(*output, at),
                Stmt::Side { output, name, body } => {
                    let label = fresh(name.as_deref().unwrap_or("side"), at.used_labels);
                    self.text.gap();
                    self.text.open(&format!("branch {label}"));
                    let policy = self.policy.clone();
                    self.stmts(body, &mut LayerNumbers::default(), at);
                    self.policy = policy;
                    self.text.close();
                    self.text.gap();
                    self.deferred_outputs.push((*output, label));
                }
            }
        }
    }

    /// The arguments of a statement, with a leading space.
    pub fn args(&self, word: &str, expression: Option<&str>, keys: &[String], at: &mut Body<'_>) -> String {
        let list: Vec<(&str, Option<String>)> = keys.iter().map(|key| (key.as_str(), at.holes.next().flatten())).collect();
        let first = crate::elaborate::operators::find(word).and_then(|operator| operator.schema.positional());
        let mut leads = true;
        let written = |(key, value): (&str, Option<String>)| {
            let value = value?;
            // a first argument without a key would be read as the positional one
            let short = first == Some(key) || value == key && !leads;
            leads = false;
            Some(if short { value } else { format!("{key}: {value}") })
        };
        let list: Vec<String> = expression.map(str::to_owned).into_iter().chain(list.into_iter().filter_map(written)).collect();
        if list.is_empty() { String::new() } else { format!(" {}", list.join(", ")) }
    }

    /// The operands of a statement after the current value. Those of a function that has several are given by their names.
    pub fn operands(&self, word: &str, labels: Vec<String>) -> Vec<String> {
        match self.net.functions.iter().find(|function| function.name == word) {
            Some(function) if labels.len() > 1 => {
                let names = function.values().skip(1).map(|slot| &function.operands[slot].name);
                names.zip(labels).map(|(name, label)| if *name == label { label } else { format!("{name}: {label}") }).collect()
            }
            _ => labels,
        }
    }

    fn scope(&mut self, name: &str, sequential: bool, body: &[Stmt], at: &mut Body<'_>) {
        // a block or run without a name stands for its statements
        let is_flat = |stmt: &Stmt| match stmt {
            Stmt::Call { label, .. } => label.is_none(),
            Stmt::Run(run) => self.blocks.runs[*run].label.is_none() && !self.blocks.runs[*run].in_sequence,
            _ => false,
        };
        let word = match sequential {
            true if body.iter().any(is_flat) => "sequential flat",
            true => "sequential",
            false => "scope",
        };
        if at.top {
            self.text.gap();
        }
        self.text.open(&format!("{word} {}", names::label(name)));
        let mut numbers = if sequential { LayerNumbers::sequential() } else { LayerNumbers::default() };
        let top = std::mem::replace(&mut at.top, false);
        let in_sequence = std::mem::replace(&mut at.in_sequence, word == "sequential");
        self.stmts(body, &mut numbers, at);
        (at.top, at.in_sequence) = (top, in_sequence);
        self.text.close();
        if at.top {
            self.text.gap();
        }
    }

    /// Declares the current value as an output.
    pub fn output(&mut self, output: usize, at: &mut Body<'_>) {
        let name = &self.net.outputs[output].0;
        if self.net.outputs[0].0 == "output" {
            self.text.line(&format!("output {name}"));
        } else {
            let label = fresh("value", at.used_labels);
            self.text.line(&format!("branch {label} {{ }}"));
            self.deferred_outputs.push((output, label));
        }
    }

    /// Declares the main output if it is not called `output`, and the outputs of side paths.
    fn outputs(&mut self) {
        let main = &self.net.outputs[0].0;
        if main != "output" || !self.deferred_outputs.is_empty() {
            self.text.gap();
        }
        if main != "output" {
            self.text.line(&format!("output {main}"));
        }
        self.deferred_outputs.sort();
        for (output, label) in std::mem::take(&mut self.deferred_outputs) {
            self.text.line(&format!("output {} from {label}", self.net.outputs[output].0));
        }
    }
}

/// The text of a hole in the network's own body.
fn literal(hole: &Hole) -> Option<String> {
    (!hole.default).then(|| hole.value.to_string())
}
