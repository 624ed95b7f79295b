//! Operators that only reorder the values of a sample: its axes are split, permuted and merged again.

/// An operator that only reorders the values of a sample.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Rearrange {
    /// Interleaves this many groups of channels (Zhang et al. 2018, "ShuffleNet", section 3.1): PyTorch's `ChannelShuffle`.
    Shuffle(usize),
    /// The pixels of each square become channels of one pixel.
    SpaceToDepth(Squares),
    /// The inverse: channels become the pixels of a square.
    DepthToSpace(Squares),
    /// Axis `i` of the result (channels, rows, columns) is this axis of the operand.
    Transpose([usize; 3]),
    /// Channels, height and width of the result, whose values are in the operand's order. One that is `None` is what the others
    /// leave.
    Reshape([Option<usize>; 3]),
}

/// Squares of pixels, as channels.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Squares {
    /// Rows and columns of a square.
    pub side: usize,
    /// The order of the channels.
    pub order: SquareOrder,
}

/// The order of the channels that are the pixels of squares.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SquareOrder {
    /// All channels of the first pixel, then those of the next: ONNX's and TensorFlow's ("DCR").
    ByPixel,
    /// All pixels of the first channel, then those of the next: PyTorch's ("CRD").
    ByChannel,
}

/// What a rearrangement does with the values of an operand of known size.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Moves {
    /// The sizes of the operand's axes after they are split.
    pub sizes: Vec<usize>,
    /// The axes in the order of the result, where neighbors are merged.
    pub order: Vec<usize>,
    /// Channels, height and width of the result.
    pub result: [usize; 3],
}

impl Rearrange {
    /// The names of permutations of channels, height and width, as `transpose` writes them.
    pub const PERMUTATIONS: &[&str] = &["chw", "cwh", "hcw", "hwc", "wch", "whc"];

    /// The transposition of this name.
    pub fn transpose(name: &str) -> Option<Rearrange> {
        let axes: Vec<usize> = name.chars().map(|axis| "chw".find(axis)).collect::<Option<_>>()?;
        Some(Rearrange::Transpose(axes.try_into().ok()?))
    }

    /// What it does with an operand of channels, height and width that it fits.
    pub fn moves(&self, [c, h, w]: [usize; 3]) -> Moves {
        let (sizes, order, result) = match *self {
            Rearrange::Shuffle(groups) => {
                let groups = groups.max(1);
                (vec![groups, c / groups, h, w], vec![1, 0, 2, 3], [c, h, w])
            }
            Rearrange::SpaceToDepth(Squares { side, order }) => {
                let side = side.max(1);
                let order = match order {
                    SquareOrder::ByPixel => vec![2, 4, 0, 1, 3],
                    SquareOrder::ByChannel => vec![0, 2, 4, 1, 3],
                };
                (vec![c, h / side, side, w / side, side], order, [c * side * side, h / side, w / side])
            }
            Rearrange::DepthToSpace(Squares { side, order }) => {
                let side = side.max(1);
                let channels = c / (side * side);
                let (sizes, order) = match order {
                    SquareOrder::ByPixel => (vec![side, side, channels, h, w], vec![2, 3, 0, 4, 1]),
                    SquareOrder::ByChannel => (vec![channels, side, side, h, w], vec![0, 3, 1, 4, 2]),
                };
                (sizes, order, [channels, h * side, w * side])
            }
            Rearrange::Transpose(axes) => (vec![c, h, w], axes.to_vec(), axes.map(|axis| [c, h, w][axis])),
            Rearrange::Reshape(sizes) => (vec![c * h * w], vec![0], reshaped(sizes, c * h * w)),
        };
        Moves { sizes, order, result }
    }

    /// The rearrangement that undoes this one of an operand of these sizes.
    pub fn inverse(&self, [c, h, w]: [usize; 3]) -> Rearrange {
        match *self {
            Rearrange::Shuffle(groups) => Rearrange::Shuffle(c / groups.max(1)),
            Rearrange::SpaceToDepth(squares) => Rearrange::DepthToSpace(squares),
            Rearrange::DepthToSpace(squares) => Rearrange::SpaceToDepth(squares),
            Rearrange::Transpose(axes) => {
                Rearrange::Transpose([0, 1, 2].map(|axis| axes.iter().position(|&from| from == axis).unwrap_or(axis)))
            }
            Rearrange::Reshape(_) => Rearrange::Reshape([Some(c), Some(h), Some(w)]),
        }
    }
}

/// The sizes of a reshape of this many values.
pub fn reshaped(sizes: [Option<usize>; 3], values: usize) -> [usize; 3] {
    let stated = sizes.iter().flatten().fold(1, |product: usize, &size| product.saturating_mul(size)).max(1);
    sizes.map(|size| size.unwrap_or(values / stated))
}

