//! Comparison with the definition in double precision, on random sizes and layouts.

use super::super::testing::{cases, from_plain, to_plain};
use super::*;
use crate::kernels::reference::{Numbers, activate_f64, activations, max_error};

const EPS: f64 = 1e-5;

/// Reference results of a batch norm in double precision, on NCHW values.
struct Reference {
    stats: Vec<f64>,
    y: Vec<f64>,
    sums: Vec<f64>,
    dx: Vec<f64>,
}

struct Case {
    sizes: [usize; 4],
    x: Vec<f32>,
    dy: Vec<f32>,
    residual: Vec<f32>,
    weight: Vec<f32>,
    bias: Vec<f32>,
}

impl Case {
    fn new(n: &mut Numbers, sizes @ [batch, c, h, w]: [usize; 4], mean: f32) -> Case {
        let len = batch * c * h * w;
        let x = n.take(len).iter().map(|v| v + mean).collect();
        Case { sizes, x, dy: n.take(len), residual: n.take(len), weight: n.take(c), bias: n.take(c) }
    }

    /// Uses the given statistics, so that the sign of the ReLU's input does not depend on their rounding.
    fn reference(&self, stats: Option<&[f32]>, relu: bool) -> Reference {
        let [batch, c, h, w] = self.sizes;
        let mut o = Reference {
            stats: vec![0.0; 2 * c],
            y: vec![0.0; self.x.len()],
            sums: vec![0.0; 2 * c],
            dx: vec![0.0; self.x.len()],
        };
        let count = (batch * h * w) as f64;
        for channel in 0..c {
            let places: Vec<usize> = (0..batch).flat_map(|n| (0..h * w).map(move |p| (n * c + channel) * h * w + p)).collect();
            let x = |i: usize| f64::from(self.x[i]);
            let (weight, bias) = (f64::from(self.weight[channel]), f64::from(self.bias[channel]));
            let mean = places.iter().map(|&i| x(i)).sum::<f64>() / count;
            let variance = places.iter().map(|&i| (x(i) - mean).powi(2)).sum::<f64>() / count;
            (o.stats[channel], o.stats[c + channel]) = (mean, variance);
            let (mean, variance) = stats.map_or((mean, variance), |s| (f64::from(s[channel]), f64::from(s[c + channel])));
            let xhat = |i: usize| (x(i) - mean) / (variance + EPS).sqrt();
            let y = |i: usize| weight * xhat(i) + bias;
            let dy = |i: usize| if relu && y(i) <= 0.0 { 0.0 } else { f64::from(self.dy[i]) };
            let sums = [places.iter().map(|&i| dy(i) * xhat(i)).sum::<f64>(), places.iter().map(|&i| dy(i)).sum::<f64>()];
            (o.sums[channel], o.sums[c + channel]) = (sums[0], sums[1]);
            for &i in &places {
                o.y[i] = y(i);
                o.dx[i] = weight / (variance + EPS).sqrt() * (dy(i) - sums[1] / count - xhat(i) * sums[0] / count);
            }
        }
        o
    }

    /// Moves values away from 0, so that the sign of the ReLU's input is unambiguous.
    fn decided(mut self) -> Case {
        let y = self.reference(None, false).y;
        let [_, c, h, w] = self.sizes;
        for channel in 0..c {
            let near = y.iter().enumerate().any(|(i, y)| i / (h * w) % c == channel && y.abs() < 1e-4);
            self.bias[channel] += if near { 3.0 } else { 0.0 };
        }
        self
    }
}

fn stats_of(pool: &ThreadPool, isa: Isa, layout: Layout, sizes: [usize; 4], x: &[f32]) -> Vec<f32> {
    let mut out = vec![f32::NAN; 2 * sizes[1]];
    let mut scratch_memory = vec![f32::NAN; scratch(layout, sizes)];
    stats(pool, isa, layout, sizes, &from_plain(layout, sizes, x), &mut scratch_memory, &mut out);
    out
}

#[test]
fn statistics_agree_with_their_definition_also_far_from_zero() {
    cases(11, 60, |n, pool, isa, layout, sizes| {
        let mean = [0.0, 10.0, 3e4][n.below(3)];
        let case = Case::new(n, sizes, mean);
        let expected = case.reference(None, false).stats;
        let found = stats_of(pool, isa, layout, sizes, &case.x);
        let (means, variances) = found.split_at(sizes[1]);
        for (channel, (&m, &v)) in means.iter().zip(variances).enumerate() {
            let (mean, variance) = (expected[channel], expected[sizes[1] + channel]);
            assert!((f64::from(m) - mean).abs() <= 1e-7 * mean.abs() + 1e-7, "{isa} {sizes:?} {m} {mean}");
            assert!((f64::from(v) - variance).abs() <= 2e-6 * variance + 1e-12, "{isa} {sizes:?} {v} {variance}");
        }
    });
}

#[test]
fn statistics_of_many_numbers_that_drift_are_exact_to_single_precision() {
    let sizes @ [batch, c, h, w] = [6, 17, 70, 60];
    let mut n = Numbers::new(12);
    // each sample has a different offset, and one pixel is an outlier
    let mut case = Case::new(&mut n, sizes, 0.0);
    let sample = c * h * w;
    case.x.iter_mut().enumerate().for_each(|(i, v)| *v += 100.0 * (i / sample) as f32);
    case.x.iter_mut().step_by(h * w).for_each(|v| *v += 3e3);
    let expected = case.reference(None, false).stats;
    assert!(batch > 1);
    for isa in Isa::ALL.into_iter().filter(|isa| isa.is_available()) {
        let layout = if isa.lanes() == 1 { Layout::Nchw } else { Layout::Blocked { lanes: isa.lanes() } };
        let one = stats_of(&ThreadPool::new(1).unwrap(), isa, layout, sizes, &case.x);
        for (&found, &expected) in one.iter().zip(&expected) {
            assert!((f64::from(found) - expected).abs() <= 3e-7 * expected.abs(), "{isa} {found} {expected}");
        }
        let three = stats_of(&ThreadPool::new(3).unwrap(), isa, layout, sizes, &case.x);
        assert_eq!(one, three);
    }
}

