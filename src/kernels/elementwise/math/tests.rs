//! The functions against f64, over all exponents and densely where they are hard.

use super::*;
use crate::elementwise::Unary;
use crate::kernels::dispatch::{Instance, Kernel, instance};
use crate::kernels::isa::Isa;
use crate::kernels::reference::ulps;
use crate::kernels::simd::Simd;
use crate::kernels::simd::array::Array;

/// Applies a function to floats, a multiple of the lanes.
struct Map<F>(std::marker::PhantomData<F>);

trait Function {
    unsafe fn of<S: Simd>(x: S::V) -> S::V;
}

impl<F: Function> Kernel for Map<F> {
    type Operands = (*const f32, *mut f32, usize);

    #[inline(always)]
    unsafe fn run<S: Simd>(&(x, out, count): &Self::Operands) {
        // SAFETY: guaranteed by the caller
        unsafe {
            for at in (0..count).step_by(S::LANES) {
                S::store(out.add(at), F::of::<S>(S::load(x.add(at))));
            }
        }
    }
}

/// Each instruction set's results.
fn results<F: Function>(x: &[f32]) -> Vec<(Isa, Vec<f32>)> {
    let run = |isa: Isa| {
        let map: Instance<_> = isa.vector().map_or(Map::<F>::run::<Array>, instance::<Map<F>>);
        let mut out = vec![0.0; x.len()];
        // SAFETY: the processor supports the instruction set; the lengths are multiples of 16
        unsafe { map(&(x.as_ptr(), out.as_mut_ptr(), x.len())) };
        (isa, out)
    };
    Isa::ALL.into_iter().filter(|isa| isa.is_available()).map(run).collect()
}

/// Numbers of every exponent and sign, and densely around some places.
fn arguments() -> Vec<f32> {
    let mut x = vec![f32::NAN, f32::INFINITY, 0.0, f32::MIN_POSITIVE, 1e-45, 1e-40, f32::MAX, 1.0];
    let step = if cfg!(debug_assertions) { 40_961 } else { 409 };
    x.extend((0..f32::INFINITY.to_bits()).step_by(step).map(f32::from_bits));
    let ln2 = std::f32::consts::LN_2;
    let mut places = vec![1.0f32, 0.55, 0.925, 2.0 / 3.0, 4.0 / 3.0, 2.0, 3.92, 9.0, 17.3, 20.0, 87.3, 88.7, 103.3, 104.0, 1e-7];
    places.extend((1..300).map(|n| n as f32 * ln2 / 2.0));
    for place in places {
        let bits = place.to_bits();
        x.extend((bits - 300..bits + 300).map(f32::from_bits));
    }
    for linear in 0..200_000 {
        x.push(linear as f32 * 6e-4);
    }
    let negative: Vec<f32> = x.iter().map(|v| -v).collect();
    x.extend(negative);
    x.resize(x.len().next_multiple_of(16), 0.0);
    x
}

fn check<F: Function>(name: &str, exact: impl Fn(f64) -> f64, most: f64) {
    let x = arguments();
    let all = results::<F>(&x);
    for (isa, found) in &all {
        let mut worst = (0.0, 0.0);
        for (&x, &found) in x.iter().zip(found) {
            let exact = exact(f64::from(x));
            let error = ulps(found, exact);
            assert!(error <= most, "{name}({x:e}) with {isa}: {found:e} instead of {exact:e}, {error} ulp");
            if exact == 0.0 && !["softplus", "tanh_softplus", "log"].contains(&name) {
                assert_eq!(found.is_sign_negative(), exact.is_sign_negative(), "{name}({x:e}) with {isa}: the sign of zero");
            }
            if error > worst.0 {
                worst = (error, x);
            }
        }
        println!("{name} {isa}: {:.3} ulp at {:e}", worst.0, worst.1);
    }
    // the vectors agree bit by bit
    let vectors: Vec<_> = all.iter().filter(|(isa, _)| isa.lanes() > 1).collect();
    for pair in vectors.windows(2) {
        let bits = |v: &[f32]| v.iter().map(|v| if v.is_nan() { 0 } else { v.to_bits() }).collect::<Vec<_>>();
        assert!(bits(&pair[0].1) == bits(&pair[1].1), "{name}: {} and {} differ", pair[0].0, pair[1].0);
    }
}

macro_rules! function {
    ($test:ident, $function:ident, $exact:expr, $most:expr) => {
        #[test]
        fn $test() {
            struct F;
            impl Function for F {
                #[inline(always)]
                unsafe fn of<S: Simd>(x: S::V) -> S::V {
                    // SAFETY: guaranteed by the caller
                    unsafe { $function::<S>(x) }
                }
            }
            check::<F>(stringify!($function), $exact, $most);
        }
    };
}

function!(exp_is_within_an_ulp, exp, |x| Unary::Exp.of(x), 1.0);
function!(expm1_is_within_two_ulp, expm1, |x| Unary::Expm1.of(x), 2.0);
function!(log_is_within_an_ulp, log, |x| Unary::Log.of(x), 1.0);
function!(log1p_is_within_two_ulp, log1p, |x| Unary::Log1p.of(x), 2.0);
function!(sigmoid_is_within_two_ulp, sigmoid, |x| Unary::Sigmoid.of(x), 2.0);
function!(tanh_is_within_two_ulp, tanh, |x| Unary::Tanh.of(x), 2.0);
function!(softplus_is_within_two_ulp, softplus, |x| Unary::Softplus.of(x), 2.0);
function!(tanh_of_softplus_is_within_three_and_a_half_ulp, tanh_softplus, |x| Unary::Softplus.of(x).tanh(), 3.5);
function!(erf_is_within_two_ulp, erf, |x| Unary::Erf.of(x), 2.0);

#[test]
fn one_plus_erf_is_within_its_bounds() {
    struct F;
    impl Function for F {
        #[inline(always)]
        unsafe fn of<S: Simd>(x: S::V) -> S::V {
            // SAFETY: guaranteed by the caller
            unsafe { one_plus_erf::<S>(x) }
        }
    }
    let x = arguments();
    for (isa, found) in results::<F>(&x) {
        for (&x, &found) in x.iter().zip(&found) {
            let exact = libm::erfc(-f64::from(x));
            let error = (f64::from(found) - exact).abs();
            assert!(error <= 1.4e-7 || x.is_nan() && found.is_nan(), "{isa}: {x:e} gives {found:e} instead of {exact:e}");
            assert!(!(-5.0..=0.0).contains(&x) || error <= 1.4e-3 * exact, "{isa}: {x:e} gives {found:e} instead of {exact:e}");
        }
    }
}

#[test]
fn a_gate_is_within_three_ulp() {
    struct F;
    impl Function for F {
        #[inline(always)]
        unsafe fn of<S: Simd>(x: S::V) -> S::V {
            // SAFETY: guaranteed by the caller
            unsafe { sigmoid_times::<S>(x, x) }
        }
    }
    let x = arguments();
    for (isa, found) in results::<F>(&x) {
        for (&x, &found) in x.iter().zip(&found) {
            let exact = f64::from(x) * Unary::Sigmoid.of(f64::from(x));
            let is_small = x < -88.7 && (found == 0.0 || x.is_infinite() && found.is_nan());
            let is_right = is_small || ulps(found, exact) <= 3.0;
            assert!(is_right, "{isa}: {x:e} gives {found:e} instead of {exact:e}, {} ulp", ulps(found, exact));
        }
    }
}
