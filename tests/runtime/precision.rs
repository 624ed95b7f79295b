//! Networks of less than f32's precision: the fast way agrees with the reference interpreter.

use ndarray::{ArrayD, IxDyn};
use resnetc::internal::driver::Frontend;
use resnetc::internal::ir::{Precision, Precisions};
use resnetc::internal::passes;
use resnetc::internal::runtime::{Model, SessionOptions, init, interp};

use crate::common::Rng;

/// The largest differences of the main output, in units of the deviation of its values.
struct Found {
    /// Between the kernels and the interpreter, both in the precision.
    kernels: f64,
    /// Between the interpreter in the precision and in f32.
    rounding: f64,
}

fn found(file: &str, name: &str, size: usize, precision: Precisions) -> Found {
    let path = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("models").join("small.resnet");
    let text = format!("resnet 1\nuse \"{file}.resnet\": {name}\nnetwork small = {name} {{\n  input 3 x {size} x {size}\n}}\n");
    let source = resnetc::internal::base::source::SourceFile { name: "small.resnet".into(), path: Some(path), text: text.into() };
    let mut checked = Frontend::source(source).check("small", &[]).unwrap();
    let params = init::init(&checked, 3).unwrap();
    let mut rng = Rng(5);
    let x = ArrayD::from_shape_simple_fn(IxDyn(&[2, 3, size, size]), || rng.unit() * 3f32.sqrt());
    let input = [("input", x.view())];
    let exact = interp::run(&checked.canonical(), &params, &input).unwrap();
    checked.set_precision(precision);
    let slow = interp::run(&passes::inference(checked.canonical()), &params, &input).unwrap();
    let model = Model::new(checked, params).unwrap();
    let mut session = model.session_with(SessionOptions { threads: 2, ..SessionOptions::default() }).unwrap();
    let fast = session.run(&input).unwrap();
    let (exact, slow, fast) = (exact.main(), slow.main(), fast.main());
    let worst = |a: &ArrayD<f32>, b: &ArrayD<f32>| a.iter().zip(b).map(|(a, b)| f64::from((a - b).abs())).fold(0.0, f64::max);
    let deviation = f64::from(exact.std(0.0));
    assert!(deviation.is_finite() && deviation > 1e-3, "{name} does not vary");
    Found { kernels: worst(slow, fast) / deviation, rounding: worst(slow, exact) / deviation }
}

/// Sums in another order can be rounded to the next bf16, which is 2^-8 away; a few of them in sequence add up.
#[test]
fn bf16_agrees_with_the_oracle() {
    for (file, name, size) in [("cifar", "resnet20", 8), ("mobilenetv2", "mobilenet_v2", 32)] {
        let Found { kernels, rounding } = found(file, name, size, Precisions::all(Precision::Bf16));
        assert!(rounding > 1e-3, "{name}: nothing is rounded: {rounding}");
        assert!(kernels < 0.1 && rounding < 1.0, "{name}: {kernels} and {rounding}");
    }
}

#[test]
fn layers_that_are_not_named_stay_f32() {
    let first = Precisions { default: Precision::F32, layers: vec![("conv1".to_owned(), Precision::Bf16)] };
    let Found { kernels, rounding } = found("cifar", "resnet20", 8, first);
    assert!(kernels < 0.05 && rounding > 1e-4 && rounding < 0.2, "{kernels} and {rounding}");
}
