//! Stochastic gradient descent, matching PyTorch's `SGD`.

use super::{LayerKind, TrainedParam};
use crate::ir::{ParamRole, Sgd};
use crate::kernels::ThreadPool;
use crate::kernels::train::sgd::{self, sgd};
use crate::runtime::RunError;

/// The optimizer with its state: the momentum buffers, or velocities.
pub struct Optimizer {
    sgd: Sgd,
    pool: ThreadPool,
    velocities: Vec<Vec<f32>>,
}

impl Optimizer {
    /// Starts with zero velocities, so that the velocity of the first step is the gradient. Fails if threads cannot be started.
    pub fn new(sgd: Sgd, threads: usize, params: &[TrainedParam]) -> Result<Optimizer, RunError> {
        let has = |p: &TrainedParam| sgd.momentum > 0.0 && !p.gradient.is_empty();
        let velocities = params.iter().map(|p| if has(p) { vec![0.0; p.values.len()] } else { Vec::new() }).collect();
        Ok(Optimizer { sgd, pool: ThreadPool::new(threads.max(1))?, velocities })
    }

    /// The velocities, in the order of the parameters; empty for frozen parameters, and without momentum.
    pub fn velocities(&self) -> &[Vec<f32>] {
        &self.velocities
    }

    /// Mutable access to the velocities.
    pub fn velocities_mut(&mut self) -> &mut [Vec<f32>] {
        &mut self.velocities
    }

    /// Updates the parameters with their gradients.
    pub fn step(&mut self, params: &mut [TrainedParam], lr: f64) {
        let Sgd { momentum, nesterov, weight_decay, decay_norm, decay_bias, .. } = self.sgd;
        for (param, velocity) in params.iter_mut().zip(&mut self.velocities) {
            if param.gradient.len() != param.values.len() {
                continue;
            }
            let decays = match (param.layer, param.role) {
                (LayerKind::Norm, _) => decay_norm,
                (_, ParamRole::Bias) => decay_bias,
                _ => true,
            };
            let rule = sgd::Sgd {
                lr: lr as f32,
                momentum: momentum as f32,
                weight_decay: if decays { weight_decay as f32 } else { 0.0 },
                nesterov,
                scale: 1.0,
            };
            sgd(&self.pool, &rule, &param.gradient, &mut param.values, velocity);
        }
    }
}

/// Scales the gradients so that their total norm is at most `max_norm`, like PyTorch's `clip_grad_norm_`. Returns the norm before scaling.
pub fn clip_grad_norm(params: &mut [TrainedParam], max_norm: f64) -> f64 {
    let sum: f64 = params.iter().map(|p| p.gradient.iter().map(|&g| f64::from(g) * f64::from(g)).sum::<f64>()).sum();
    let norm = sum.sqrt();
    let factor = max_norm / (norm + 1e-6);
    if factor < 1.0 {
        params.iter_mut().flat_map(|p| &mut p.gradient).for_each(|g| *g = (f64::from(*g) * factor) as f32);
    }
    norm
}

#[cfg(test)]
mod tests {
    use super::*;

    fn param(role: ParamRole, layer: LayerKind, gradient: &[f32]) -> TrainedParam {
        let values = vec![1.0, -2.0, 0.5];
        TrainedParam { name: "p".into(), role, layer, shape: vec![3], values, gradient: gradient.to_vec() }
    }

    /// Two steps with gradients g and 2 g.
    fn two_steps(sgd: Sgd) -> Vec<f32> {
        let mut params = [param(ParamRole::Weight, LayerKind::Conv, &[0.1, 0.2, -0.3])];
        let mut optimizer = Optimizer::new(sgd, 2, &params).unwrap();
        optimizer.step(&mut params, sgd.lr);
        params[0].gradient.iter_mut().for_each(|g| *g *= 2.0);
        optimizer.step(&mut params, sgd.lr);
        params[0].values.clone()
    }