/// `[64, 7, -1]`, where -1 is what the others leave.
pub fn shape_text(sizes: [Option<usize>; 3]) -> String {
    let [c, h, w] = sizes.map(|size| size.map_or("-1".to_owned(), |size| size.to_string()));
    format!("[{c}, {h}, {w}]")
}

impl Moves {
    /// The same with as few axes as possible: axes of size 1 are dropped, and those that stay together are one. No axis is left
    /// if every value stays where it is and there is only one.
    pub fn simplified(&self) -> (Vec<usize>, Vec<usize>) {
        let is_kept = |axis: &usize| self.sizes[*axis] != 1;
        let kept: Vec<usize> = (0..self.sizes.len()).filter(is_kept).collect();
        let next = |axis: usize| kept.iter().copied().find(|&other| other > axis);
        let mut runs: Vec<Vec<usize>> = Vec::new();
        for axis in self.order.iter().copied().filter(is_kept) {
            match runs.last_mut() {
                Some(run) if run.last().is_some_and(|&last| next(last) == Some(axis)) => run.push(axis),
                _ => runs.push(vec![axis]),
            }
        }
        let mut by_axis: Vec<usize> = (0..runs.len()).collect();
        by_axis.sort_by_key(|&run| runs[run][0]);
        let sizes = by_axis
            .iter()
            .map(|&run| runs[run].iter().fold(1usize, |product, &axis| product.saturating_mul(self.sizes[axis])))
            .collect();
        let order = (0..runs.len()).map(|run| by_axis.iter().position(|&other| other == run).unwrap_or(run)).collect();
        (sizes, order)
    }

    /// Whether every value stays where it is.
    pub fn keeps_order(&self) -> bool {
        self.simplified().1.len() <= 1
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const BY_CHANNEL: Squares = Squares { side: 2, order: SquareOrder::ByChannel };

    /// The positions of the operand's values in the order of the result.
    fn positions(moves: &Moves) -> Vec<usize> {
        let strides: Vec<usize> = (0..moves.sizes.len()).map(|axis| moves.sizes[axis + 1..].iter().product()).collect();
        let mut list = vec![0];
        for &axis in &moves.order {
            list = list
                .iter()
                .flat_map(|at| (0..moves.sizes[axis]).map(move |i| (at, i)))
                .map(|(at, i)| at + i * strides[axis])
                .collect();
        }
        list
    }

    fn all() -> Vec<(Rearrange, [usize; 3])> {
        let by_pixel = Squares { order: SquareOrder::ByPixel, ..BY_CHANNEL };
        let mut list = vec![
            (Rearrange::Shuffle(3), [12, 2, 5]),
            (Rearrange::SpaceToDepth(BY_CHANNEL), [3, 4, 6]),
            (Rearrange::SpaceToDepth(by_pixel), [3, 4, 6]),
            (Rearrange::DepthToSpace(BY_CHANNEL), [12, 2, 3]),
            (Rearrange::DepthToSpace(by_pixel), [12, 2, 3]),
            (Rearrange::Reshape([Some(2), None, Some(3)]), [4, 3, 5]),
        ];
        list.extend(Rearrange::PERMUTATIONS.iter().map(|name| (Rearrange::transpose(name).unwrap(), [2, 3, 4])));
        list
    }

    #[test]
    fn the_inverse_restores_the_order() {
        for (rearrange, sizes) in all() {
            let there = rearrange.moves(sizes);
            assert_eq!(there.result.iter().product::<usize>(), sizes.iter().product::<usize>());
            let back = rearrange.inverse(sizes).moves(there.result);
            assert_eq!(back.result, sizes, "{rearrange:?}");
            let (from, to) = (positions(&there), positions(&back));
            assert!(to.iter().map(|&at| from[at]).eq(0..from.len()), "{rearrange:?}");
        }
    }

    #[test]
    fn simplified_moves_are_the_same_moves() {
        for (rearrange, sizes) in all() {
            let moves = rearrange.moves(sizes);
            let (few, order) = moves.simplified();
            assert_eq!(positions(&Moves { sizes: few, order, ..moves.clone() }), positions(&moves), "{rearrange:?}");
        }
        let shuffled = Rearrange::Shuffle(2).moves([6, 5, 5]);
        assert_eq!(shuffled.simplified(), (vec![2, 3, 25], vec![1, 0, 2]));
        assert!(Rearrange::Shuffle(6).moves([6, 5, 5]).keeps_order() && !shuffled.keeps_order());
        assert!(Rearrange::Transpose([1, 0, 2]).moves([1, 5, 5]).keeps_order());
    }
}