#[test]
fn normalized_values_agree_with_their_definition() {
    cases(13, 60, |n, pool, isa, layout, sizes| {
        let case = Case::new(n, sizes, 0.5);
        let stats = stats_of(pool, isa, layout, sizes, &case.x);
        let mut expected = case.reference(Some(&stats), false).y;
        let params = BatchNormParams { stats: &stats, weight: &case.weight, bias: &case.bias, eps: EPS };
        let [x, residual] = [&case.x, &case.residual].map(|v| from_plain(layout, sizes, v));
        let act = activations()[n.below(4)];
        let which = n.below(3);
        let mut out = if which == 1 { residual.clone() } else { vec![f32::NAN; x.len()] };
        let added = [Residual::None, Residual::InPlace, Residual::From(&residual)][which];
        forward(pool, isa, layout, sizes, &params, &x, added, act, &mut out);
        if which > 0 {
            expected.iter_mut().zip(&case.residual).for_each(|(y, &r)| *y += f64::from(r));
        }
        expected.iter_mut().for_each(|y| *y = activate_f64(act, *y));
        assert!(out.iter().all(|v| v.is_finite()), "{isa} {sizes:?}");
        assert!(max_error(&to_plain(layout, sizes, &out), &expected) < 5e-6, "{isa} {sizes:?} {which} {act:?}");
    });
}

#[test]
fn gradients_agree_with_their_definition() {
    cases(14, 80, |n, pool, isa, layout, sizes| {
        let relu = n.below(2) == 0;
        let case = Case::new(n, sizes, 0.5).decided();
        let stats = stats_of(pool, isa, layout, sizes, &case.x);
        let expected = case.reference(Some(&stats), relu);
        let params = BatchNormParams { stats: &stats, weight: &case.weight, bias: &case.bias, eps: EPS };
        let [x, dy] = [&case.x, &case.dy].map(|v| from_plain(layout, sizes, v));
        let (mut sums, mut scratch_memory) = (vec![f32::NAN; 2 * sizes[1]], vec![f32::NAN; scratch(layout, sizes)]);
        grad_params(pool, isa, layout, sizes, &params, relu, &x, &dy, &mut scratch_memory, &mut sums);
        assert!(max_error(&sums, &expected.sums) < 5e-6, "{isa} {sizes:?} {relu}");
        let mut dx = vec![f32::NAN; x.len()];
        grad_input(pool, isa, layout, sizes, &params, relu, &sums, Some(&x), Some(&dy), &mut dx);
        assert!(dx.iter().all(|v| v.is_finite()), "{isa} {sizes:?}");
        // a channel with few, nearly equal values amplifies the remainder of dy, and its rounding, hundreds of times
        let factor = |c: usize| f64::from(case.weight[c].abs()) / (f64::from(stats[sizes[1] + c]) + EPS).sqrt();
        let largest = (0..sizes[1]).map(factor).fold(1.0, f64::max);
        let off = max_error(&to_plain(layout, sizes, &dx), &expected.dx);
        assert!(off < 5e-6 * largest, "{isa} {sizes:?} {relu} {off} {largest}");
        let (mut over_x, mut over_dy) = (x.clone(), dy.clone());
        grad_input(pool, isa, layout, sizes, &params, relu, &sums, None, Some(&dy), &mut over_x);
        grad_input(pool, isa, layout, sizes, &params, relu, &sums, Some(&x), None, &mut over_dy);
        assert!(over_x == dx && over_dy == dx, "{isa} {sizes:?}");
    });
}

#[test]
fn the_mask_is_that_of_the_values_stored() {
    cases(15, 40, |n, pool, isa, layout, sizes| {
        let mut case = Case::new(n, sizes, 0.5);
        // borderline case: a channel's outputs are rounding errors around 0
        case.weight.iter_mut().for_each(|w| *w *= 1e-9);
        case.bias.fill(0.0);
        let stats = stats_of(pool, isa, layout, sizes, &case.x);
        let params = BatchNormParams { stats: &stats, weight: &case.weight, bias: &case.bias, eps: EPS };
        let x = from_plain(layout, sizes, &case.x);
        let mut y = vec![f32::NAN; x.len()];
        forward(pool, isa, layout, sizes, &params, &x, Residual::None, Some(Activation::Relu), &mut y);
        let masked: Vec<f32> = y.iter().map(|&y| f32::from(u8::from(y > 0.0))).collect();
        let (mut one, mut other, mut scratch_memory) =
            (vec![0.0; 2 * sizes[1]], vec![0.0; 2 * sizes[1]], vec![0.0; scratch(layout, sizes)]);
        grad_params(pool, isa, layout, sizes, &params, true, &x, &vec![1.0; x.len()], &mut scratch_memory, &mut one);
        grad_params(pool, isa, layout, sizes, &params, false, &x, &masked, &mut scratch_memory, &mut other);
        assert_eq!(one, other, "{isa} {sizes:?}");
    });
}
