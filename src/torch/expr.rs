//! Python code as a tree: expressions whose numbers are [`Hole`]s, so that code that only differs in numbers can become one class
//! with parameters.

use std::fmt;

/// A number in the code.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Val {
    Int(i64),
    Float(f64),
    Bool(bool),
    /// Height and width.
    Size([usize; 2]),
}

impl Val {
    pub fn int(n: usize) -> Val {
        Val::Int(i64::try_from(n).unwrap_or(i64::MAX))
    }

    /// One number for each of the last `rank` axes; a single one if they are equal.
    pub fn size(pair: [usize; 2], rank: usize) -> Val {
        match pair {
            [_, w] if rank == 1 => Val::int(w),
            [h, w] if h == w => Val::int(h),
            pair => Val::Size(pair),
        }
    }
}

impl fmt::Display for Val {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Val::Int(n) => write!(f, "{n}"),
            Val::Float(x) if x.is_infinite() => write!(f, "float(\"{}inf\")", if *x < 0.0 { "-" } else { "" }),
            Val::Float(x) => write!(f, "{x:?}"),
            Val::Bool(true) => f.write_str("True"),
            Val::Bool(false) => f.write_str("False"),
            Val::Size([h, w]) => write!(f, "({h}, {w})"),
        }
    }
}

/// The role of a number: numbers with the same role can share a parameter.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Role {
    /// Channels, features, groups.
    Channels,
    /// Output features of the final layer.
    Classes,
    /// Anything else, by its key.
    Other(&'static str),
}

/// A number in an expression.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Hole {
    pub role: Role,
    /// The name of a parameter for it.
    pub hint: String,
    /// The module that it belongs to, if that is an instance of a class: its name is put before the hint.
    pub owner: Option<String>,
    pub value: Val,
}

impl Hole {
    pub fn new(role: Role, hint: &str, value: Val) -> Hole {
        Hole { role, hint: hint.to_owned(), owner: None, value }
    }
}

/// An expression.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Expr {
    Text(String),
    Hole(Hole),
    /// `self.conv1`: a submodule, by its key.
    Member(String),
    Call(Box<Expr>, Vec<Arg>),
    /// `[a, b]`.
    List(Vec<Expr>),
    /// `{"a": b}`.
    Dict(Vec<(String, Expr)>),
    /// Concatenation.
    Seq(Vec<Expr>),
}

/// An argument.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Arg {
    pub key: Option<String>,
    pub value: Expr,
    /// Omitted if it has this value.
    pub default: Option<Val>,
}

impl Arg {
    pub fn plain(value: Expr) -> Arg {
        Arg { key: None, value, default: None }
    }

    pub fn key(key: &str, value: Expr) -> Arg {
        Arg { key: Some(key.to_owned()), value, default: None }
    }

    /// `key=value`, omitted if the value is the default.
    pub fn kw(key: &'static str, value: Val, default: Val) -> Arg {
        let value = Expr::number(Role::Other(key), key, value);
        Arg { key: Some(key.to_owned()), value, default: Some(default) }
    }
}

impl Expr {
    pub fn text(text: impl Into<String>) -> Expr {
        Expr::Text(text.into())
    }

    pub fn number(role: Role, hint: &str, value: Val) -> Expr {
        Expr::Hole(Hole::new(role, hint, value))
    }

    pub fn channels(hint: &str, n: usize) -> Expr {
        Expr::number(Role::Channels, hint, Val::int(n))
    }

    pub fn call(head: &str, args: Vec<Arg>) -> Expr {
        Expr::Call(Box::new(Expr::text(head)), args)
    }

    /// `head(x)`.
    pub fn apply(head: Expr, x: Expr) -> Expr {
        Expr::Call(Box::new(head), vec![Arg::plain(x)])
    }

    /// Calls `visit` with each hole in text order, and with its default value if its argument has one.
    pub fn holes<'e>(&'e self, visit: &mut impl FnMut(&'e Hole, Option<Val>)) {
        self.holes_of(None, visit);
    }

    fn holes_of<'e>(&'e self, default: Option<Val>, visit: &mut impl FnMut(&'e Hole, Option<Val>)) {
        match self {
            Expr::Hole(hole) => visit(hole, default),
            Expr::Text(_) | Expr::Member(_) => {}
            Expr::Call(head, args) => {
                head.holes_of(None, visit);
                args.iter().for_each(|arg| arg.value.holes_of(arg.default, visit));
            }
            Expr::List(items) | Expr::Seq(items) => items.iter().for_each(|item| item.holes_of(None, visit)),
            Expr::Dict(items) => items.iter().for_each(|(_, item)| item.holes_of(None, visit)),
        }
    }

    /// The code without its numbers. With `members`, the names of submodules are included.
    pub fn skeleton(&self, members: bool, out: &mut String) {
        match self {
            Expr::Text(text) => out.push_str(text),
            Expr::Hole(_) => out.push('?'),
            Expr::Member(key) => {
                out.push_str("self.");
                out.push_str(if members { key } else { "*" });
            }
            Expr::Call(head, args) => {
                head.skeleton(members, out);
                out.push('(');
                for arg in args {
                    out.extend(arg.key.iter().flat_map(|key| [key.as_str(), "="]));
                    arg.value.skeleton(members, out);
                    out.push(',');
                }
                out.push(')');
            }
            Expr::List(items) | Expr::Seq(items) => {
                out.push('[');
                for item in items {
                    item.skeleton(members, out);
                    out.push(',');
                }
                out.push(']');
            }
            Expr::Dict(items) => {
                for (key, item) in items {
                    out.push_str(key);
                    out.push(':');
                    item.skeleton(members, out);
                    out.push(',');
                }
            }
        }
    }

