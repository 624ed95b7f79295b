//! Free height and width: which input sizes a network accepts, and the network at one of them.
//!
//! A free dimension is `times * floor((v + add) / div) + plus` of the axis `v` ([`Dim`]). It must be at least 1, which bounds `v` from
//! below. Where two dimensions that grow alike are added, they must be equal, which is a condition on `v` modulo their divisors.

use std::collections::HashSet;
use std::fmt;

use crate::ir::{Axis, Checked, Dim, Graph, NodeId, Op, Runnable, Shape, ShapeError, Types};

/// Residues for longer periods are not listed; the report then shows the conditions themselves.
const MAX_PERIOD: i64 = 1 << 16;

/// The largest height and width that [`at_size`] tries.
const MAX_SIZE: usize = 1 << 40;

/// Two dimensions that must be equal, and the node that requires it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Condition {
    /// One.
    pub left: Dim,
    /// The other.
    pub right: Dim,
    /// Where they are joined.
    pub node: NodeId,
}

/// The sizes of an axis that fit, starting from the smallest.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Fits {
    /// All of them.
    All,
    /// Those that are one of `residues` modulo `period`; ascending.
    Remainders {
        /// The shortest period.
        period: usize,
        /// Neither empty nor complete.
        residues: Vec<usize>,
    },
    /// Those that satisfy every condition; the common period is too long to search.
    Where(Vec<Condition>),
    /// None: the conditions contradict each other.
    Never(Vec<Condition>),
}

/// The valid sizes of an axis.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AxisReport {
    /// Which axis.
    pub axis: Axis,
    /// The smallest size that fits, or a lower bound if the conditions could not be searched.
    pub min: usize,
    /// The sizes that fit from there on.
    pub fits: Fits,
}

/// The input sizes that a network accepts. Displays as `any H, W >= 32`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct SizeReport {
    /// A report for each free axis; empty if the input size is fixed.
    pub axes: Vec<AxisReport>,
}

/// Reports the sizes for which every window fits and every addition has equal dimensions.
pub fn sizes(checked: &Checked) -> SizeReport {
    report(checked.graph(), &checked.types)
}

pub(super) fn report(graph: &Graph, types: &Types) -> SizeReport {
    let axes = [Axis::H, Axis::W].into_iter().filter_map(|axis| axis_report(graph, types, axis)).collect();
    SizeReport { axes }
}

fn axis_report(graph: &Graph, types: &Types, axis: Axis) -> Option<AxisReport> {
    let mut least: Option<i64> = None;
    let mut conditions: Vec<Condition> = Vec::new();
    let mut seen = HashSet::new();
    for node in graph.ids() {
        for dim in at_least_one(graph, types, node) {
            if let Some((of, size)) = dim.least_axis()
                && of == axis
            {
                least = least.max(Some(size));
            }
        }
        for (left, right) in joined(graph, types, node) {
            if matches!(left, Dim::Free { axis: of, .. } if of == axis) && left != right && seen.insert((left, right)) {
                conditions.push(Condition { left, right, node });
            }
        }
    }
    let least = least?;
    let (min, fits) = solve(least, conditions);
    Some(AxisReport { axis, min: usize::try_from(min).unwrap_or(usize::MAX), fits })
}

/// The dimensions that a node needs to be at least 1: those of its result, and what else it asks of its operand.
fn at_least_one(graph: &Graph, types: &Types, node: NodeId) -> Vec<Dim> {
    let Some(result) = types.shape(node).dims() else { return Vec::new() };
    let mut list = result.to_vec();
    let min = graph.node(node).op.min_map_size();
    let operands = types.operand_shapes(graph, node);
    // the map of a 1-D value has only the last axis
    let map = operands.first().and_then(Shape::map).unwrap_or_default().iter().rev().zip(min.iter().rev());
    list.extend(map.filter(|(_, min)| **min > 1).filter_map(|(dim, &min)| dim.affine(1 - min as i64, 1, 0)));
    list
}

/// The pairs of dimensions that must be equal at a node.
fn joined(graph: &Graph, types: &Types, node: NodeId) -> Vec<(Dim, Dim)> {
    let op = &graph.node(node).op;
    let residual = op.has_residual();
    if !residual && !op.is_join() {
        return Vec::new();
    }
    let operands = graph.operands(node);
    let result = if residual { Some(node) } else { operands.first().map(|v| v.node) };
    let Some(first) = result.and_then(|id| types.shape(id).dims()) else { return Vec::new() };
    let others = operands.iter().skip(1).filter_map(|v| types.shape(*v).dims());
    // a per-channel factor fits any feature map size
    others.flat_map(|other| first.iter().copied().zip(other.iter().copied())).filter(|(_, b)| b.fixed().is_none()).collect()
}

/// The smallest size that fits, at least `least`, and the sizes that fit from there on.
fn solve(least: i64, conditions: Vec<Condition>) -> (i64, Fits) {
    let div = |dim: Dim| if let Dim::Free { div, .. } = dim { div } else { 1 };
    let period = conditions.iter().fold(1, |period, c| lcm(lcm(period, div(c.left)), div(c.right)));
    if period > MAX_PERIOD {
        return (least, Fits::Where(conditions));
    }
    let meets = |v: i64| conditions.iter().all(|c| c.left.at(|_| v as usize) == c.right.at(|_| v as usize));
    let fit: Vec<i64> = (least..least.saturating_add(period)).filter(|&v| meets(v)).collect();
    let Some(&min) = fit.first() else { return (least, Fits::Never(conditions)) };
    let mut residues: Vec<usize> = fit.iter().map(|v| (v % period) as usize).collect();
    residues.sort_unstable();
    let (period, residues) = shortest(period as usize, residues);
    (min, if period == 1 { Fits::All } else { Fits::Remainders { period, residues } })
}

