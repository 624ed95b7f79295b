//! Elementwise nodes as programs: their operands are values of the network, and constants that are single numbers.

use super::Importer;
use super::call::Call;
use super::dispatch::ImportResult;
use super::flow::Flow;
use super::values::{Known, Term};
use crate::elementwise::{Builder, Register};
use crate::ir::{Broadcast, Dim, Elementwise, Op, Target, Upsample};

/// The maximum number of copies for broadcasting along the channels.
const MAX_COPIES: usize = 64;

impl Importer<'_> {
    /// An operand of an elementwise node.
    pub(super) fn term(&self, call: &Call<'_>, slot: usize) -> ImportResult<Term> {
        match self.known(call, slot) {
            Some(known @ (Known::Tensor(..) | Known::Sizes(..))) => {
                let number = known.single().filter(|_| known.rank() <= self.rank(call));
                number.map(Term::Number).ok_or_else(|| format!("its constant operand {slot} has more than one value"))
            }
            _ => self.flow(call, slot).map(Term::Flow),
        }
    }

    /// The largest number of axes of the values that a node reads.
    fn rank(&self, call: &Call<'_>) -> usize {
        let flows = (0..call.node.input.len()).filter_map(|slot| match self.known(call, slot) {
            Some(Known::Value(flow)) => Some(flow.rank()),
            _ => None,
        });
        flows.max().unwrap_or(usize::MAX)
    }

    /// All operands of an elementwise node.
    pub(super) fn terms(&self, call: &Call<'_>) -> ImportResult<Vec<Term>> {
        (0..call.node.input.len()).map(|slot| self.term(call, slot)).collect()
    }

    /// The result of a program on these operands, which `make` builds from their registers. A program of several values of the
    /// network is a function that is called `word`.
    pub(super) fn pointwise(
        &mut self,
        call: &Call<'_>,
        word: &str,
        terms: &[Term],
        make: impl FnOnce(&mut Builder, &[Register]) -> Register,
    ) -> ImportResult<Flow> {
        let mut flows: Vec<Flow> = Vec::new();
        for term in terms {
            if let Term::Flow(flow) = term
                && !flows.iter().any(|other| other.value == flow.value)
            {
                flows.push(flow.clone());
            }
        }
        let slots: Vec<Option<usize>> = terms.iter().map(|term| term.slot(&flows)).collect();
        let mut operands = self.aligned(call, flows)?;
        // the first operand has the result's shape
        let whole = operands.iter().position(|(_, kind)| *kind == Broadcast::Full).unwrap_or(0);
        operands.swap(0, whole);
        let place = |slot: usize| match slot {
            0 => whole,
            _ if slot == whole => 0,
            _ => slot,
        };
        let mut builder = Builder::new(operands.len());
        let registers: Vec<Register> = terms
            .iter()
            .zip(slots)
            .map(|(term, slot)| match (term, slot) {
                (Term::Number(value), _) => builder.constant(*value),
                (Term::Flow(_), slot) => builder.operand(place(slot.unwrap_or(0))),
            })
            .collect();
        let result = make(&mut builder, &registers);
        let program = builder.finish(result).map_err(|error| error.to_string())?;
        let (flows, kinds): (Vec<Flow>, Vec<Broadcast>) = operands.into_iter().unzip();
        let function = match kinds.len() {
            1 => Elementwise::unary(Elementwise::APPLY, program),
            _ => Elementwise::new(word, kinds, program),
        };
        self.add(call, function.into(), &flows.iter().collect::<Vec<_>>())
    }

    /// How these values are broadcast to the shape of one of them. If none has the common shape, they are repeated to it.
    pub(super) fn aligned(&mut self, call: &Call<'_>, flows: Vec<Flow>) -> ImportResult<Vec<(Flow, Broadcast)>> {
        let kinds = |whole: &Flow| flows.iter().map(|flow| kind(flow, whole)).collect::<Option<Vec<_>>>();
        if let Some(kinds) = flows.iter().find_map(kinds) {
            return Ok(flows.into_iter().zip(kinds).collect());
        }
        let mut flows = flows.into_iter();
        let mut whole = flows.next().ok_or("it has no operand that depends on the input")?;
        let rest: Vec<Flow> = flows.collect();
        let first = whole.clone();
        for flow in &rest {
            whole = self.broadcast(call, whole, flow.clone())?.0;
        }
        let mut all = Vec::new();
        for flow in [first].into_iter().chain(rest) {
            all.push((self.broadcast(call, flow, whole.clone())?.0, Broadcast::Full));
        }
        Ok(all)
    }

    /// Two values, where one number for each channel next to one for each place is repeated over the places.
    pub(super) fn spread(&mut self, call: &Call<'_>, a: Flow, b: Flow) -> ImportResult<(Flow, Flow)> {
        let is_one = |dims: &[Dim]| dims.iter().all(|dim| *dim == Dim::Fixed(1));
        let is_outer = |x: &[Dim], y: &[Dim]| {
            x.len() > 1 && x.len() == y.len() && is_one(&x[1..]) && is_one(&y[..1]) && !is_one(&x[..1]) && !is_one(&y[1..])
        };
        let like = || Op::Upsample(Upsample::nearest(Target::Like));
        if is_outer(a.dims(), b.dims()) {
            return Ok((self.add(call, like(), &[&a, &b])?, b));
        }
        if is_outer(b.dims(), a.dims()) {
            let b = self.add(call, like(), &[&b, &a])?;
            return Ok((a, b));
        }
        Ok((a, b))
    }

    /// Broadcasts two values to a common shape.
    pub(super) fn broadcast(&mut self, call: &Call<'_>, a: Flow, b: Flow) -> ImportResult<(Flow, Flow)> {
        if a.dims().len() != b.dims().len() || a.dims().iter().zip(b.dims()).all(|(m, n)| m.agrees(*n)) {
            return Ok((a, b));
        }
        let a = self.broadcast_to(call, a, &b)?;
        let b = self.broadcast_to(call, b, &a)?;
        Ok((a, b))
    }

    /// Broadcasts a value to the shape of another: axes of size 1 are repeated.
    fn broadcast_to(&mut self, call: &Call<'_>, x: Flow, like: &Flow) -> ImportResult<Flow> {
        let mut x = x;
        let grows = |axis: usize, x: &Flow| x.dims()[axis] == Dim::Fixed(1) && like.dims()[axis] != Dim::Fixed(1);
        if (1..x.dims().len()).any(|axis| grows(axis, &x)) {
            let fits = (1..x.dims().len()).all(|axis| grows(axis, &x) || x.dims()[axis].agrees(like.dims()[axis]));
            if !fits {
                return Err(format!("it combines values of shapes {} and {}", x.shape, like.shape));
            }
            x = self.add(call, Op::Upsample(Upsample::nearest(Target::Like)), &[&x, like])?;
        }
        if grows(0, &x) {
            let copies =
                like.shape.channels().filter(|&n| n <= MAX_COPIES).ok_or("it broadcasts a single channel to too many")?;
            x = self.add(call, Op::Concat, &vec![&x; copies])?;
        }
        Ok(x)
    }
}

