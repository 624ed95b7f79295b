//! The engine of training, held against the definition and against itself.

use crate::common::{Build, distance, noise};
use ndarray::{ArrayD, Axis, Ix4};
use resnetc::internal::grad::{GradOptions, training};
use resnetc::internal::ir::{Checked, NormOver, Op, Reduction, SampleNorm, Shape};
use resnetc::internal::kernels::Isa;
use resnetc::internal::plan::Settings;
use resnetc::internal::runtime::SessionOptions;
use resnetc::internal::runtime::{ParamStore, RunError, StepInputs, TrainSession, interp};
use resnetc::internal::train::{Batch, Engine, EngineOptions, GraphEngine};

fn network() -> (Checked, ParamStore) {
    let mut b = Build::new(4);
    let x = b.input("x", Shape::fixed(&[3, 12, 12]));
    let x = b.conv(x, 8, 3, 1, 1);
    let x = b.norm(x);
    let x = b.relu(x);
    let x = b.maxpool(x, 3, 2);
    let x = b.push(Op::SampleNorm(SampleNorm { over: NormOver::Channels, eps: 1e-6, affine: true }), &[x]);
    let x = b.block(x, 8, 1, false, 1);
    let x = b.push(Op::SampleNorm(SampleNorm { over: NormOver::Groups(4), eps: 1e-5, affine: true }), &[x]);
    let x = b.block(x, 20, 2, false, 1);
    let mean = b.push(Op::OverChannels(Reduction::Mean), &[x]);
    let largest = b.push(Op::OverChannels(Reduction::Max), &[x]);
    let unit = b.push(Op::L2Norm { eps: 1e-12 }, &[x]);
    let both = b.push(Op::Concat, &[mean, largest, unit]);
    let both = b.conv(both, 20, 3, 1, 1);
    let x = b.plus(x, both);
    let gate = b.push(Op::AdaptiveAvgPool([1, 1]), &[x]);
    let x = b.times(x, gate);
    let y = b.head(x, 5);
    b.finish(&[("output", y)])
}

fn engine(isa: Isa) -> GraphEngine {
    let (checked, params) = network();
    let session = SessionOptions { threads: 2, isa: Some(isa) };
    GraphEngine::new(&checked, &params, &GradOptions::default(), EngineOptions { session, seed: 1, precise: false }).unwrap()
}

#[test]
fn gradients_agree_with_the_definition_on_every_instruction_set() {
    let (checked, params) = network();
    let joint = training(&checked.canonical(), &GradOptions::default()).unwrap();
    let images = noise(3, &[4, 3, 12, 12]);
    let labels = [0, 3, 4, 1];
    let as_floats = ArrayD::from_shape_vec(vec![4, 1], labels.iter().map(|&l| l as f32).collect()).unwrap();
    let exact = interp::run_exact(&joint, &params, &[("x", images.view()), ("labels", as_floats.view())]).unwrap();
    let exact = |name: &str| exact.iter().find(|(n, _)| n == name).map(|(_, a)| a.mapv(|v| v as f32));
    let images = images.into_dimensionality::<Ix4>().unwrap();
    for isa in Isa::ALL.into_iter().filter(|isa| isa.is_available()) {
        let mut engine = engine(isa);
        let batch = Batch { images: images.view(), labels: &labels };
        let stats = engine.gradients(&batch, 1.0, 1).unwrap();
        assert!((stats.loss() - f64::from(exact("loss").unwrap().mean().unwrap())).abs() < 1e-5);
        let mut seen = 0;
        for param in engine.parameters() {
            // the weight and the bias of a norm share an output
            let (layer, role) = param.name.rsplit_once('.').unwrap();
            let of_norm = || Some(exact(&format!("grad.{layer}"))?.index_axis(Axis(0), usize::from(role == "bias")).to_owned());
            let expected = exact(&format!("grad.{}", param.name)).or_else(of_norm).unwrap();
            let found = ArrayD::from_shape_vec(param.shape.clone(), param.gradient.clone()).unwrap();
            assert!(distance(&found, &expected) < 1e-4, "{isa}: {}", param.name);
            seen += 1;
        }
        assert_eq!(seen, engine.parameters().len());
    }
}

#[test]
fn steps_down_the_gradient_lower_the_loss_and_move_the_statistics() {
    let mut engine = engine(Isa::best());
    let images = noise(5, &[6, 3, 12, 12]).into_dimensionality::<Ix4>().unwrap();
    let batch = Batch { images: images.view(), labels: &[0, 1, 2, 3, 4, 0] };
    let before = engine.running_stats()[0].values.clone();
    let first = engine.gradients(&batch, 1.0, 1).unwrap().loss();
    assert_ne!(before, engine.running_stats()[0].values);
    let mut last = first;
    for step in 2..12 {
        for param in engine.parameters() {
            param.values.iter_mut().zip(&param.gradient).for_each(|(v, g)| *v -= 0.05 * g);
        }
        engine.clear();
        last = engine.gradients(&batch, 1.0, step).unwrap().loss();
    }
    assert!(last < 0.7 * first, "{first} to {last}");
    assert!(engine.evaluate(&batch).unwrap().loss().is_finite());
}

#[test]
fn halves_add_up_and_clearing_begins_anew() {
    let mut engine = engine(Isa::best());
    let images = noise(5, &[6, 3, 12, 12]).into_dimensionality::<Ix4>().unwrap();
    let batch = Batch { images: images.view(), labels: &[0, 1, 2, 3, 4, 0] };
    engine.gradients(&batch, 1.0, 1).unwrap();
    let whole: Vec<f32> = engine.parameters()[0].gradient.clone();
    engine.clear();
    engine.gradients(&batch, 0.5, 1).unwrap();
    engine.gradients(&batch, 0.5, 1).unwrap();
    assert_eq!(whole, engine.parameters()[0].gradient);
    let wrong = Batch { images: images.view(), labels: &[0, 1, 2, 3, 4, 5] };
    assert!(engine.gradients(&wrong, 1.0, 1).unwrap_err().to_string().contains("class 5"));
}

#[test]
fn a_panic_in_a_step_is_an_error_and_the_session_runs_on() {
    let (checked, params) = network();
    let step = training(&checked.canonical(), &GradOptions::default()).unwrap();
    let learned: Vec<(String, Vec<f32>)> =
        params.iter().map(|(name, tensor)| (name.to_owned(), tensor.to_f32().into_owned())).collect();
    let names = learned.iter().map(|(name, values)| (name.clone(), values.len())).collect();
    let values: Vec<&[f32]> = learned.iter().map(|(_, values)| &values[..]).collect();
    let images = noise(3, &[2, 3, 12, 12]);
    let inputs = [images.as_slice().unwrap(), &[0.0, 3.0]];
    let inputs = StepInputs { batch: 2, inputs: &inputs, params: &values, noise: [0, 0] };
    let mut session = TrainSession::new(step, names, Settings::default(), SessionOptions::default()).unwrap();
    session.run(&inputs).unwrap();
    let loss = session.output("loss").unwrap().clone();
    let error = session.run_timed(&inputs, |_, _| panic!("as a kernel might")).unwrap_err();
    assert!(matches!(error, RunError::Panicked { .. }), "{error}");
    session.run(&inputs).unwrap();
    assert_eq!(*session.output("loss").unwrap(), loss);
}