fn lcm(a: i64, b: i64) -> i64 {
    let (mut x, mut y) = (a, b);
    while y != 0 {
        (x, y) = (y, x % y);
    }
    (a / x.max(1)).saturating_mul(b)
}

/// The same set of residues with the shortest period.
fn shortest(period: usize, residues: Vec<usize>) -> (usize, Vec<usize>) {
    for p in (1..period).filter(|p| period.is_multiple_of(*p)) {
        let mut short: Vec<usize> = residues.iter().map(|r| r % p).collect();
        short.sort_unstable();
        short.dedup();
        if short.len() * (period / p) == residues.len() {
            return (p, short);
        }
    }
    (period, residues)
}

impl AxisReport {
    /// Whether the network fits this size of the axis.
    pub fn fits(&self, size: usize) -> bool {
        size >= self.min
            && match &self.fits {
                Fits::All => true,
                Fits::Remainders { period, residues } => residues.binary_search(&(size % period)).is_ok(),
                Fits::Where(list) => list.iter().all(|c| c.left.at(|_| size) == c.right.at(|_| size)),
                Fits::Never(_) => false,
            }
    }

    fn condition(&self) -> String {
        match &self.fits {
            Fits::All => String::new(),
            Fits::Remainders { period, residues } => match &residues[..] {
                [0] => format!(", multiples of {period}"),
                few if few.len() <= 4 => {
                    let list: Vec<String> = few.iter().map(ToString::to_string).collect();
                    format!(", with remainder {} by {period}", list.join(" or "))
                }
                many => format!(", with one of {} remainders by {period}", many.len()),
            },
            Fits::Where(list) => {
                let equations: Vec<String> = list.iter().take(3).map(|c| format!("{} = {}", c.left, c.right)).collect();
                let more = if list.len() > 3 { format!(" and {} more conditions hold", list.len() - 3) } else { String::new() };
                format!(", where {}{more}", equations.join(", "))
            }
            Fits::Never(_) => ", but none fits".to_string(),
        }
    }
}

impl fmt::Display for SizeReport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let any = |axis: &AxisReport| if axis.fits == Fits::All { "any " } else { "" };
        match &self.axes[..] {
            [] => f.write_str("the input size is fixed"),
            [h, w] if h.min == w.min && h.condition() == w.condition() && !matches!(h.fits, Fits::Where(_)) => {
                write!(f, "{}H, W >= {}{}", any(h), h.min, h.condition())
            }
            axes => {
                for (i, axis) in axes.iter().enumerate() {
                    let and = if i > 0 { "; " } else { "" };
                    write!(f, "{and}{}{} >= {}{}", any(axis), axis.axis, axis.min, axis.condition())?;
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
    /// The height tried.
    pub height: usize,
    /// The width tried.
    pub width: usize,
    /// The first node that fails.
    pub node: String,
    /// Why.
    pub error: ShapeError,
}

/// Fixes a network's free height and width to numbers of pixels. Sizes that are already fixed stay unchanged.
pub fn at_size<N: Runnable>(network: &N, [height, width]: [usize; 2]) -> Result<N, SizeError> {
    let mut fixed = network.clone();
    let out = fixed.network_mut();
    let size = |axis| if axis == Axis::H { height } else { width };
    let fail = |node: &str, error| SizeError { height, width, node: node.to_string(), error };
    let inputs: Vec<NodeId> = out.graph().inputs().to_vec();
    for id in inputs {
        let node = out.graph_mut().node_mut(id);
        if let Op::Input(Shape::Known(dims)) = &mut node.op {
            for dim in dims.iter_mut() {
                let Dim::Free { axis, .. } = *dim else { continue };
                match size(axis) {
                    0 => return Err(fail(&node.name, ShapeError::Zero { what: "height and width" })),
                    n if n > MAX_SIZE => return Err(fail(&node.name, ShapeError::TooLarge)),
                    n => *dim = Dim::Fixed(n),
                }
            }
        }
    }
    for id in out.graph().order() {
        out.infer(id).map_err(|error| fail(&out.graph().node(id).name, error))?;
    }
    Ok(fixed)
}

/// Why a network runs only at its declared input size.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the network runs only at its declared input size: at `{node}`, {error}")]
pub struct FixedSizeError {
    /// The first node that fails at other sizes.
    pub node: String,
    /// Why.
    pub error: ShapeError,
}

/// The network with a free height and width of its input, as if declared `input C x H x W`. Its parameters stay unchanged.
/// Call this before any passes, which may rely on the sizes.
pub fn any_size(checked: &Checked) -> Result<Checked, FixedSizeError> {
    let mut out = checked.clone();
    for id in out.graph().inputs().to_vec() {
        if let Op::Input(Shape::Known(dims)) = &mut out.graph_mut().node_mut(id).op
            && let [_, height, width] = &mut dims[..]
        {
            (*height, *width) = (Dim::axis(Axis::H), Dim::axis(Axis::W));
        }
    }
    for id in out.graph().order() {
        out.infer(id).map_err(|error| FixedSizeError { node: out.graph().node(id).name.clone(), error })?;
    }
    Ok(out)
}
