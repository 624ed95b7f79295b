//! Comparison with the definition in double precision, on random sizes, in either layout.

use super::fold::{Fold, fold_channels, max_grad};
use super::l2::l2_norm;
use super::strips::Over;
use super::*;
use crate::kernels::reference::{Numbers, activate_f64, activations, blocked, max_error, plain};
use crate::kernels::{Isa, Layout, ThreadPool};

const EPS: f64 = 1e-5;

/// The values that are normalized together.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Set {
    Strip(Over),
    Groups(usize),
}

struct Case {
    set: Set,
    sizes: [usize; 4],
    x: Vec<f32>,
    dy: Vec<f32>,
    weight: Option<Vec<f32>>,
    bias: Option<Vec<f32>>,
}

/// What the kernels compute, in double precision.
struct Reference {
    y: Vec<f64>,
    dx: Vec<f64>,
    sums: Vec<f64>,
    /// The reciprocal of the smallest deviation.
    inverse: f64,
}

impl Case {
    fn new(n: &mut Numbers, layout: Layout) -> Case {
        let (groups, side) = (1 + n.below(5), [1, 5, 19][n.below(3)]);
        let channels = groups * (1 + n.below(13));
        let sizes @ [_, c, h, w] = [1 + n.below(4), channels, 1 + n.below(side), 1 + n.below(side)];
        let set = match n.below(4) {
            0 if layout == Layout::Nchw => Set::Strip(Over::All),
            0 | 1 => Set::Strip(Over::Channels),
            2 => Set::Groups(groups),
            _ => Set::Groups(channels),
        };
        let len = sizes.iter().product();
        // far from zero, the digits of the variance are few
        let mean = [0.0, 10.0, 1e3][n.below(3)];
        let learned = if set == Set::Strip(Over::All) { c * h * w } else { c };
        let affine = n.below(3) > 0;
        let x = n.take(len).iter().map(|v| v + mean).collect();
        let (weight, bias) = (n.take(learned), n.take(learned));
        Case { set, sizes, x, dy: n.take(len), weight: affine.then_some(weight), bias: affine.then_some(bias) }
    }

    /// What a value is normalized with, and the index of its weight.
    fn keys(&self, i: usize) -> (usize, usize) {
        let [_, c, h, w] = self.sizes;
        let (sample, channel, place) = (i / (c * h * w), i / (h * w) % c, i % (h * w));
        match self.set {
            Set::Strip(Over::All) => (sample, i % (c * h * w)),
            Set::Strip(Over::Channels) => (sample * h * w + place, channel),
            Set::Groups(groups) => (sample * groups + channel / (c / groups), channel),
        }
    }

    fn reference(&self) -> Reference {
        let len = self.x.len();
        let mut members = vec![Vec::new(); len];
        (0..len).for_each(|i| members[self.keys(i).0].push(i));
        let learned = |list: &Option<Vec<f32>>, i: usize, otherwise| {
            list.as_ref().map_or(otherwise, |list| f64::from(list[self.keys(i).1]))
        };
        let params = (0..len).map(|i| self.keys(i).1).max().map_or(0, |last| last + 1);
        let mut found = Reference { y: vec![0.0; len], dx: vec![0.0; len], sums: vec![0.0; 2 * params], inverse: 0.0 };
        for set in &members {
            let mean = |of: &dyn Fn(usize) -> f64| set.iter().map(|&i| of(i)).sum::<f64>() / set.len() as f64;
            let center = mean(&|i| f64::from(self.x[i]));
            let inverse = 1.0 / (mean(&|i| (f64::from(self.x[i]) - center).powi(2)) + EPS).sqrt();
            found.inverse = if set.is_empty() { found.inverse } else { found.inverse.max(inverse) };
            let hat = |i: usize| (f64::from(self.x[i]) - center) * inverse;
            let g = |i: usize| learned(&self.weight, i, 1.0) * f64::from(self.dy[i]);
            let (sum, product) = (mean(&g), mean(&|i| g(i) * hat(i)));
            for &i in set {
                found.y[i] = hat(i) * learned(&self.weight, i, 1.0) + learned(&self.bias, i, 0.0);
                found.dx[i] = inverse * (g(i) - sum - hat(i) * product);
                found.sums[self.keys(i).1] += f64::from(self.dy[i]) * hat(i);
                found.sums[params + self.keys(i).1] += f64::from(self.dy[i]);
            }
        }
        found
    }

    /// A channel's values, filled up to whole blocks where the kernels expect it.
    fn filled(&self, layout: Layout, list: &Option<Vec<f32>>) -> Option<Vec<f32>> {
        let mut list = list.clone()?;
        if let (Layout::Blocked { lanes }, Set::Strip(_)) = (layout, self.set) {
            list.resize(list.len().next_multiple_of(lanes), 0.0);
        }
        Some(list)
    }
}

