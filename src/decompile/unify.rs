//! Finds the parameters of a block: what its instances have in common, and what follows from other numbers.
//!
//! The width of a block's result is its parameter `filters`. Other widths are multiples or fractions of it, of another parameter, or of
//! the block's own input, as in an inverted residual, or else parameters themselves.

use super::attrs::Val;
use super::names;
use super::stmt::Hole;

/// What is written for a hole in a block.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Expr {
    /// Nothing: all instances have the default.
    Omit,
    Literal(Val),
    /// A parameter, with a factor and a divisor.
    Param(usize, i64, i64),
    /// The channels of the block's input, with a factor and a divisor.
    InChannels(i64, i64),
    /// The channels of the block's input, times a parameter.
    Expanded(usize),
    /// A fraction of another width, rounded to a multiple of 8 as MobileNets do.
    Rounded(Box<Expr>, i64),
}

impl Expr {
    /// As written in a block with these parameters; `None` if nothing is.
    pub fn text(&self, params: &[Param]) -> Option<String> {
        let scaled = |name: &str, mul: i64, div: i64| match (mul, div) {
            (1, 1) => name.to_owned(),
            (_, 1) => format!("{name} * {mul}"),
            _ => format!("{name} / {div}"),
        };
        Some(match self {
            Expr::Omit => return None,
            Expr::Literal(value) => value.to_string(),
            Expr::Param(p, mul, div) => scaled(&params[*p].name, *mul, *div),
            Expr::InChannels(mul, div) => scaled("in_channels", *mul, *div),
            Expr::Expanded(p) => format!("in_channels * {}", params[*p].name),
            Expr::Rounded(of, div) => format!("round_to({} / {div}, {ROUNDED_TO})", of.text(params)?),
        })
    }
}

/// A parameter of a block.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Param {
    pub name: String,
    pub default: Option<Val>,
    /// Whether it is a number of channels.
    pub is_width: bool,
}

/// An instance of a block.
#[derive(Clone, Copy)]
pub(super) struct Instance<'m> {
    pub holes: &'m [Hole],
    /// The channels of its input and of its result, if known.
    pub channels: Option<[i64; 2]>,
}

/// Bodies with equal statements as a block: its parameters, the expression for each hole, and the arguments of each body.
pub(super) struct Unified {
    pub params: Vec<Param>,
    pub exprs: Vec<Expr>,
    pub args: Vec<Vec<Val>>,
}

impl Unified {
    /// The width of the block's result as written.
    pub fn result_width(&self, instances: &[Instance<'_>]) -> Option<String> {
        self.exprs.get(result_width(instances)?)?.text(&self.params)
    }
}

/// The maximum number of parameters of a block: with more, a call is no clearer than its statements.
const MAX_PARAMS: usize = 10;

/// The largest factor or divisor between two widths.
const MAX_FACTOR: i64 = 64;

/// The largest expansion of an inverted residual.
const MAX_EXPANSION: i64 = 16;

/// What MobileNets round widths to, and the fractions that they round.
const ROUNDED_TO: i64 = 8;
const ROUNDED_FRACTIONS: [i64; 3] = [2, 4, 8];

/// Finds parameters for bodies with equal statements.
pub(super) fn unify(instances: &[Instance<'_>]) -> Option<Unified> {
    let first = instances.first()?.holes;
    let mut out = Unified { params: Vec::new(), exprs: Vec::new(), args: vec![Vec::new(); instances.len()] };
    let result = result_width(instances);
    if let Some(result) = result.filter(|&result| is_independent(instances, result)) {
        let column = column(instances, result);
        out.add("filters".to_owned(), None, true, column.iter().map(|hole| hole.value));
    }
    let has_result = !out.params.is_empty();
    let follows = |column: &[&Hole]| result.and_then(|result| multiple(&self::column(instances, result), column)).is_some();
    for (at, hole) in first.iter().enumerate() {
        let column = column(instances, at);
        let expr = if column.iter().all(|hole| hole.default) {
            Expr::Omit
        } else if column.iter().all(|hole| hole.value == column[0].value) {
            Expr::Literal(column[0].value)
        } else if let Some(expr) = of_param(&column, instances, &out) {
            expr
        } else if let Some(expr) = of_input(&column, instances).filter(|_| !follows(&column)) {
            expr
        } else if let Some(expr) = rounded(&column, instances, &out.exprs) {
            expr
        } else if let Some(expansion) = expansion(&column, instances).filter(|_| !follows(&column)) {
            let name = name("expansion", &out.params);
            out.add(name, None, false, expansion.into_iter().map(Val::Int));
            Expr::Expanded(out.params.len() - 1)
        } else {
            let stem = if has_result && hole.key == "filters" && !names::is_word(&hole.arm) { "hidden" } else { stem(hole) };
            let default = column.iter().find(|hole| hole.default).map(|hole| hole.value);
            let name = name(stem, &out.params);
            out.add(name, default, hole.is_width, column.iter().map(|hole| hole.value));
            Expr::Param(out.params.len() - 1, 1, 1)
        };
        out.exprs.push(expr);
        if out.params.len() > MAX_PARAMS {
            return None;
        }
    }
    Some(out)
}

impl Unified {
    fn add(&mut self, name: String, default: Option<Val>, is_width: bool, values: impl Iterator<Item = Val>) {
        self.params.push(Param { name, default, is_width });
        self.args.iter_mut().zip(values).for_each(|(args, value)| args.push(value));
    }
}

/// A hole in every instance.
fn column<'m>(instances: &[Instance<'m>], at: usize) -> Vec<&'m Hole> {
    instances.iter().filter_map(|instance| instance.holes.get(at)).collect()
}

