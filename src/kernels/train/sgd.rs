//! Stochastic gradient descent with momentum, in one pass over a parameter.

use crate::kernels::ThreadPool;
use crate::kernels::threads::{Disjoint, share};

/// The settings of a step, with the semantics of PyTorch's `SGD`.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Sgd {
    /// The learning rate.
    pub lr: f32,
    /// Momentum; with 0 no momentum buffer is used.
    pub momentum: f32,
    /// Weight weight_decay.
    pub weight_decay: f32,
    /// Whether to use Nesterov momentum.
    pub nesterov: bool,
    /// A factor for the gradient, for gradient clipping; 1 for none.
    pub scale: f32,
}

/// Minimum number of floats per task.
const PIECE: usize = 16 << 10;

/// Updates a parameter: `d = scale * gradient + weight_decay * parameter`; `momentum_buffer = momentum * momentum_buffer + d`; then subtracts
/// `lr * momentum_buffer` from the parameter, or with Nesterov momentum `lr * (d + momentum * momentum_buffer)`. `momentum_buffer` is the
/// momentum buffer and starts at zero; with momentum 0 it is ignored and may be empty.
///
/// # Panics
/// If the slices have different lengths.
pub fn sgd(pool: &ThreadPool, rule: &Sgd, gradient: &[f32], parameter: &mut [f32], momentum_buffer: &mut [f32]) {
    let len = parameter.len();
    assert_eq!(gradient.len(), len);
    let keeps = rule.momentum != 0.0;
    assert!(!keeps || momentum_buffer.len() == len);
    let Sgd { lr, momentum, weight_decay, nesterov, scale } = *rule;
    let (parameter, momentum_buffer) = (Disjoint::new(parameter), Disjoint::new(momentum_buffer));
    let tasks = len.div_ceil(PIECE);
    pool.for_each(tasks, |task, _| {
        let range = share(len, tasks, task);
        let gradient = &gradient[range.clone()];
        // SAFETY: shares do not overlap
        let w = unsafe { parameter.slice(range.start, range.len()) };
        if !keeps {
            return w.iter_mut().zip(gradient).for_each(|(w, &g)| *w -= lr * (scale * g + weight_decay * *w));
        }
        // SAFETY: as above
        let kept = unsafe { momentum_buffer.slice(range.start, range.len()) };
        let all = w.iter_mut().zip(kept).zip(gradient);
        if nesterov {
            all.for_each(|((w, kept), &g)| {
                let d = scale * g + weight_decay * *w;
                *kept = momentum * *kept + d;
                *w -= lr * (d + momentum * *kept);
            });
        } else {
            all.for_each(|((w, kept), &g)| {
                *kept = momentum * *kept + (scale * g + weight_decay * *w);
                *w -= lr * *kept;
            });
        }
    });
}

#[cfg(test)]
#[allow(clippy::excessive_precision, reason = "as PyTorch prints them")]
mod tests {
    use super::*;
    use crate::kernels::reference::Numbers;

    const TORCH: [(f32, bool, [f32; 2]); 3] = [
        (0.0, false, [0.847152948, -2.29370618]),
        (0.9, false, [0.714134753, -2.54930973]),
        (0.9, true, [0.590209961, -2.78743958]),
    ];

    #[test]
    fn steps_as_pytorch_does() {
        // torch.optim.SGD([w], lr=0.1, momentum=M, weight_decay=0.01, nesterov=N), w = [1, -2], gradient [0.5, 1] three times
        let pool = ThreadPool::new(2).unwrap();
        for (momentum, nesterov, expected) in TORCH {
            let rule = Sgd { lr: 0.1, momentum, weight_decay: 0.01, nesterov, scale: 1.0 };
            let (mut w, mut kept) = ([1.0, -2.0], [0.0; 2]);
            for _ in 0..3 {
                sgd(&pool, &rule, &[0.5, 1.0], &mut w, &mut kept);
            }
            assert!(w.iter().zip(expected).all(|(a, b)| (a - b).abs() < 3e-7), "{rule:?} {w:?}");
        }
    }

    #[test]
    fn agrees_with_double_precision_on_any_length_and_threads() {
        let mut n = Numbers::new(71);
        for round in 0..24 {
            let pool = ThreadPool::new(1 + round % 3).unwrap();
            let len = if round % 2 == 0 { n.below(40) } else { n.below(5 * PIECE) };
            let momentum = [0.0, 0.9][n.below(2)];
            let rule = Sgd { lr: 0.1, momentum, weight_decay: 1e-2, nesterov: momentum != 0.0 && n.below(2) == 0, scale: 0.5 };
            let (gradient, mut w) = (n.take(len), n.take(len));
            let mut kept = if momentum == 0.0 { vec![] } else { n.take(len) };
            let expected: Vec<f64> = (0..len)
                .map(|i| {
                    let [lr, momentum, weight_decay, scale] =
                        [rule.lr, rule.momentum, rule.weight_decay, rule.scale].map(f64::from);
                    let d = scale * f64::from(gradient[i]) + weight_decay * f64::from(w[i]);
                    let kept = momentum * kept.get(i).map_or(0.0, |&v| f64::from(v)) + d;
                    f64::from(w[i]) - lr * if rule.nesterov { d + momentum * kept } else { kept }
                })
                .collect();
            sgd(&pool, &rule, &gradient, &mut w, &mut kept);
            assert!(w.iter().zip(&expected).all(|(&a, &b)| (f64::from(a) - b).abs() < 3e-7), "{rule:?}");
        }
    }
}