    /// Calls `visit` with each hole, to modify it.
    pub fn holes_mut(&mut self, visit: &mut impl FnMut(&mut Hole)) {
        match self {
            Expr::Hole(hole) => visit(hole),
            Expr::Text(_) | Expr::Member(_) => {}
            Expr::Call(head, args) => {
                head.holes_mut(visit);
                args.iter_mut().for_each(|arg| arg.value.holes_mut(visit));
            }
            Expr::List(items) | Expr::Seq(items) => items.iter_mut().for_each(|item| item.holes_mut(visit)),
            Expr::Dict(items) => items.iter_mut().for_each(|(_, item)| item.holes_mut(visit)),
        }
    }

    /// Fills in all holes, in the order of [`Expr::holes`]; `None` omits an argument.
    pub fn filled(&self, next: &mut impl FnMut(&Hole) -> Option<String>) -> Expr {
        match self {
            Expr::Hole(hole) => Expr::Text(next(hole).unwrap_or_else(|| hole.value.to_string())),
            Expr::Text(_) | Expr::Member(_) => self.clone(),
            Expr::Call(head, args) => {
                let head = head.filled(next);
                let fill = |arg: &Arg| {
                    let value = match &arg.value {
                        Expr::Hole(hole) if arg.default.is_some() => Expr::Text(next(hole)?),
                        other => other.filled(next),
                    };
                    Some(Arg { key: arg.key.clone(), value, default: None })
                };
                Expr::Call(Box::new(head), args.iter().filter_map(fill).collect())
            }
            Expr::List(items) => Expr::List(items.iter().map(|item| item.filled(next)).collect()),
            Expr::Seq(items) => Expr::Seq(items.iter().map(|item| item.filled(next)).collect()),
            Expr::Dict(items) => Expr::Dict(items.iter().map(|(key, item)| (key.clone(), item.filled(next))).collect()),
        }
    }
}

/// A statement.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Stmt {
    /// A submodule: `self.conv1 = …`.
    Member {
        key: String,
        value: Expr,
    },
    /// `x = …`
    Assign {
        target: String,
        value: Expr,
    },
    Return(Expr),
    /// Members `PREFIX{first}`, `PREFIX{first + 1}`, …: each number is constant, or computed from `i` with two holes.
    Members {
        prefix: String,
        first: usize,
        count: Hole,
        value: Expr,
    },
    /// A statement for each of these members, which is named `layer` in it; `all` if there are no others.
    ForMembers {
        prefix: String,
        first: usize,
        count: Hole,
        all: bool,
        body: Box<Stmt>,
    },
}

impl Stmt {
    /// Like [`Expr::holes`].
    pub fn holes<'e>(&'e self, visit: &mut impl FnMut(&'e Hole, Option<Val>)) {
        match self {
            Stmt::Member { value, .. } | Stmt::Assign { value, .. } | Stmt::Return(value) => value.holes(visit),
            Stmt::Members { count, value, .. } => {
                visit(count, None);
                value.holes(visit);
            }
            Stmt::ForMembers { count, body, all, .. } => {
                if !all {
                    visit(count, None);
                }
                body.holes(visit);
            }
        }
    }

    /// Like [`Expr::skeleton`], as a line.
    pub fn skeleton(&self, out: &mut String) {
        match self {
            Stmt::Member { key, value } => {
                out.push_str(&format!("self.{key} = "));
                value.skeleton(true, out);
            }
            Stmt::Assign { target, value } => {
                out.push_str(&format!("{target} = "));
                value.skeleton(true, out);
            }
            Stmt::Return(value) => {
                out.push_str("return ");
                value.skeleton(true, out);
            }
            Stmt::Members { prefix, first, value, .. } => {
                out.push_str(&format!("members {prefix} {first} "));
                value.skeleton(true, out);
            }
            Stmt::ForMembers { prefix, first, all, body, .. } => {
                out.push_str(&format!("for members {prefix} {first} {all} "));
                body.skeleton(out);
            }
        }
        out.push('\n');
    }

    /// Like [`Expr::filled`].
    pub fn filled(&self, next: &mut impl FnMut(&Hole) -> Option<String>) -> Stmt {
        let count_of = |count: &Hole, next: &mut dyn FnMut(&Hole) -> Option<String>| Hole {
            hint: next(count).unwrap_or_else(|| count.value.to_string()),
            ..count.clone()
        };
        match self {
            Stmt::Member { key, value } => Stmt::Member { key: key.clone(), value: value.filled(next) },
            Stmt::Assign { target, value } => Stmt::Assign { target: target.clone(), value: value.filled(next) },
            Stmt::Return(value) => Stmt::Return(value.filled(next)),
            Stmt::Members { prefix, first, count, value } => {
                let count = count_of(count, next);
                Stmt::Members { prefix: prefix.clone(), first: *first, count, value: value.filled(next) }
            }
            Stmt::ForMembers { prefix, first, count, all, body } => {
                let count = if *all { count.clone() } else { count_of(count, next) };
                let body = Box::new(body.filled(next));
                Stmt::ForMembers { prefix: prefix.clone(), first: *first, count, all: *all, body }
            }
        }
    }
}