/// The last hole that is the width of the result in every instance.
fn result_width(instances: &[Instance<'_>]) -> Option<usize> {
    let fits = |instance: &Instance<'_>, at: usize| {
        let hole = &instance.holes[at];
        hole.is_width && instance.channels.is_some_and(|[_, result]| hole.value == Val::Int(result))
    };
    (0..instances.first()?.holes.len()).rev().find(|&at| instances.iter().all(|instance| fits(instance, at)))
}

/// Whether the width of the result varies, and is no multiple of an earlier width, as it is in a bottleneck.
fn is_independent(instances: &[Instance<'_>], result: usize) -> bool {
    let values = column(instances, result);
    let varies = values.iter().any(|hole| hole.value != values[0].value);
    varies && !(0..result).any(|at| multiple(&values, &column(instances, at)).is_some())
}

/// How many times this other width a hole is in every instance.
fn multiple(values: &[&Hole], base: &[&Hole]) -> Option<i64> {
    let base = base[0].is_width.then(|| widths(base)).flatten()?;
    ratio(&widths(values)?, &base).filter(|(_, div)| *div == 1).map(|(mul, _)| mul)
}

fn widths(column: &[&Hole]) -> Option<Vec<i64>> {
    column.iter().map(|hole| hole.value.as_int()).collect()
}

/// The factor and the divisor, one of them 1, that give all values from these bases.
fn ratio(values: &[i64], bases: &[i64]) -> Option<(i64, i64)> {
    let (&value, &base) = (values.first()?, bases.first()?);
    let (mul, div) = if base > 0 && value % base == 0 {
        (value / base, 1)
    } else if value > 0 && base > 0 && base % value == 0 {
        (1, base / value)
    } else {
        return None;
    };
    let fits = |(&v, &b): (&i64, &i64)| v.checked_mul(div) == b.checked_mul(mul) && b % div == 0;
    (values.iter().zip(bases).all(fits) && mul <= MAX_FACTOR && div <= MAX_FACTOR).then_some((mul, div))
}

/// The values of a hole computed from a parameter.
fn of_param(column: &[&Hole], instances: &[Instance<'_>], out: &Unified) -> Option<Expr> {
    let arguments = |p: usize| out.args.iter().map(move |args| args[p]);
    let equal = |p: &usize| column.iter().zip(arguments(*p)).all(|(hole, value)| hole.value == value);
    if let Some(p) = (0..out.params.len()).find(equal) {
        return Some(Expr::Param(p, 1, 1));
    }
    let values = column[0].is_width.then(|| widths(column)).flatten()?;
    let numbers = |p: usize| arguments(p).map(|value| value.as_int()).collect::<Option<Vec<i64>>>();
    let scaled = |p: usize| {
        let (mul, div) = ratio(&values, &numbers(p).filter(|_| out.params[p].is_width)?)?;
        Some(Expr::Param(p, mul, div))
    };
    let expanded = |p: usize| {
        let inputs = inputs(instances).filter(|_| out.params[p].name.starts_with("expansion"))?;
        let products = inputs.iter().zip(numbers(p)?).map(|(x, factor)| x.checked_mul(factor)).collect::<Option<Vec<i64>>>()?;
        (products == values).then_some(Expr::Expanded(p))
    };
    (0..out.params.len()).find_map(scaled).or_else(|| (0..out.params.len()).find_map(expanded))
}

/// The values of a hole computed from an earlier width, as that of a squeeze.
fn rounded(column: &[&Hole], instances: &[Instance<'_>], exprs: &[Expr]) -> Option<Expr> {
    let values = column[0].is_width.then(|| widths(column)).flatten()?;
    exprs.iter().enumerate().find_map(|(at, expr)| {
        let base = self::column(instances, at);
        let is_computed = base[0].is_width && matches!(expr, Expr::Param(..) | Expr::InChannels(..) | Expr::Expanded(_));
        let bases = is_computed.then(|| widths(&base)).flatten()?;
        let fits = |div: &i64| values.iter().zip(&bases).all(|(value, base)| *value == round_to(*base, *div));
        ROUNDED_FRACTIONS.into_iter().find(fits).map(|div| Expr::Rounded(Box::new(expr.clone()), div))
    })
}

/// `round_to(base / div, 8)`: the nearest multiple, at least one, and at least 90 % of the fraction.
fn round_to(base: i64, div: i64) -> i64 {
    let x = base as f64 / div as f64;
    let unit = ROUNDED_TO as f64;
    let nearest = (((x + unit / 2.0) / unit).floor() * unit).max(unit);
    (if nearest < 0.9 * x { nearest + unit } else { nearest }) as i64
}

fn inputs(instances: &[Instance<'_>]) -> Option<Vec<i64>> {
    instances.iter().map(|instance| instance.channels.map(|[from, _]| from)).collect()
}

/// The values of a hole computed from the channels of the input.
fn of_input(column: &[&Hole], instances: &[Instance<'_>]) -> Option<Expr> {
    let values = column[0].is_width.then(|| widths(column)).flatten()?;
    ratio(&values, &inputs(instances)?).map(|(mul, div)| Expr::InChannels(mul, div))
}

/// For each instance, how many times the channels of its input this hole is, if few factors give many widths.
fn expansion(column: &[&Hole], instances: &[Instance<'_>]) -> Option<Vec<i64>> {
    let values = column[0].is_width.then(|| widths(column)).flatten()?;
    let factor = |(value, base): (&i64, i64)| {
        let is_multiple = base > 0 && value % base == 0 && (1..=MAX_EXPANSION).contains(&(value / base));
        is_multiple.then(|| value / base)
    };
    let factors: Vec<i64> = values.iter().zip(inputs(instances)?).map(factor).collect::<Option<_>>()?;
    let count = |list: &[i64]| list.iter().collect::<std::collections::BTreeSet<_>>().len();
    (2 * count(&factors) <= count(&values)).then_some(factors)
}

/// What a new parameter is called after.
fn stem(hole: &Hole) -> &str {
    match hole.key.as_str() {
        // `pad` is an operator
        "pad" => "padding",
        // an arm's label can be a number
        "filters" if names::is_word(&hole.arm) => hole.arm.as_str(),
        key => key,
    }
}

/// A name for a new parameter.
fn name(stem: &str, params: &[Param]) -> String {
    let plain = if names::is_reserved(stem) { format!("{stem}_filters") } else { stem.to_string() };
    let free = |name: &str| !params.iter().any(|p| p.name == name);
    if free(&plain) {
        return plain;
    }
    let stem = if plain.ends_with(|c: char| c.is_ascii_digit()) { format!("{plain}_") } else { plain };
    (2..).map(|n| format!("{stem}{n}")).find(|name| free(name)).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The expressions of blocks with these input and output channels, by the keys and values of their holes.
    fn written(channels: &[[i64; 2]], holes: &[(&str, &[i64])]) -> (Vec<String>, Vec<Option<String>>) {
        let hole = |key: &str, value: i64| Hole {
            key: key.to_owned(),
            arm: if key == "squeeze" { key.to_owned() } else { String::new() },
            value: Val::Int(value),
            default: false,
            is_width: key != "stride",
        };
        let lists: Vec<Vec<Hole>> =
            (0..channels.len()).map(|at| holes.iter().map(|(key, values)| hole(key, values[at])).collect()).collect();
        let instances: Vec<Instance<'_>> =
            lists.iter().zip(channels).map(|(holes, channels)| Instance { holes, channels: Some(*channels) }).collect();
        let found = unify(&instances).unwrap();
        let names = found.params.iter().map(|param| param.name.clone()).collect();
        (names, found.exprs.iter().map(|expr| expr.text(&found.params)).collect())
    }

    fn some(texts: &[&str]) -> Vec<Option<String>> {
        texts.iter().map(|text| Some((*text).to_owned())).collect()
    }

    #[test]
    fn widths_follow_from_the_result_or_the_input() {
        let (params, bottleneck) = written(&[[64, 256], [256, 512]], &[("filters", &[64, 128]), ("filters", &[256, 512])]);
        assert_eq!((params, bottleneck), (vec!["filters".into()], some(&["filters", "filters * 4"])));
        let widths: [(&str, &[i64]); 3] = [("filters", &[96, 144]), ("squeeze", &[4, 6]), ("filters", &[24, 40])];
        let (params, inverted) = written(&[[16, 24], [24, 40]], &widths);
        assert_eq!((params, inverted), (vec!["filters".into()], some(&["in_channels * 6", "in_channels / 4", "filters"])));
    }

    #[test]
    fn a_width_of_its_own_is_hidden() {
        let (params, exprs) = written(&[[16, 24], [24, 40]], &[("filters", &[64, 70]), ("filters", &[24, 40])]);
        assert_eq!((params, exprs), (vec!["filters".into(), "hidden".into()], some(&["hidden", "filters"])));
    }

    #[test]
    fn expansions_and_rounded_squeezes_are_found() {
        let channels = [[16, 40], [40, 48], [40, 40], [48, 96]];
        let widths: [(&str, &[i64]); 3] =
            [("filters", &[48, 240, 120, 288]), ("squeeze", &[16, 64, 32, 72]), ("filters", &[40, 48, 40, 96])];
        let (params, exprs) = written(&channels, &widths);
        assert_eq!(params, ["filters", "expansion"]);
        assert_eq!(exprs, some(&["in_channels * expansion", "round_to(in_channels * expansion / 4, 8)", "filters"]));
    }
}