fn to_layout(layout: Layout, sizes: [usize; 4], x: &[f32]) -> Vec<f32> {
    match layout {
        Layout::Nchw => x.to_vec(),
        Layout::Blocked { lanes } => blocked(x, sizes, lanes),
    }
}

fn from_layout(layout: Layout, sizes: [usize; 4], x: &[f32]) -> Vec<f32> {
    match layout {
        Layout::Nchw => x.to_vec(),
        Layout::Blocked { lanes } => plain(x, sizes, lanes),
    }
}

/// Calls `check` for random cases in each layout that a processor's instruction sets have.
fn cases(seed: u64, check: impl Fn(&mut Numbers, &ThreadPool, Isa, Layout, &Case)) {
    let pools: Vec<ThreadPool> = (1..=3).map(|threads| ThreadPool::new(threads).unwrap()).collect();
    for isa in Isa::ALL.into_iter().filter(|isa| isa.is_available()) {
        let in_blocks = (isa.lanes() > 1).then_some(Layout::Blocked { lanes: isa.lanes() });
        for layout in [Layout::Nchw].into_iter().chain(in_blocks) {
            let mut n = Numbers::new(seed);
            for round in 0..120 {
                let case = Case::new(&mut n, layout);
                check(&mut n, &pools[round % pools.len()], isa, layout, &case);
            }
        }
    }
}

/// Rounding in f32 of values whose mean is up to a thousand deviations from zero.
fn tolerance(case: &Case) -> f64 {
    let largest = case.x.iter().fold(0f32, |most, v| most.max(v.abs()));
    2e-5 * f64::from(largest.max(1.0))
}

#[test]
fn norms_agree_with_their_definition() {
    cases(3, |n, pool, isa, layout, case| {
        let sizes = case.sizes;
        let x = to_layout(layout, sizes, &case.x);
        let [weight, bias] = [&case.weight, &case.bias].map(|list| case.filled(layout, list));
        let params = NormParams { weight: weight.as_deref(), bias: bias.as_deref(), eps: EPS };
        let in_place = n.below(2) == 0;
        let mut out = if in_place { x.clone() } else { vec![f32::NAN; x.len()] };
        let first = (!in_place).then_some(&x[..]);
        let act = match case.set {
            Set::Groups(_) => activations()[n.below(4)],
            Set::Strip(_) => None,
        };
        match case.set {
            Set::Strip(over) => strips::forward(pool, isa, layout, over, sizes, &params, first, &mut out),
            Set::Groups(count) => {
                let mut scratch = vec![f32::NAN; groups::scratch(sizes)];
                groups::forward(pool, isa, layout, count, sizes, &params, first, act, &mut scratch, &mut out);
            }
        }
        assert!(out.iter().all(|v| v.is_finite()), "{isa} {:?} {sizes:?}", case.set);
        let expected: Vec<f64> = case.reference().y.into_iter().map(|y| activate_f64(act, y)).collect();
        let error = max_error(&from_layout(layout, sizes, &out), &expected);
        assert!(error < tolerance(case), "{isa} {layout:?} {:?} {sizes:?}: {error}", case.set);
    });
}

#[test]
fn gradients_agree_with_their_definition() {
    cases(4, |n, pool, isa, layout, case| {
        let sizes = case.sizes;
        let [x, dy] = [&case.x, &case.dy].map(|values| to_layout(layout, sizes, values));
        let weight = case.filled(layout, &case.weight);
        let params = NormParams { weight: weight.as_deref(), bias: None, eps: EPS };
        // in the place of either operand, or of none
        let place = n.below(3);
        let mut out = [&x, &dy, &vec![f32::NAN; x.len()]][place].clone();
        let operands = [(place != 0).then_some(&x[..]), (place != 1).then_some(&dy[..])];
        let expected = case.reference();
        let mut sums = vec![f32::NAN; expected.sums.len()];
        let expected_inverse = expected.inverse.powi(2).max(1.0);
        match case.set {
            Set::Strip(over) => {
                strips::grad_input(pool, isa, layout, over, sizes, &params, operands[0], operands[1], &mut out);
                let mut scratch = vec![f32::NAN; strips::scratch(isa, layout, over, sizes)];
                strips::grad_params(pool, isa, layout, over, sizes, EPS, &x, &dy, &mut scratch, &mut sums);
            }
            Set::Groups(count) => {
                let mut scratch = vec![f32::NAN; groups::scratch(sizes)];
                let [x, dy] = operands;
                groups::grad_input(pool, isa, layout, count, sizes, &params, x, dy, &mut scratch, &mut out);
                let [x, dy] = [&case.x, &case.dy].map(|values| to_layout(layout, sizes, values));
                groups::grad_params(pool, isa, layout, count, sizes, EPS, &x, &dy, &mut scratch, &mut sums);
            }
        }
        for (what, found, expected) in [("dx", from_layout(layout, sizes, &out), &expected.dx), ("sums", sums, &expected.sums)] {
            let error = max_error(&found, expected);
            // a small deviation magnifies rounding twice
            assert!(error < tolerance(case) * expected_inverse, "{what} {isa} {layout:?} {:?} {sizes:?}: {error}", case.set);
        }
    });
}

