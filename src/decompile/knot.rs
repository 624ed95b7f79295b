//! What has no simple form, statement by statement: one way goes along the current value, all else are branches with labels.

use std::collections::{HashMap, HashSet};

use super::layout::{Naming, fresh};
use super::net::{Id, Net};
use super::print::{Body, Printer};
use super::tree::Knot;
use crate::ir::Op;

/// The nodes of the way that the current value takes, from behind the first to the last.
fn main_way(net: &Net, knot: &Knot) -> Vec<Id> {
    // what is behind the knot's first value at all: other inputs are not
    let mut behind: HashSet<Id> = HashSet::from([knot.from]);
    for &id in &knot.nodes {
        if net.node(id).operands.iter().any(|o| behind.contains(o)) {
            behind.insert(id);
        }
    }
    let mut way = Vec::new();
    let mut id = knot.to;
    while id != knot.from {
        way.push(id);
        let operands = &net.node(id).operands;
        // the first operand is the current value; of a sum it may be the second
        let next = match operands[..] {
            [first, second] if matches!(net.node(id).op, Op::Add) && !behind.contains(&first) => Some(second),
            [first, ..] => Some(first),
            [] => None,
        };
        match next {
            Some(next) if behind.contains(&next) => id = next,
            _ => break,
        }
    }
    way.reverse();
    way
}

/// Writes a knot's statements.
pub(super) fn print(printer: &mut Printer<'_>, knot: &Knot, depth: usize, naming: &mut Naming, at: &mut Body<'_>) {
    let net = printer.net;
    let way = main_way(net, knot);
    let on_way: HashSet<Id> = way.iter().copied().collect();
    let next_on_way: HashMap<Id, Id> = std::iter::once(knot.from).chain(way.iter().copied()).zip(way.iter().copied()).collect();
    let mut users: HashMap<Id, Vec<(Id, usize)>> = HashMap::new();
    for &id in &knot.nodes {
        for (slot, &operand) in net.node(id).operands.iter().enumerate() {
            users.entry(operand).or_default().push((id, slot));
        }
    }
    let outputs = |id: Id| knot.outputs.iter().copied().filter(move |&o| net.outputs[o].1 == id);
    // a branch goes on where its value has one reader, off the way, that reads nothing else
    let goes_on = |id: Id| match users.get(&id).map(|u| &u[..]) {
        Some(&[(user, _)]) if !on_way.contains(&user) && net.node(user).operands.len() == 1 && outputs(id).next().is_none() => {
            Some(user)
        }
        _ => None,
    };
    let continues: HashSet<Id> = knot.nodes.iter().filter(|id| !on_way.contains(id)).filter_map(|&id| goes_on(id)).collect();
    // where the current value stands when a branch is written: at the last node of the way before it
    let current_at = |id: Id| way.iter().copied().take_while(|&w| w < id).last().unwrap_or(knot.from);
    // a value of the way needs a label where it is read other than as the current one
    let needs = |id: Id| {
        outputs(id).next().is_some()
            || users.get(&id).into_iter().flatten().any(|&(user, slot)| {
                if on_way.contains(&user) {
                    let first = net.node(user).operands.iter().position(|o| next_on_way.get(o) == Some(&user));
                    first != Some(slot)
                } else {
                    slot != 0 || current_at(user) != id
                }
            })
    };
    let mut labels: HashMap<Id, String> = HashMap::new();
    for &input in net.inputs.iter().filter(|&&input| input != knot.from) {
        labels.insert(input, net.node(input).name.clone());
    }
    if needs(knot.from) {
        let label = fresh("start", at.labels);
        printer.text.line(&format!("branch {label} {{ }}"));
        labels.insert(knot.from, label);
    }
    let label_of = |labels: &HashMap<Id, String>, id: Id| labels.get(&id).cloned().unwrap_or_default();
    let mut current = knot.from;
    for &id in &knot.nodes {
        if on_way.contains(&id) {
            let others: Vec<Id> = {
                let mut list = net.node(id).operands.clone();
                if let Some(first) = list.iter().position(|o| *o == current) {
                    list.remove(first);
                }
                list
            };
            let names: Vec<String> = others.iter().map(|&o| label_of(&labels, o)).collect();
            printer.statement(id, &names, printer.units.leaf(id, depth), naming);
            current = id;
            if needs(id) {
                let label = fresh("value", at.labels);
                printer.text.line(&format!("branch {label} {{ }}"));
                for output in outputs(id) {
                    printer.output_from(output, label.clone());
                }
                labels.insert(id, label);
            }
            continue;
        }
        if continues.contains(&id) {
            continue;
        }
        let operands = &net.node(id).operands;
        let from = if operands.first() == Some(&current) {
            String::new()
        } else {
            format!(" from {}", operands.first().map(|&o| label_of(&labels, o)).unwrap_or_default())
        };
        let label = fresh("path", at.labels);
        printer.text.open(&format!("branch {label}{from}"));
        let mut inner = Naming::default();
        let mut last = id;
        let mut next = Some(id);
        while let Some(step) = next {
            let names: Vec<String> = net.node(step).operands.iter().skip(1).map(|&o| label_of(&labels, o)).collect();
            printer.statement(step, &names, None, &mut inner);
            last = step;
            next = goes_on(step);
        }
        printer.text.close();
        for output in outputs(last) {
            printer.output_from(output, label.clone());
        }
        labels.insert(last, label);
    }
}
