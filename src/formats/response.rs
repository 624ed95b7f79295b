//! Local response normalization (Krizhevsky et al. 2012, "ImageNet Classification with Deep Convolutional Neural Networks", section 3.3), by
//! operators of the language: `std.blocks` has it as `local_response_norm`.

use crate::elementwise::{Binary, Builder, Register, Unary};
use crate::ir::{Op, Pair, Pool, PoolKind, Rearrange};

/// `x / (k + alpha * m) ^ beta`, where `m` is the mean of the squares of some channels.
#[derive(Clone, Copy, Debug)]
pub(super) struct LocalResponse {
    /// The number of channels, or of rows and of columns, with the one in the middle.
    pub size: usize,
    pub alpha: f32,
    pub beta: f32,
    pub k: f32,
}

impl LocalResponse {
    /// Channels become rows, and rows channels.
    pub const TURN: Op = Op::Rearrange(Rearrange::Transpose([1, 0, 2]));

    /// The mean over neighboring channels of a value that is turned.
    pub fn of_channels(self) -> Op {
        self.mean([self.size, 1])
    }

    /// The mean over the square around each place.
    pub fn of_places(self) -> Op {
        self.mean([self.size; 2])
    }

    /// The mean of windows; outside the map, squares are 0.
    fn mean(self, kernel: Pair) -> Op {
        let pad = kernel.map(|size| [size.saturating_sub(1) / 2, size / 2]);
        Op::Pool(Pool { kind: PoolKind::Avg { count_pad: true }, kernel, stride: [1, 1], pad, ceil: false })
    }

    /// The factor of a value, of the mean of squares around it.
    pub fn factor(self, b: &mut Builder, mean: Register) -> Register {
        let [alpha, beta, k] = [self.alpha, -self.beta, self.k].map(|number| b.constant(number));
        let scaled = b.binary(Binary::Mul, alpha, mean);
        let sum = b.binary(Binary::Add, k, scaled);
        let log = b.unary(Unary::Log, sum);
        let power = b.binary(Binary::Mul, beta, log);
        b.unary(Unary::Exp, power)
    }
}