/// The channels of each place of a value, in the order of the places.
fn places(case: &Case, values: &[f32]) -> Vec<Vec<f64>> {
    let [n, c, h, w] = case.sizes;
    let at = |place: usize, channel: usize| (place / (h * w) * c + channel) * h * w + place % (h * w);
    (0..n * h * w).map(|place| (0..c).map(|channel| f64::from(values[at(place, channel)])).collect()).collect()
}

#[test]
fn means_and_maxima_over_channels_agree_with_their_definition() {
    cases(5, |_, pool, isa, layout, case| {
        let x = to_layout(layout, case.sizes, &case.x);
        for fold in [Fold::Mean, Fold::Max] {
            let expected: Vec<f64> = places(case, &case.x)
                .iter()
                .map(|channels| match fold {
                    Fold::Mean => channels.iter().sum::<f64>() / channels.len() as f64,
                    Fold::Max => channels.iter().copied().fold(f64::NEG_INFINITY, f64::max),
                })
                .collect();
            let mut out = vec![f32::NAN; expected.len()];
            fold_channels(pool, isa, layout, case.sizes, fold, &x, &mut out);
            let error = max_error(&out, &expected);
            assert!(error < tolerance(case), "{isa} {layout:?} {fold:?} {:?}: {error}", case.sizes);
        }
    });
}

#[test]
fn the_first_of_the_largest_channels_gets_the_gradient() {
    let pool = ThreadPool::new(2).unwrap();
    let nan = f32::NAN;
    // three channels of four places
    let x = [1.0, 2.0, -1.0, 0.0, 1.0, 3.0, f32::NEG_INFINITY, nan, 0.5, 3.0, -1.0, 5.0];
    let mut dx = [9.0; 12];
    max_grad(&pool, [1, 3, 2, 2], &x, &[1.0, 2.0, 3.0, 4.0], &mut dx);
    assert_eq!(dx, [1.0, 0.0, 3.0, 0.0, 0.0, 2.0, 0.0, 4.0, 0.0, 0.0, 0.0, 0.0]);
    let mut largest = [0.0; 4];
    fold_channels(&pool, Isa::Portable, Layout::Nchw, [1, 3, 2, 2], Fold::Max, &x, &mut largest);
    assert!(largest[..3] == [1.0, 3.0, -1.0] && largest[3].is_nan());
}

#[test]
fn values_over_their_norm_and_their_gradient_agree_with_the_definition() {
    cases(6, |n, pool, isa, layout, case| {
        let sizes = case.sizes;
        // sometimes below the smallest norm
        let eps = [1e-12, 1e4][n.below(2)];
        let [x, dy] = [&case.x, &case.dy].map(|values| to_layout(layout, sizes, values));
        let (mut y, mut dx) = (x.clone(), dy.clone());
        l2_norm(pool, isa, layout, sizes, eps, None, None, &mut y);
        l2_norm(pool, isa, layout, sizes, eps, Some(&x), Some(None), &mut dx);
        let (given, gradients) = (places(case, &case.x), places(case, &case.dy));
        let (found_y, found_dx) = (from_layout(layout, sizes, &y), from_layout(layout, sizes, &dx));
        let found = [found_y, found_dx].map(|values| places(case, &values));
        for (place, x) in given.iter().enumerate() {
            let norm = x.iter().map(|v| v * v).sum::<f64>().sqrt();
            let along =
                if norm > eps { x.iter().zip(&gradients[place]).map(|(x, dy)| x * dy).sum::<f64>() / (norm * norm) } else { 0.0 };
            for (channel, &v) in x.iter().enumerate() {
                let (y, dx) = (v / norm.max(eps), (gradients[place][channel] - v * along) / norm.max(eps));
                assert!((found[0][place][channel] - y).abs() < 1e-5, "{isa} {layout:?} {sizes:?}");
                assert!(
                    (found[1][place][channel] - dx).abs() < 1e-4 * (1.0 / norm.max(eps)).max(1.0),
                    "{isa} {layout:?} {sizes:?}"
                );
            }
        }
    });
}
