//! Writes joins and the paths that they join: branches, arms, and irregular regions.

use std::collections::HashMap;

use super::names;
use super::print::{Body, Printer};
use super::stmt::{Arm, Label, Line, Name, OpStmt, Stmt, have_names};
use super::writer::{self, Writer, fresh, with_label};
use crate::ir::LayerNumbers;

impl Printer<'_> {
    pub fn join(&mut self, word: &str, arms: &[Arm], numbers: &mut LayerNumbers, at: &mut Body<'_>) {
        let is_join = matches!(word, "add" | "mul" | "concat");
        match arms {
            [main, side] if is_join && main.body.is_empty() && joined_at_once(side, numbers, at) => {
                self.joined_at_once(word, side, numbers, at);
            }
            [main, sides @ ..] if !is_join || branches(word, main, sides, at) => {
                self.branches(word, main, sides, numbers, at);
            }
            _ => self.parallel(word, arms, numbers, at),
        }
    }

    /// `mul { … }`: the current value, joined with what the statements of a path make of it.
    fn joined_at_once(&mut self, word: &str, side: &Arm, numbers: &mut LayerNumbers, at: &mut Body<'_>) {
        let label = arm_label(&side.name, at);
        self.text.open(word);
        let policy = self.policy.clone();
        match side.name {
            Name::None => {
                self.side_path(&side.body, numbers, at);
                numbers.next(word);
            }
            Name::Plain(_) | Name::Numbered(_) => self.side_path(&side.body, &mut LayerNumbers::default(), at),
        }
        self.policy = policy;
        let label = match (&side.name, label) {
            (Name::Plain(name), Some(_)) => writer::label(numbers, word, Some(name)).map(|name| names::label(&name)),
            (_, label) => {
                numbers.skip(usize::from(label.is_some()));
                label
            }
        };
        if let Name::Plain(name) = &side.name {
            at.used_labels.insert(name.clone());
        }
        self.text.close_with(&label.map(|label| format!(" as {label}")).unwrap_or_default());
    }

    /// Branches, the statements of the main path, and their join.
    fn branches(&mut self, word: &str, main: &Arm, sides: &[Arm], numbers: &mut LayerNumbers, at: &mut Body<'_>) {
        // the main path's holes come first
        let mut inner = Writer::default();
        std::mem::swap(&mut inner, &mut self.text);
        self.text.indent = inner.indent;
        let before = self.policy.clone();
        self.stmts(&main.body, numbers, at);
        numbers.next(word);
        let after = std::mem::replace(&mut self.policy, before.clone());
        let main_text = std::mem::replace(&mut self.text, inner);
        let mut operands = Vec::new();
        for arm in sides {
            let name = match (&arm.name, arm.body.is_empty()) {
                (Name::Plain(name), _) => name,
                (_, true) => "same",
                (_, false) if word == "mul" => "gate",
                (_, false) => "side",
            };
            let label = fresh(name, at.used_labels);
            if arm.body.is_empty() {
                self.text.line(&format!("branch {label} {{ }}"));
            } else {
                self.text.open(&format!("branch {label}"));
                self.side_path(&arm.body, &mut LayerNumbers::default(), at);
                self.policy.clone_from(&before);
                self.text.close();
            }
            operands.push(label);
        }
        self.policy = after;
        self.text.out.push_str(&main_text.out);
        let how = if word == "upsample" { "nearest, like: " } else { "" };
        self.text.line(&format!("{word} {how}{}", self.operands(word, operands).join(", ")));
    }

    /// `parallel concat { … }`: arms that read the same value.
    fn parallel(&mut self, word: &str, arms: &[Arm], numbers: &mut LayerNumbers, at: &mut Body<'_>) {
        self.text.open(&format!("parallel {word}"));
        for arm in arms {
            let label = arm_label(&arm.name, at).map(|label| format!("{label} ")).unwrap_or_default();
            if arm.body.is_empty() {
                self.text.line(&format!("{label}{{ }}"));
                continue;
            }
            self.text.open(label.trim_end());
            match arm.name {
                Name::None => self.side_path(&arm.body, numbers, at),
                Name::Plain(_) | Name::Numbered(_) => self.side_path(&arm.body, &mut LayerNumbers::default(), at),
            }
            self.text.close();
        }
        numbers.next(word);
        self.text.close();
    }

    /// The statements of a path, whose stages have no predecessor or successor.
    fn side_path(&mut self, stmts: &[Stmt], numbers: &mut LayerNumbers, at: &mut Body<'_>) {
        let (filters, last_stage) = (at.filters.take(), self.last_stage.take());
        let in_arm = std::mem::replace(&mut at.in_arm, true);
        self.stmts(stmts, numbers, at);
        (at.in_arm, at.filters, self.last_stage) = (in_arm, filters, last_stage);
    }

    /// Writes an irregular region line by line.
    pub fn irregular(&mut self, lines: &[Line], numbers: &mut LayerNumbers, at: &mut Body<'_>) {
        let mut labels: HashMap<usize, String> = HashMap::new();
        for line in lines {
            match line {
                Line::Main(statement) => self.statement(statement, None, &labels, numbers, at),
                Line::Mark(label) => {
                    let name = fresh("value", at.used_labels);
                    self.text.line(&format!("branch {name} {{ }}"));
                    labels.insert(*label, name);
                }
                Line::Branch { label, name, scoped, from, body } => {
                    let from = from.as_ref().map(|from| format!(" from {}", label_text(from, &labels))).unwrap_or_default();
                    let name = if *scoped {
                        self.scoped_branch(name.as_deref(), &from, body, &labels, at)
                    } else {
                        self.open_branch(&from, body, &labels, numbers, at)
                    };
                    labels.insert(*label, name);
                }
                Line::Output { output, label } => {
                    self.deferred_outputs.push((*output, labels.get(label).cloned().unwrap_or_default()));
                }
            }
        }
    }

    /// A branch whose layers are in a scope of its label, which it returns.
    fn scoped_branch(
        &mut self,
        name: Option<&str>,
        from: &str,
        body: &[OpStmt],
        labels: &HashMap<usize, String>,
        at: &mut Body<'_>,
    ) -> String {
        let name = fresh(name.unwrap_or("path"), at.used_labels);
        self.text.open(&format!("branch {name}{from}"));
        let mut inner = LayerNumbers::default();
        body.iter().for_each(|statement| self.statement(statement, None, labels, &mut inner, at));
        self.text.close();
        name
    }

    /// A branch whose layers are in the scope around it; returns the label of its last statement.
    fn open_branch(
        &mut self,
        from: &str,
        body: &[OpStmt],
        labels: &HashMap<usize, String>,
        numbers: &mut LayerNumbers,
        at: &mut Body<'_>,
    ) -> String {
        self.text.open(&format!("branch{from}"));
        let mut name = String::new();
        for (i, statement) in body.iter().enumerate() {
            let is_last = i + 1 == body.len();
            if is_last {
                name = statement.leaf.clone().unwrap_or_else(|| fresh("path", at.used_labels));
            }
            self.statement(statement, is_last.then_some(&name), labels, numbers, at);
        }
        self.text.close();
        name
    }

    /// Writes a statement of an irregular region, with this label if it needs one to be read.
    fn statement(
        &mut self,
        stmt: &OpStmt,
        own: Option<&String>,
        labels: &HashMap<usize, String>,
        numbers: &mut LayerNumbers,
        at: &mut Body<'_>,
    ) {
        let label = match own {
            Some(own) => {
                numbers.skip(1);
                Some(own.clone())
            }
            None => writer::label(numbers, &stmt.word, stmt.leaf.as_deref()),
        };
        at.used_labels.extend(label.clone());
        let mut line = format!("{}{}", stmt.word, self.args(&stmt.word, stmt.expression.as_deref(), &stmt.keys, at));
        let like = stmt.word == "upsample";
        let others = stmt.others.iter().map(|other| label_text(other, labels)).collect();
        for (i, other) in self.operands(&stmt.word, others).into_iter().enumerate() {
            let comma = if i == 0 && stmt.keys.is_empty() { " " } else { ", " };
            line.push_str(&format!("{comma}{}{other}", if like { "like: " } else { "" }));
        }
        self.text.line(&with_label(line, label.as_deref()));
    }
}

