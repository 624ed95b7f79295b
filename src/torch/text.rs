//! Formats expressions as lines, in the style of Black.

use super::expr::{Arg, Expr, Stmt};
use super::names;

/// Maximum line length.
const WIDTH: usize = 110;

/// Minimum number of equal consecutive arguments that are written as a comprehension.
const MIN_REPEATS: usize = 3;

/// Indented text.
#[derive(Default)]
pub(super) struct Text {
    pub out: String,
    indent: usize,
}

impl Text {
    pub fn line(&mut self, line: &str) {
        if !line.is_empty() {
            self.out.extend(std::iter::repeat_n("    ", self.indent));
        }
        self.out.push_str(line);
        self.out.push('\n');
    }

    pub fn open(&mut self, line: &str) {
        self.line(line);
        self.indent += 1;
    }

    pub fn close(&mut self) {
        self.indent = self.indent.saturating_sub(1);
    }

    /// The signature of a function.
    pub fn def(&mut self, name: &str, takes: &[String]) {
        let line = format!("def {name}({}):", takes.join(", "));
        if line.len() + 4 * self.indent <= WIDTH {
            return self.open(&line);
        }
        self.open(&format!("def {name}("));
        takes.iter().for_each(|one| self.line(&format!("{one},")));
        self.close();
        self.open("):");
    }

    pub fn statement(&mut self, stmt: &Stmt) {
        match stmt {
            Stmt::Member { key, value } => self.long(&format!("{} = ", names::member(key)), value, ""),
            Stmt::Assign { target, value } => self.long(&format!("{target} = "), value, ""),
            Stmt::Return(value) => self.long("return ", value, ""),
            Stmt::Members { prefix, first, count, value } => {
                self.open(&format!("for i in range({}):", count.hint));
                let number = if *first == 0 { "i".to_owned() } else { format!("i + {first}") };
                self.long(&format!("self.add_module(f\"{prefix}{{{number}}}\", "), value, ")");
                self.close();
            }
            Stmt::ForMembers { prefix, first, count, all, body } => {
                if *all {
                    self.open("for layer in self.children():");
                } else {
                    self.open(&format!("for i in range({}):", count.hint));
                    let number = if *first == 0 { "i".to_owned() } else { format!("i + {first}") };
                    self.line(&format!("layer = getattr(self, f\"{prefix}{{{number}}}\")"));
                }
                self.statement(body);
                self.close();
            }
        }
    }

    /// An expression between `before` and `after`, split over several lines if too long.
    pub fn long(&mut self, before: &str, expr: &Expr, after: &str) {
        let line = format!("{before}{}{after}", flat(expr));
        if line.len() + 4 * self.indent <= WIDTH {
            return self.line(&line);
        }
        match expr {
            Expr::Call(head, args) => {
                self.open(&format!("{before}{}(", flat(head)));
                for (arg, times) in runs(args) {
                    let key = arg.key.as_ref().map_or(String::new(), |key| format!("{key}="));
                    match times {
                        1 => self.long(&key, &arg.value, ","),
                        n => self.line(&format!("*[{} for _ in range({n})],", flat(&arg.value))),
                    }
                }
                self.close();
                self.line(&format!("){after}"));
            }
            Expr::List(items) => {
                self.open(&format!("{before}["));
                items.iter().for_each(|item| self.long("", item, ","));
                self.close();
                self.line(&format!("]{after}"));
            }
            Expr::Dict(items) => {
                self.open(&format!("{before}{{"));
                items.iter().for_each(|(key, item)| self.long(&format!("{}: ", names::quoted(key)), item, ","));
                self.close();
                self.line(&format!("}}{after}"));
            }
            // split the first part with arguments
            Expr::Seq(items) => {
                let at = items.iter().position(|item| matches!(item, Expr::Call(..) | Expr::List(_)));
                let Some(at) = at else { return self.line(&line) };
                let joined = |items: &[Expr]| items.iter().map(flat).collect::<String>();
                let (first, last) = (format!("{before}{}", joined(&items[..at])), format!("{}{after}", joined(&items[at + 1..])));
                self.long(&first, &items[at], &last);
            }
            Expr::Text(_) | Expr::Hole(_) | Expr::Member(_) => self.line(&line),
        }
    }
}

/// Consecutive equal arguments, with their count.
fn runs(args: &[Arg]) -> Vec<(&Arg, usize)> {
    let mut list: Vec<(&Arg, usize)> = Vec::new();
    for arg in args {
        match list.last_mut() {
            Some((last, n)) if arg.key.is_none() && *last == arg && matches!(arg.value, Expr::Call(..)) => *n += 1,
            _ => list.push((arg, 1)),
        }
    }
    list.into_iter().flat_map(|(arg, n)| if n < MIN_REPEATS { vec![(arg, 1); n] } else { vec![(arg, n)] }).collect()
}

/// An expression on one line.
pub(super) fn flat(expr: &Expr) -> String {
    match expr {
        Expr::Text(text) => text.clone(),
        Expr::Hole(hole) => hole.value.to_string(),
        Expr::Member(key) => names::member(key),
        Expr::Call(head, args) => {
            let one = |(arg, times): (&Arg, usize)| {
                let value = flat(&arg.value);
                match (&arg.key, times) {
                    (Some(key), _) => format!("{key}={value}"),
                    (None, 1) => value,
                    (None, n) => format!("*[{value} for _ in range({n})]"),
                }
            };
            let args: Vec<String> = runs(args).into_iter().map(one).collect();
            format!("{}({})", flat(head), args.join(", "))
        }
        Expr::List(items) => format!("[{}]", items.iter().map(flat).collect::<Vec<_>>().join(", ")),
        Expr::Seq(items) => items.iter().map(flat).collect(),
        Expr::Dict(items) => {
            let list: Vec<String> = items.iter().map(|(key, item)| format!("{}: {}", names::quoted(key), flat(item))).collect();
            format!("{{{}}}", list.join(", "))
        }
    }
}
