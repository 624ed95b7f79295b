//! Free height and width: for which sizes a network type-checks, and what it is at one of them.

use std::fmt;

use super::operand_shapes;
use crate::ir::{Axis, Checked, Dim, NodeId, Op, Shape, ShapeError, infer};

/// How two dimensions agree over all sizes of the free axis.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Agreement {
    Always,
    Sometimes,
    Never,
}

/// The longest period that is searched.
const MAX_PERIOD: i64 = 1 << 16;

pub(super) fn agreement(a: Dim, b: Dim) -> Agreement {
    if a == b {
        return Agreement::Always;
    }
    let (axis, div) = match (a, b) {
        (Dim::Free { axis: x, div: d, .. }, Dim::Free { axis: y, div: e, .. }) if x == y => (x, lcm(d, e)),
        // a number and a free size, or two axes, agree at single sizes: too rare to be meant
        _ => return Agreement::Never,
    };
    if div > MAX_PERIOD {
        return Agreement::Never;
    }
    // far from zero every residue stands for its class, unless the divisors differ: then they part for good
    let (Dim::Free { div: d, .. }, Dim::Free { div: e, .. }) = (a, b) else { return Agreement::Never };
    if d != e {
        return Agreement::Never;
    }
    let equal = |v: i64| a.at(|x| if x == axis { v as usize } else { 0 }) == b.at(|x| if x == axis { v as usize } else { 0 });
    let hits = (div..2 * div).filter(|&v| equal(v)).count() as i64;
    match hits {
        0 => Agreement::Never,
        n if n == div => Agreement::Always,
        _ => Agreement::Sometimes,
    }
}

fn lcm(a: i64, b: i64) -> i64 {
    let (mut x, mut y) = (a, b);
    while y != 0 {
        (x, y) = (y, x % y);
    }
    (a / x.max(1)).saturating_mul(b)
}

/// What an axis may be.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AxisReport {
    /// Which axis.
    pub axis: Axis,
    /// The smallest size that fits.
    pub min: usize,
    /// Sizes fit whose remainder by `period` is one of `residues`; period 1 where all do.
    pub period: usize,
    /// See `period`.
    pub residues: Vec<usize>,
}

/// For which sizes a network type-checks. Displays as `any H, W >= 32`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct SizeReport {
    /// A report for each free axis; empty where the input is fixed.
    pub axes: Vec<AxisReport>,
}

/// Reports the sizes for which every window fits and every addition is of equal dimensions.
pub fn sizes(checked: &Checked) -> SizeReport {
    let graph = checked.graph();
    let mut report = SizeReport::default();
    for axis in [Axis::H, Axis::W] {
        let free = |dim: Dim| matches!(dim, Dim::Free { axis: a, .. } if a == axis);
        let mut bounds: Vec<Dim> = Vec::new();
        let mut equal: Vec<(Dim, Dim)> = Vec::new();
        for id in graph.ids() {
            let Some(dims) = checked.shape(id).dims() else { continue };
            bounds.extend(dims.iter().copied().filter(|&d| free(d)));
            if let Op::Add | Op::Mul | Op::Concat = graph.node(id).op {
                let inputs = operand_shapes(graph, &checked.shapes, id);
                let Some(first) = inputs.first().and_then(Shape::dims) else { continue };
                for other in inputs.iter().skip(1).filter_map(Shape::dims) {
                    equal
                        .extend(first.iter().zip(other).filter(|(a, b)| a != b && free(**a) && free(**b)).map(|(a, b)| (*a, *b)));
                }
            }
        }
        bounds.sort_by_key(|d| if let Dim::Free { add, div, .. } = d { (*div, *add) } else { (0, 0) });
        bounds.dedup();
        equal.dedup();
        if bounds.is_empty() {
            continue;
        }
        let period = equal.iter().fold(1, |p, (a, b)| {
            [a, b].iter().fold(p, |p, d| if let Dim::Free { div, .. } = d { lcm(p, *div) } else { p }).min(MAX_PERIOD)
        });
        // every bound `floor((v + add) / div) >= 1` holds from `v = div - add` on
        let least =
            bounds.iter().map(|d| if let Dim::Free { add, div, .. } = d { div - add } else { 1 }).max().unwrap_or(1).max(1);
        let fits = |v: i64| equal.iter().all(|(a, b)| a.at(|_| v as usize) == b.at(|_| v as usize));
        let residues: Vec<usize> = (least..least + period).filter(|&v| fits(v)).map(|v| (v % period) as usize).collect();
        let min = (least..least + period).find(|&v| fits(v)).unwrap_or(least);
        let mut residues = residues;
        residues.sort_unstable();
        let (period, residues) = reduce(period as usize, residues);
        report.axes.push(AxisReport { axis, min: min as usize, period, residues });
    }
    report
}