/// Whether a path can be written as `mul { … }`. In a `sequential`, its layers would be in the scope of its number.
fn joined_at_once(side: &Arm, numbers: &LayerNumbers, at: &Body<'_>) -> bool {
    match &side.name {
        Name::None => !numbers.is_sequence() && !side.body.is_empty(),
        Name::Plain(name) => !at.used_labels.contains(name),
        Name::Numbered(_) => true,
    }
}

/// Whether paths can be branches beside the main path: those without a name would not keep the names of their layers.
fn branches(word: &str, main: &Arm, sides: &[Arm], at: &Body<'_>) -> bool {
    let fits = |side: &Arm| match &side.name {
        Name::None => side.body.is_empty() || word != "concat" && !have_names(&side.body),
        Name::Plain(name) => names::is_path(name) && !at.used_labels.contains(name),
        Name::Numbered(_) => false,
    };
    let is_main = main.name == Name::None && (word != "concat" || !main.body.is_empty());
    is_main && sides.iter().all(fits)
}

/// The name of an arm as written.
fn arm_label(name: &Name, at: &mut Body<'_>) -> Option<String> {
    match name {
        Name::None => None,
        Name::Plain(name) => Some(names::label(name)),
        Name::Numbered(stem) => {
            let number = at.holes.next().flatten().unwrap_or_default();
            let is_literal = number.parse::<i64>().is_ok();
            Some(if is_literal { names::label(&format!("{stem}{number}")) } else { format!("\"{stem}{{{number}}}\"") })
        }
    }
}

fn label_text(label: &Label, labels: &HashMap<usize, String>) -> String {
    match label {
        Label::Local(label) => labels.get(label).cloned().unwrap_or_default(),
        Label::Input(name) => name.clone(),
    }
}
