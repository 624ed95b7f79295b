//! What interpolated values are made of, along one axis.

/// The longest axis. Its table of taps has an entry for every position, and is made before the memory for values is.
const LONGEST: usize = 1 << 24;

/// A value of the operand, and its weight.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Tap {
    pub(super) at: u32,
    pub(super) weight: f32,
}

/// A linear map along an axis: each position of the result is the sum of some positions of the operand, each with a weight.
#[derive(Clone, Debug, PartialEq)]
pub struct Axis {
    /// The size of the operand.
    from: usize,
    /// The index of the first tap of each position, and the number of all taps.
    starts: Vec<u32>,
    taps: Vec<Tap>,
}

impl Axis {
    /// Linear interpolation between two neighbors, as PyTorch's `bilinear` does along each axis: to the size `to`, with a step of `step` in
    /// the operand for each step in the result. `None` if an axis is empty or too long.
    pub fn linear(from: usize, to: usize, step: f64, align_corners: bool) -> Option<Axis> {
        Axis::new(from, to, |position| {
            // beyond the first pixel's center, its value
            let source = source(position, step, align_corners).max(0.0);
            let (first, t) = split(source, from);
            [(first, 1.0 - t), (first + 1, t), (first, 0.0), (first, 0.0)]
        })
    }

    /// Cubic convolution of four neighbors, as PyTorch's `bicubic` does along each axis; otherwise like [`Axis::linear`].
    pub fn cubic(from: usize, to: usize, step: f64, align_corners: bool) -> Option<Axis> {
        // Keys 1981, equation 4, with a = -0.75: the kernel up to a distance of 1, and from 1 to 2
        const A: f64 = -0.75;
        let near = |t: f64| ((A + 2.0) * t - (A + 3.0)) * t * t + 1.0;
        let far = |t: f64| ((A * t - 5.0 * A) * t + 8.0 * A) * t - 4.0 * A;
        Axis::new(from, to, |position| {
            let (first, t) = split(source(position, step, align_corners), from);
            [(first - 1, far(1.0 + t)), (first, near(t)), (first + 1, near(1.0 - t)), (first + 2, far(2.0 - t))]
        })
    }

    /// An axis where each position has these weights, of which some may be 0. Positions beyond an end mean the value there.
    fn new(from: usize, to: usize, of: impl Fn(usize) -> [(i64, f64); 4]) -> Option<Axis> {
        let sizes = 1..=LONGEST;
        if !sizes.contains(&from) || !sizes.contains(&to) {
            return None;
        }
        let mut axis = Axis { from, starts: Vec::with_capacity(to + 1), taps: Vec::with_capacity(2 * to) };
        for position in 0..to {
            axis.starts.push(axis.taps.len() as u32);
            let mut own: Vec<(u32, f64)> = Vec::with_capacity(4);
            for (at, weight) in of(position) {
                let at = at.clamp(0, from as i64 - 1) as u32;
                match own.iter_mut().find(|(seen, _)| *seen == at) {
                    Some((_, sum)) => *sum += weight,
                    None => own.push((at, weight)),
                }
            }
            let taps = own.into_iter().filter(|(_, weight)| *weight != 0.0);
            axis.taps.extend(taps.map(|(at, weight)| Tap { at, weight: weight as f32 }));
        }
        axis.starts.push(axis.taps.len() as u32);
        Some(axis)
    }

    /// The transposed map, which takes a gradient of the result to one of the operand.
    pub fn transposed(&self) -> Axis {
        let mut starts = vec![0; self.from + 1];
        for tap in &self.taps {
            starts[tap.at as usize + 1] += 1;
        }
        for at in 0..self.from {
            starts[at + 1] += starts[at];
        }
        let mut next = starts.clone();
        let mut taps = vec![Tap { at: 0, weight: 0.0 }; self.taps.len()];
        for position in 0..self.to() {
            for tap in self.taps(position) {
                let free = &mut next[tap.at as usize];
                taps[*free as usize] = Tap { at: position as u32, weight: tap.weight };
                *free += 1;
            }
        }
        Axis { from: self.to(), starts, taps }
    }

    /// The size of the operand.
    pub fn from(&self) -> usize {
        self.from
    }

    /// The size of the result.
    pub fn to(&self) -> usize {
        self.starts.len() - 1
    }

    /// What a position of the result is made of.
    pub fn taps(&self, position: usize) -> &[Tap] {
        &self.taps[self.starts[position] as usize..self.starts[position + 1] as usize]
    }
}

/// The place in the operand of a position in the result, in f64: PyTorch's `area_pixel_compute_source_index`.
fn source(position: usize, step: f64, align_corners: bool) -> f64 {
    if align_corners { position as f64 * step } else { (position as f64 + 0.5) * step - 0.5 }
}

/// The last position before a place, and how far beyond it the place is. After the last one, the place is at most one further.
fn split(source: f64, from: usize) -> (i64, f64) {
    let first = source.floor().min(from as f64 - 1.0);
    (first as i64, (source - first).clamp(0.0, 1.0))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// `matrix[position][source]`
    fn matrix(axis: &Axis) -> Vec<Vec<f32>> {
        let mut rows = vec![vec![0.0; axis.from()]; axis.to()];
        for (position, row) in rows.iter_mut().enumerate() {
            axis.taps(position).iter().for_each(|tap| row[tap.at as usize] += tap.weight);
        }
        rows
    }

    #[test]
    fn weights_are_pytorchs() {
        // F.interpolate of the rows of an identity matrix, by hand: to twice the size
        let twice = matrix(&Axis::linear(3, 6, 0.5, false).unwrap());
        assert_eq!(twice[0], [1.0, 0.0, 0.0]);
        assert_eq!(twice[1], [0.75, 0.25, 0.0]);
        assert_eq!(twice[2], [0.25, 0.75, 0.0]);
        assert_eq!(twice[5], [0.0, 0.0, 1.0]);
        let aligned = matrix(&Axis::linear(3, 5, 0.5, true).unwrap());
        assert_eq!(aligned[1], [0.5, 0.5, 0.0]);
        assert_eq!(aligned[4], [0.0, 0.0, 1.0]);
        // halfway between two values, Keys' kernel with a = -0.75 has the weights -3/32, 19/32, 19/32, -3/32
        let cubic = matrix(&Axis::cubic(4, 7, 0.5, true).unwrap());
        assert_eq!(cubic[3], [-0.09375, 0.59375, 0.59375, -0.09375]);
        assert_eq!(cubic[1], [0.5, 0.59375, -0.09375, 0.0]);
    }

    #[test]
    fn a_transposed_axis_has_the_transposed_matrix() {
        for (from, to) in [(1, 1), (1, 7), (5, 2), (4, 9), (9, 4)] {
            for align in [false, true] {
                let step = from as f64 / to as f64;
                for axis in [Axis::linear(from, to, step, align).unwrap(), Axis::cubic(from, to, step, align).unwrap()] {
                    let (own, other) = (matrix(&axis), matrix(&axis.transposed()));
                    assert_eq!((own.len(), other.len()), (to, from));
                    assert!((0..to).all(|i| (0..from).all(|k| own[i][k] == other[k][i])));
                    assert_eq!(matrix(&axis.transposed().transposed()), own);
                }
            }
        }
    }

    #[test]
    fn axes_that_are_empty_or_too_long_have_no_table() {
        assert_eq!(Axis::linear(0, 3, 1.0, false), None);
        assert_eq!(Axis::cubic(3, 0, 1.0, false), None);
        assert_eq!(Axis::linear(3, usize::MAX, 1e-9, false), None);
    }
}