/// The same set of residues with the shortest period.
fn reduce(period: usize, residues: Vec<usize>) -> (usize, Vec<usize>) {
    for p in 1..=period {
        if period.is_multiple_of(p) {
            let mut short: Vec<usize> = residues.iter().map(|r| r % p).collect();
            short.sort_unstable();
            short.dedup();
            if short.len() * (period / p) == residues.len() {
                return (p, short);
            }
        }
    }
    (period, residues)
}

impl AxisReport {
    fn condition(&self) -> String {
        match (self.period, &self.residues[..]) {
            (1, _) => String::new(),
            (p, [0]) => format!("multiples of {p}"),
            (p, few) if few.len() <= 4 => {
                let list: Vec<String> = few.iter().map(ToString::to_string).collect();
                format!("with remainder {} by {p}", list.join(", "))
            }
            (p, many) => format!("with one of {} remainders by {p}", many.len()),
        }
    }
}

impl fmt::Display for SizeReport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.axes[..] {
            [] => f.write_str("the input's size is fixed"),
            [h, w] if (h.min, h.period, &h.residues) == (w.min, w.period, &w.residues) => match h.condition().as_str() {
                "" => write!(f, "any H, W >= {}", h.min),
                condition => write!(f, "H, W >= {}, {condition}", h.min),
            },
            axes => {
                for (i, axis) in axes.iter().enumerate() {
                    let condition = axis.condition();
                    let comma = if condition.is_empty() { "" } else { ", " };
                    write!(f, "{}{} >= {}{comma}{condition}", if i > 0 { "; " } else { "any " }, axis.axis, axis.min)?;
                }
                Ok(())
            }
        }
    }
}

/// Why a network does not fit a size.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("an input of {height} x {width} does not fit: at `{node}`, {error}")]
pub struct SizeError {
    /// Height tried.
    pub height: usize,
    /// Width tried.
    pub width: usize,
    /// The first node that fails.
    pub node: String,
    /// Why.
    pub error: ShapeError,
}

/// The network with free height and width fixed.
pub fn at_size(checked: &Checked, [height, width]: [usize; 2]) -> Result<Checked, SizeError> {
    let mut out = checked.clone();
    let size = |axis| if axis == Axis::H { height } else { width };
    let graph = &mut out.network.graph;
    let inputs: Vec<NodeId> = graph.inputs().to_vec();
    for id in inputs {
        if let Op::Input(Shape::Known(dims)) = &mut graph.node_mut(id).op {
            for dim in dims.iter_mut().filter(|d| d.fixed().is_none()) {
                *dim = Dim::Fixed(usize::try_from(dim.at(size)).unwrap_or(0));
            }
        }
    }
    for id in out.network.graph.order() {
        let node = out.network.graph.node(id);
        let inputs = operand_shapes(&out.network.graph, &out.shapes, id);
        let shape = match (&node.op, height, width) {
            (Op::Input(_), 0, _) | (Op::Input(_), _, 0) => Err(ShapeError::Zero { what: "height and width" }),
            _ => infer(&node.op, &inputs),
        };
        match shape {
            Ok(shape) => out.shapes[id.index()] = shape,
            Err(error) => return Err(SizeError { height, width, node: node.name.clone(), error }),
        }
    }
    Ok(out)
}