/// Whether one of two values has a single channel, as a spatial gate does, for all channels of the other. A function reads it once
/// for them all, where a join of equal shapes would need as many copies.
pub(super) fn has_single_channel(a: &Flow, b: &Flow) -> bool {
    let is_single = |x: &Flow, whole: &Flow| matches!(kind(x, whole), Some(Broadcast::Pixel | Broadcast::Scalar));
    is_single(a, b) || is_single(b, a)
}

/// How a value is broadcast to the shape of another; `None` if it is not.
fn kind(flow: &Flow, whole: &Flow) -> Option<Broadcast> {
    let (own, whole) = (flow.dims(), whole.dims());
    if own.len() != whole.len() {
        return None;
    }
    let is_one = |dim: &Dim| *dim == Dim::Fixed(1);
    let agrees = |axes: std::ops::Range<usize>| axes.clone().all(|axis| own[axis].agrees(whole[axis]));
    let (channels, map) = (0..1, 1..own.len());
    if agrees(0..own.len()) {
        Some(Broadcast::Full)
    } else if !map.is_empty() && agrees(channels) && own[1..].iter().all(is_one) {
        Some(Broadcast::Channel)
    } else if own.iter().all(is_one) {
        Some(Broadcast::Scalar)
    } else if is_one(&own[0]) && agrees(map) {
        Some(Broadcast::Pixel)
    } else {
        None
    }
}
