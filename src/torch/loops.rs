//! Numbered layers (`denselayer1`, `denselayer2`, …) are constructed and called in a loop.

use super::expr::{Arg, Expr, Hole, Role, Stmt, Val};
use super::names;

/// Minimum number of layers for a loop.
const MIN_LOOP: usize = 3;

/// Replaces consecutive numbered layers, which `init` constructs and `forward` calls, by loops.
pub(super) fn fold(init: &mut Vec<Stmt>, forward: &mut Vec<Stmt>) {
    let mut out = Vec::new();
    let mut rest = std::mem::take(init).into_iter().peekable();
    let mut loops = Vec::new();
    while let Some(first) = rest.next() {
        let mut run = vec![first];
        while let Some(next) = rest.peek()
            && follows(&run, next)
        {
            run.extend(rest.next());
        }
        match (run.len() >= MIN_LOOP).then(|| members(&run)).flatten() {
            Some(stmt) => {
                if let Stmt::Members { prefix, first, count, .. } = &stmt {
                    loops.push((prefix.clone(), *first, count.clone()));
                }
                out.push(stmt);
            }
            None => out.append(&mut run),
        }
    }
    *init = out;
    for (prefix, first, count) in loops {
        let all = init.len() == 1;
        fold_calls(forward, &prefix, first, &count, all);
    }
}

/// Splits a key such as `denselayer12` into its text and number.
fn numbered(key: &str) -> Option<(&str, usize)> {
    let stem = key.trim_end_matches(|c: char| c.is_ascii_digit());
    let number = key[stem.len()..].parse::<usize>().ok()?;
    (names::is_attribute(stem) && key == format!("{stem}{number}")).then_some((stem, number))
}

fn follows(run: &[Stmt], next: &Stmt) -> bool {
    let (Some(Stmt::Member { key: before, value: a }), Stmt::Member { key, value: b }) = (run.last(), next) else {
        return false;
    };
    let (Some((stem, n)), Some((other, m))) = (numbered(before), numbered(key)) else { return false };
    let (mut left, mut right) = (String::new(), String::new());
    a.skeleton(true, &mut left);
    b.skeleton(true, &mut right);
    stem == other && m == n + 1 && left == right
}

/// One statement for members whose numbers follow from their position.
fn members(run: &[Stmt]) -> Option<Stmt> {
    let values: Vec<&Expr> =
        run.iter().filter_map(|s| if let Stmt::Member { value, .. } = s { Some(value) } else { None }).collect();
    let Some(Stmt::Member { key, value }) = run.first() else { return None };
    let (prefix, first) = numbered(key)?;
    let columns: Vec<Vec<Val>> = {
        let lists: Vec<Vec<Val>> = values
            .iter()
            .map(|value| {
                let mut list = Vec::new();
                value.holes(&mut |hole, _| list.push(hole.value));
                list
            })
            .collect();
        (0..lists[0].len()).map(|i| lists.iter().map(|list| list[i]).collect()).collect()
    };
    let mut steps = Vec::new();
    for column in &columns {
        if column.iter().all(|v| *v == column[0]) {
            steps.push(None);
            continue;
        }
        let numbers: Option<Vec<i64>> = column.iter().map(|v| if let Val::Int(n) = v { Some(*n) } else { None }).collect();
        let numbers = numbers?;
        let step = numbers[1] - numbers[0];
        if step <= 0 || numbers.windows(2).any(|w| w[1] - w[0] != step) {
            return None;
        }
        steps.push(Some(step));
    }
    let mut steps = steps.into_iter();
    let value = with_steps(value, &mut || steps.next().flatten());
    let count = Hole::new(Role::Other("num_layers"), "num_layers", Val::int(run.len()));
    Some(Stmt::Members { prefix: prefix.to_owned(), first, count, value })
}

