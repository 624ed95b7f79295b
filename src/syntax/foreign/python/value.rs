//! Values of Python in our notation.

use super::parse;
use super::tree::{Expr, Kind};
use crate::syntax::words::is_name;

/// A value in our notation.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Written {
    pub text: String,
    /// Whether it is written out: a name may stand for something else here, or for nothing.
    pub is_literal: bool,
}

/// How a kind of value is written; `None` where there is no certain counterpart.
pub type Reader = fn(&Expr) -> Option<Written>;

fn literal(text: impl Into<String>) -> Option<Written> {
    Some(Written { text: text.into(), is_literal: true })
}

fn named(text: impl Into<String>) -> Option<Written> {
    Some(Written { text: text.into(), is_literal: false })
}

fn or_named(written: Option<Written>, value: &Expr) -> Option<Written> {
    let is_number = matches!(value.kind, Kind::Number(_));
    written.or_else(|| arithmetic(value).filter(|_| !is_number).and_then(named))
}

/// `True` or `False`.
pub fn truth(value: &Expr) -> Option<Written> {
    match value.name()? {
        "True" | "true" => literal("true"),
        "False" | "false" => literal("false"),
        name if is_variable(name) => named(name),
        _ => None,
    }
}

/// A whole number above zero.
pub fn count(value: &Expr) -> Option<Written> {
    or_named(whole(value).filter(|&n| n > 0).and_then(|n| literal(n.to_string())), value)
}

/// A whole number that is not negative, and that a size here can hold.
fn whole(value: &Expr) -> Option<i64> {
    value.whole().filter(|n| (0..1_000_000_000).contains(n))
}

/// A number that is not negative.
pub fn number(value: &Expr) -> Option<Written> {
    match value.kind {
        Kind::Number(text) if text.parse::<f64>().is_ok_and(f64::is_finite) => literal(own_number(text)),
        _ => or_named(None, value),
    }
}

/// `0.5` for `.5`, `1.0` for `1.`.
fn own_number(text: &str) -> String {
    let lower = text.to_ascii_lowercase();
    let (digits, exponent) = lower.split_at(lower.find('e').unwrap_or(lower.len()));
    let front = if digits.starts_with('.') { "0" } else { "" };
    let end = if digits.ends_with('.') { "0" } else { "" };
    format!("{front}{digits}{end}{}", exponent.replace('+', ""))
}

/// A number with or without a sign.
pub fn signed(value: &Expr) -> Option<Written> {
    match &value.kind {
        Kind::Negative(inner) => number(inner).map(|written| Written { text: format!("-{}", written.text), ..written }),
        _ => number(value),
    }
}

/// One whole number, or two: `3x3` for `(3, 3)` and `[3, 3]`.
pub fn size(value: &Expr) -> Option<Written> {
    let axes = |items: &[Expr]| items.iter().map(|item| whole(item).map(|n| n.to_string())).collect::<Option<Vec<_>>>();
    match &value.kind {
        Kind::Sequence(items) if matches!(items.len(), 1 | 2) => literal(axes(items)?.join("x")),
        _ => or_named(whole(value).and_then(|n| literal(n.to_string())), value),
    }
}

/// A size without zero.
pub fn extent(value: &Expr) -> Option<Written> {
    size(value).filter(|own| own.text.split('x').all(|axis| axis != "0"))
}

/// A size of a shape; -1 for what the others leave.
pub fn reshaped(value: &Expr) -> Option<Written> {
    if value.whole() == Some(-1) { literal("-1") } else { count(value) }
}

/// A kernel in two dimensions: `3x3` for `3`.
pub fn kernel(value: &Expr) -> Option<Written> {
    let own = extent(value)?;
    let is_square = own.is_literal && !own.text.contains('x');
    Some(if is_square { Written { text: format!("{0}x{0}", own.text), ..own } } else { own })
}

/// The padding of a pool.
pub fn window_padding(value: &Expr) -> Option<Written> {
    match value.kind {
        Kind::Text("valid") => literal("0"),
        Kind::Text(_) => None,
        _ => size(value),
    }
}

/// Factors of a height and a width, or one for both.
pub fn factors(value: &Expr) -> Option<Written> {
    match &value.kind {
        Kind::Sequence(items) => match &items[..] {
            [one] => number(one),
            [a, b] if whole(a).is_some() && whole(b).is_some() => size(value),
            [a, b] => {
                let (a, b) = (number(a)?, number(b)?);
                let text = format!("[{}, {}]", a.text, b.text);
                Some(Written { text, is_literal: a.is_literal && b.is_literal })
            }
            _ => None,
        },
        _ => number(value),
    }
}

/// Sides as PyTorch lists them, `(left, right, top, bottom)`, as `[top, bottom, left, right]`.
pub fn sides(value: &Expr) -> Option<Written> {
    match &value.kind {
        Kind::Sequence(items) => match value.wholes()?[..] {
            [left, right, top, bottom] if items.iter().all(|item| whole(item).is_some()) => literal(match () {
                () if left == right && top == bottom && left == top => left.to_string(),
                () if left == right && top == bottom => format!("{top}x{left}"),
                () => format!("[{top}, {bottom}, {left}, {right}]"),
            }),
            _ => None,
        },
        _ => size(value),
    }
}

