//! Values in another order, and softmax over groups.

use super::emit::{Emitter, int, ints, text};
use crate::ir::{Dim, NodeId, Rearrange, Shape, SquareOrder, Squares};

impl Emitter<'_> {
    /// Emits a rearrangement: by ONNX's operator, or as a reshape, a transposition and a reshape.
    pub(super) fn rearrange(&mut self, id: NodeId, name: &str, rearrange: &Rearrange, x: &str) -> String {
        match *rearrange {
            Rearrange::Shuffle(groups) => self.shuffle(id, name, groups, x),
            Rearrange::SpaceToDepth(Squares { side, order: SquareOrder::ByPixel }) => {
                self.push("SpaceToDepth", name, &[x], vec![int("blocksize", side)])
            }
            Rearrange::SpaceToDepth(_) => self.moved(id, name, rearrange, x),
            Rearrange::DepthToSpace(Squares { side, order }) => {
                let mode = match order {
                    SquareOrder::ByPixel => "DCR",
                    SquareOrder::ByChannel => "CRD",
                };
                self.push("DepthToSpace", name, &[x], vec![int("blocksize", side), text("mode", mode)])
            }
            Rearrange::Transpose(axes) => {
                // a 1-D value has no height, and its length is axis 1 after the channels
                let own = axes.iter().filter(|&&axis| self.rank(id) > 1 || axis != 1);
                let own = own.map(|&axis| if self.rank(id) > 1 { axis + 1 } else { axis / 2 + 1 });
                let order: Vec<i64> = [0].into_iter().chain(own).map(number).collect();
                self.push("Transpose", name, &[x], vec![ints("perm", &order)])
            }
            Rearrange::Reshape(_) => {
                let sizes = self.result(id).sizes().unwrap_or_default();
                self.reshaped(name, &sizes, x)
            }
        }
    }

    /// Exchanges the axis of the groups with the one of their channels.
    fn shuffle(&mut self, id: NodeId, name: &str, groups: usize, x: &str) -> String {
        let split = self.split(id, name, groups, x);
        let turned = self.push("Transpose", &format!("{name}.turned"), &[&split], vec![ints("perm", &[0, 2, 1, 3])]);
        self.merged(id, name, &turned, x)
    }

    /// Softmax over the axis of the groups.
    pub(super) fn grouped_softmax(&mut self, id: NodeId, name: &str, groups: usize, x: &str) -> String {
        let split = self.split(id, name, groups, x);
        let shares = self.push("Softmax", &format!("{name}.shares"), &[&split], vec![int("axis", 1)]);
        self.merged(id, name, &shares, x)
    }

    /// Groups of channels as an axis of their own. The map is one axis, so that its size may be free.
    fn split(&mut self, id: NodeId, name: &str, groups: usize, x: &str) -> String {
        let channels = self.result(id).channels().unwrap_or(0);
        let sizes = [0, number(groups), number(channels / groups.max(1)), -1];
        let sizes = self.numbers(&format!("{name}.groups"), &sizes);
        self.push("Reshape", &format!("{name}.split"), &[x, &sizes], Vec::new())
    }

    /// The inverse, where the result has the shape of `x`.
    fn merged(&mut self, id: NodeId, name: &str, split: &str, x: &str) -> String {
        match self.result(id).sizes() {
            Some(sizes) => self.reshaped(name, &sizes, split),
            None => {
                let shape = self.push("Shape", &format!("{name}.shape"), &[x], Vec::new());
                self.push("Reshape", name, &[split, &shape], Vec::new())
            }
        }
    }

    /// Any rearrangement of a value of known size.
    fn moved(&mut self, id: NodeId, name: &str, rearrange: &Rearrange, x: &str) -> String {
        let sizes = self.operand(id).and_then(Shape::dims).unwrap_or_default();
        let size = |axis: usize| sizes.get(axis).copied().and_then(Dim::fixed).unwrap_or(1);
        let moves = rearrange.moves([size(0), size(1), size(2)]);
        let split = self.reshaped(&format!("{name}.split"), &moves.sizes, x);
        let order: Vec<i64> = [0].into_iter().chain(moves.order.iter().map(|axis| axis + 1)).map(number).collect();
        let turned = self.push("Transpose", &format!("{name}.turned"), &[&split], vec![ints("perm", &order)]);
        self.reshaped(name, &moves.result, &turned)
    }

    /// Reshapes each sample to these sizes.
    fn reshaped(&mut self, name: &str, sizes: &[usize], x: &str) -> String {
        let sizes: Vec<i64> = [0].into_iter().chain(sizes.iter().copied()).map(number).collect();
        let shape = self.numbers(&format!("{name}.shape"), &sizes);
        self.push("Reshape", name, &[x, &shape], Vec::new())
    }
}

fn number(n: usize) -> i64 {
    i64::try_from(n).unwrap_or(i64::MAX)
}