/// Replaces numbers that have a step by `first + step * i`.
fn with_steps(expr: &Expr, step: &mut impl FnMut() -> Option<i64>) -> Expr {
    match expr {
        Expr::Hole(hole) => match step() {
            None => expr.clone(),
            Some(n) => {
                let by = Hole { value: Val::Int(n), hint: "step".to_owned(), ..hole.clone() };
                Expr::Seq(vec![expr.clone(), Expr::text(" + "), Expr::Hole(by), Expr::text(" * i")])
            }
        },
        Expr::Text(_) | Expr::Member(_) => expr.clone(),
        Expr::Call(head, args) => {
            let head = with_steps(head, step);
            let each = |arg: &Arg| Arg { value: with_steps(&arg.value, step), ..arg.clone() };
            Expr::Call(Box::new(head), args.iter().map(each).collect())
        }
        Expr::List(items) => Expr::List(items.iter().map(|item| with_steps(item, step)).collect()),
        Expr::Seq(items) => Expr::Seq(items.iter().map(|item| with_steps(item, step)).collect()),
        Expr::Dict(items) => Expr::Dict(items.iter().map(|(key, item)| (key.clone(), with_steps(item, step))).collect()),
    }
}

/// One statement for the calls of all members of a loop, if they are consecutive.
fn fold_calls(forward: &mut Vec<Stmt>, prefix: &str, first: usize, count: &Hole, all: bool) {
    let Val::Int(len) = count.value else { return };
    let len = usize::try_from(len).unwrap_or(0);
    let key = |i: usize| format!("{prefix}{}", first + i);
    let calls = |stmt: &Stmt, key: &str| match stmt {
        Stmt::Assign { value, .. } | Stmt::Return(value) => mentions(value, key),
        _ => false,
    };
    let Some(at) = forward.iter().position(|stmt| calls(stmt, &key(0))) else { return };
    let Some(run) = forward.get(at..at + len) else { return };
    // the last one may be the returned value
    let Stmt::Assign { target, value } = &run[0] else { return };
    let loose = |value: &Expr| {
        let mut out = String::new();
        value.skeleton(false, &mut out);
        out
    };
    let wanted = loose(value);
    let fits = run.iter().enumerate().all(|(i, stmt)| {
        let same = match stmt {
            Stmt::Assign { target: other, value } => other == target && loose(value) == wanted,
            Stmt::Return(value) => i + 1 == len && loose(value) == wanted,
            _ => false,
        };
        same && calls(stmt, &key(i))
    });
    if !fits {
        return;
    }
    let returns = matches!(run[len - 1], Stmt::Return(_));
    let inner = Stmt::Assign { target: target.clone(), value: replaced(value, &key(0)) };
    let answer = Stmt::Return(Expr::text(target.clone()));
    let stmt = Stmt::ForMembers { prefix: prefix.to_owned(), first, count: count.clone(), all, body: Box::new(inner) };
    forward.splice(at..at + len, [stmt].into_iter().chain(returns.then_some(answer)));
}

fn mentions(expr: &Expr, key: &str) -> bool {
    match expr {
        Expr::Member(name) => name == key,
        Expr::Text(_) | Expr::Hole(_) => false,
        Expr::Call(head, args) => mentions(head, key) || args.iter().any(|arg| mentions(&arg.value, key)),
        Expr::List(items) | Expr::Seq(items) => items.iter().any(|item| mentions(item, key)),
        Expr::Dict(items) => items.iter().any(|(_, item)| mentions(item, key)),
    }
}

/// Replaces a member by `layer`.
fn replaced(expr: &Expr, key: &str) -> Expr {
    match expr {
        Expr::Member(name) if name == key => Expr::text("layer"),
        Expr::Member(_) | Expr::Text(_) | Expr::Hole(_) => expr.clone(),
        Expr::Call(head, args) => {
            let each = |arg: &Arg| Arg { value: replaced(&arg.value, key), ..arg.clone() };
            Expr::Call(Box::new(replaced(head, key)), args.iter().map(each).collect())
        }
        Expr::List(items) => Expr::List(items.iter().map(|item| replaced(item, key)).collect()),
        Expr::Seq(items) => Expr::Seq(items.iter().map(|item| replaced(item, key)).collect()),
        Expr::Dict(items) => Expr::Dict(items.iter().map(|(k, item)| (k.clone(), replaced(item, key))).collect()),
    }
}