/// An interpolation's mode.
pub fn interpolation(value: &Expr) -> Option<Written> {
    match value.word()? {
        mode @ ("nearest" | "bilinear" | "bicubic") => literal(mode),
        "nearest-exact" => literal("nearest_exact"),
        _ => None,
    }
}

/// Whether a name of Python can be one of ours.
fn is_variable(name: &str) -> bool {
    is_name(name) && !matches!(name, "None" | "True" | "False" | "self" | "x")
}

/// An expression of names and numbers: `in_planes * 4`, `int(width * 0.5)`.
pub fn arithmetic(value: &Expr) -> Option<String> {
    match &value.kind {
        Kind::Name(name) if is_variable(name) => Some((*name).to_owned()),
        Kind::Number(text) => Some(own_number(text)),
        Kind::Binary(a, sign, b) => {
            let (left, right) = (operand(a, sign, false)?, operand(b, sign, true)?);
            match *sign {
                "//" => Some(format!("floor({left} / {right})")),
                "**" => None,
                _ => Some(format!("{left} {sign} {right}")),
            }
        }
        Kind::Call(callee, arguments) => {
            let own = rounding(callee.path()?.last()?)?;
            let list: Option<Vec<String>> = arguments
                .iter()
                .map(|argument| {
                    let value = arithmetic(&argument.value)?;
                    Some(argument.key.map_or(value.clone(), |key| format!("{key}: {value}")))
                })
                .collect();
            Some(format!("{own}({})", list?.join(", ")))
        }
        _ => None,
    }
}

/// A number's expression in our notation: `floor(width * 0.5)` for `int(width * 0.5)`. A name or layer alone is none.
pub fn number_of(text: &str) -> Option<String> {
    let expr = parse::whole(text)?;
    let is_number = match &expr.kind {
        Kind::Binary(..) => true,
        Kind::Call(callee, _) => callee.path()?.last().is_some_and(|name| rounding(name).is_some()),
        _ => false,
    };
    if is_number { arithmetic(&expr) } else { None }
}

/// Our functions of numbers, by Python's.
fn rounding(name: &str) -> Option<&'static str> {
    Some(match name {
        "int" | "floor" => "floor",
        "ceil" => "ceil",
        "make_divisible" | "_make_divisible" => "round_to",
        "min" => "min",
        "max" => "max",
        _ => return None,
    })
}

/// An operand, in parentheses where it needs them.
fn operand(value: &Expr, sign: &str, is_right: bool) -> Option<String> {
    let own = arithmetic(value)?;
    let needs = match &value.kind {
        Kind::Binary(_, "+" | "-", _) => !matches!(sign, "+" | "-") || (is_right && sign == "-"),
        Kind::Binary(_, "*" | "/" | "%", _) => is_right && !matches!(sign, "+" | "-"),
        _ => false,
    };
    Some(if needs { format!("({own})") } else { own })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn written(read: Reader, text: &str) -> Option<(String, bool)> {
        read(&parse::whole(text)?).map(|written| (written.text, written.is_literal))
    }

    #[test]
    fn values_are_written_in_our_notation() {
        for (read, python, own, is_literal) in [
            (count as Reader, "64", "64", true),
            (count, "planes * 4", "planes * 4", false),
            (count, "int(width * .5)", "floor(width * 0.5)", false),
            (count, "make_divisible(c * 0.75, 8)", "round_to(c * 0.75, 8)", false),
            (count, "(a + b) * c - (d - e)", "(a + b) * c - (d - e)", false),
            (count, "c // 4", "floor(c / 4)", false),
            (truth, "False", "false", true),
            (truth, "bias", "bias", false),
            (kernel, "3", "3x3", true),
            (kernel, "(3, 5)", "3x5", true),
            (kernel, "kernel_size", "kernel_size", false),
            (number, "1e-05", "1e-05", true),
            (number, "1.", "1.0", true),
            (signed, "-2.0", "-2.0", true),
            (factors, "(2, 2)", "2x2", true),
            (factors, "(1.5, 2)", "[1.5, 2]", true),
            (sides, "(1, 2, 3, 4)", "[3, 4, 1, 2]", true),
            (sides, "(1, 1, 1, 1)", "1", true),
            (sides, "(2, 2, 1, 1)", "1x2", true),
        ] {
            assert_eq!(written(read, python), Some((own.to_owned(), is_literal)), "{python}");
        }
    }

    #[test]
    fn other_values_have_no_counterpart() {
        for (read, python) in [
            (count as Reader, "0"),
            (count, "-1"),
            (count, "x.size(1)"),
            (count, "self.width"),
            (count, "\"3\""),
            (count, "None"),
            (count, "2 ** n"),
            (truth, "0"),
            (truth, "None"),
            (extent, "(0, 1)"),
            (size, "(1, 2, 3)"),
            (sides, "(1, 2)"),
            (sides, "(-1, 1, 1, 1)"),
        ] {
            assert_eq!(written(read, python), None, "{python}");
        }
    }
}
