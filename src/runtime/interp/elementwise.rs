//! Elementwise functions: their program at every element.

use super::array::Array;
use crate::ir::{Broadcast, Elementwise};

/// The function of the values `x` and the learned operands, in the order of their slots.
pub(super) fn evaluate(function: &Elementwise, x: &[&Array], learned: &[Vec<f64>]) -> Vec<f64> {
    let (_, channels, plane) = x[0].planes();
    let (mut values, mut parameters) = (x.iter(), learned.iter());
    let mut operands: Vec<(Broadcast, &[f64])> = Vec::with_capacity(function.operands.len());
    for operand in &function.operands {
        let data = match operand.broadcast.is_learned() {
            true => parameters.next().map(Vec::as_slice),
            false => values.next().map(|array| array.data.as_slice()),
        };
        operands.push((operand.broadcast, data.unwrap_or_default()));
    }
    let mut arguments = vec![0.0; operands.len()];
    let at = |index: usize, arguments: &mut [f64]| {
        let (map, pixel) = (index / plane, index % plane);
        for (argument, (broadcast, data)) in arguments.iter_mut().zip(&operands) {
            *argument = match broadcast {
                Broadcast::Full => data[index],
                Broadcast::Channel => data[map],
                Broadcast::Pixel => data[map / channels * plane + pixel],
                Broadcast::Scalar => data[map / channels],
                Broadcast::Parameter { .. } => data[map % channels],
                Broadcast::Shared { .. } => data[0],
            };
        }
    };
    (0..x[0].data.len())
        .map(|index| {
            at(index, &mut arguments);
            function.program.evaluate(&arguments)
        })
        .collect()
}

/// The sum of `g` over what an operand of this kind repeats.
pub(super) fn reduce(broadcast: Broadcast, g: &Array, shape: &[usize]) -> Vec<f64> {
    let (_, channels, plane) = g.planes();
    let mut sums = vec![0.0; shape.iter().product()];
    for (index, &value) in g.data.iter().enumerate() {
        let (map, pixel) = (index / plane, index % plane);
        let to = match broadcast {
            Broadcast::Full => index,
            Broadcast::Channel => map,
            Broadcast::Pixel => map / channels * plane + pixel,
            Broadcast::Scalar => map / channels,
            Broadcast::Parameter { .. } => map % channels,
            Broadcast::Shared { .. } => 0,
        };
        sums[to] += value;
    }
    sums
}