    fn near(got: &[f32], want: &[f64]) {
        assert!(got.iter().zip(want).all(|(&g, &w)| (f64::from(g) - w).abs() < 1e-6), "{got:?} {want:?}");
    }

    /// By hand: `g = g0 + d w`, `v = m v + g`, `w -= r v`.
    #[test]
    fn momentum_and_decay() {
        let sgd = Sgd { lr: 0.1, momentum: 0.9, weight_decay: 0.01, ..Sgd::default() };
        let want = [1.0f64, -2.0, 0.5].iter().zip([0.1, 0.2, -0.3]).map(|(&w, g)| {
            let v1 = g + 0.01 * w;
            let w1 = w - 0.1 * v1;
            let v2 = 0.9 * v1 + 2.0 * g + 0.01 * w1;
            w1 - 0.1 * v2
        });
        near(&two_steps(sgd), &want.collect::<Vec<f64>>());
    }

    #[test]
    fn nesterov_looks_ahead() {
        let sgd = Sgd { lr: 0.1, momentum: 0.9, weight_decay: 0.0, nesterov: true, ..Sgd::default() };
        let want = [1.0f64, -2.0, 0.5].iter().zip([0.1, 0.2, -0.3]).map(|(&w, g)| {
            let w1 = w - 0.1 * (g + 0.9 * g);
            let v2 = 0.9 * g + 2.0 * g;
            w1 - 0.1 * (2.0 * g + 0.9 * v2)
        });
        near(&two_steps(sgd), &want.collect::<Vec<f64>>());
    }

    #[test]
    fn excluded_parameters_do_not_decay_and_frozen_ones_do_not_change() {
        let sgd = Sgd { lr: 0.1, momentum: 0.0, weight_decay: 0.5, decay_norm: false, decay_bias: false, nesterov: false };
        let mut params = [
            param(ParamRole::Weight, LayerKind::Norm, &[0.0; 3]),
            param(ParamRole::Bias, LayerKind::Linear, &[0.0; 3]),
            param(ParamRole::Weight, LayerKind::Linear, &[0.0; 3]),
            param(ParamRole::Weight, LayerKind::Conv, &[]),
        ];
        Optimizer::new(sgd, 1, &params).unwrap().step(&mut params, 0.1);
        let unmoved = [1.0, -2.0, 0.5];
        assert_eq!(
            (&params[0].values[..], &params[1].values[..], &params[3].values[..]),
            (&unmoved[..], &unmoved[..], &unmoved[..])
        );
        near(&params[2].values, &[0.95, -1.9, 0.475]);
    }

    #[test]
    fn the_number_of_threads_does_not_change_results() {
        let run = |threads| {
            let n = (1 << 19) + 7;
            let values: Vec<f32> = (0..n).map(|i| (i as f32).sin()).collect();
            let gradient = (0..n).map(|i| (i as f32 * 0.7).cos()).collect();
            let shape = vec![n];
            let mut params =
                [TrainedParam { name: "p".into(), role: ParamRole::Weight, layer: LayerKind::Conv, shape, values, gradient }];
            let mut optimizer = Optimizer::new(Sgd::default(), threads, &params).unwrap();
            optimizer.step(&mut params, 0.1);
            optimizer.step(&mut params, 0.1);
            params[0].values.clone()
        };
        assert_eq!(run(1), run(3));
    }

    #[test]
    fn gradients_are_clipped_by_their_total_norm() {
        let mut params = [
            param(ParamRole::Weight, LayerKind::Conv, &[3.0, 0.0, 0.0]),
            param(ParamRole::Bias, LayerKind::Conv, &[0.0, 4.0, 0.0]),
        ];
        assert_eq!(clip_grad_norm(&mut params, 10.0), 5.0);
        assert_eq!(params[1].gradient[1], 4.0);
        clip_grad_norm(&mut params, 1.0);
        near(&params[0].gradient, &[0.6, 0.0, 0.0]);
        near(&params[1].gradient, &[0.0, 0.8, 0.0]);
    }
}
