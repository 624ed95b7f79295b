//! Signals, `channels x length`: the same numbers as maps of height 1, in inference and in training, under PyTorch's sizes.

use std::path::Path;

use crate::common::{distance, noise};
use ndarray::{ArrayD, Axis, Ix4};
use resnetc::internal::base::source::SourceFile;
use resnetc::internal::driver::Frontend;
use resnetc::internal::grad::GradOptions;
use resnetc::internal::ir::{Checked, Param};
use resnetc::internal::runtime::SessionOptions;
use resnetc::internal::runtime::{Model, ParamStore, init, interp};
use resnetc::internal::train::{Batch, Engine, EngineOptions, GraphEngine};

const SIGNAL: &str = include_str!("../cases/ok/signal.resnet");

fn check(text: &str, name: &str) -> Checked {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/cases/ok/test.resnet");
    let mut front = Frontend::source(SourceFile { name: "test.resnet".into(), path: Some(path), text: text.into() });
    let checked = front.check(name, &[]);
    checked.unwrap_or_else(|| panic!("{:?}", front.diagnostics))
}

/// The network of `cases/ok/signal.resnet`, and the same on maps of height 1.
fn both() -> (Checked, Checked) {
    let maps = [
        ("input 2 x 1000", "input 2 x 1 x 1000"),
        ("conv 7,", "conv 1x7,"),
        ("conv 3,", "conv 1x3,"),
        ("maxpool 3,", "maxpool 1x3,"),
        ("stride: 2\n", "stride: 1x2\n"),
    ];
    let text = SIGNAL.split("network free_length").next().unwrap();
    let mut text: String = text.lines().filter(|line| !line.contains("expect layer")).flat_map(|line| [line, "\n"]).collect();
    for (signal, map) in maps {
        assert!(text.contains(signal), "{signal}");
        text = text.replace(signal, map);
    }
    // a map of height 1 keeps it where it is halved
    (check(SIGNAL, "signals"), check(&text, "signals"))
}

fn sizes(checked: &Checked) -> Vec<(String, Vec<usize>)> {
    let params = checked.graph().ids().flat_map(|id| checked.graph().node(id).params.clone());
    params.map(|Param { source, shape, .. }| (format!("{source:?}"), shape)).collect()
}

fn outputs(checked: &Checked, params: &ParamStore, x: &ArrayD<f32>, threads: usize) -> ArrayD<f32> {
    let model = Model::new(checked.clone(), params.clone()).unwrap();
    let mut session = model.session_with(SessionOptions { threads, ..SessionOptions::default() }).unwrap();
    session.run(&[("input", x.view())]).unwrap().main().clone()
}

#[test]
fn parameters_have_the_sizes_of_pytorch() {
    let (signal, map) = both();
    for ((name, shape), (other, lifted)) in sizes(&signal).into_iter().zip(sizes(&map)) {
        assert_eq!(name, other);
        match lifted[..] {
            [k, c, 1, taps] => assert_eq!(shape, [k, c, taps]),
            _ => assert_eq!(shape, lifted),
        }
    }
}

#[test]
fn a_signal_runs_as_a_map_of_height_one() {
    let (signal, map) = both();
    let params = init::init(&signal, 3).unwrap();
    let x = noise(5, &[3, 2, 1000]);
    let lifted = x.clone().insert_axis(Axis(2));
    let expected = interp::run(&signal.canonical(), &params, &[("input", x.view())]).unwrap().main().clone();
    assert_eq!(expected.shape(), [3, 5]);
    assert_eq!(expected, *interp::run(&map.canonical(), &params, &[("input", lifted.view())]).unwrap().main());
    for threads in [1, 2] {
        let found = outputs(&signal, &params, &x, threads);
        assert_eq!(found, outputs(&map, &params, &lifted, threads));
        assert!(distance(&found, &expected) < 1e-4);
    }
    let said = Model::new(signal, params).unwrap().session().unwrap().run(&[("input", lifted.view())]).unwrap_err();
    assert!(said.to_string().contains("batch x 2 x 1000"), "{said}");
}

#[test]
fn a_free_length_and_outputs_that_are_signals() {
    let free = check(SIGNAL, "free_length");
    let params = init::init(&free, 3).unwrap();
    let model = Model::new(free.clone(), params.clone()).unwrap();
    let mut session = model.session().unwrap();
    for length in [64, 999, 64] {
        let x = noise(length as u64, &[2, 1, length]);
        let found = session.run(&[("input", x.view())]).unwrap();
        let expected = interp::run(&free.canonical(), &params, &[("input", x.view())]).unwrap();
        assert!(distance(found.main(), expected.main()) < 1e-4);
    }
    let text = "resnet 1\nnetwork net {\n  input 2 x W\n  conv 5, filters: 3\n  batchnorm\n  relu\n}\n";
    let net = check(text, "net");
    let params = init::init(&net, 3).unwrap();
    let x = noise(1, &[2, 2, 50]);
    let found = outputs(&net, &params, &x, 2);
    assert_eq!(found.shape(), [2, 3, 50]);
    assert!(distance(&found, interp::run(&net.canonical(), &params, &[("input", x.view())]).unwrap().main()) < 1e-5);
}

#[test]
fn a_signal_trains_as_a_map_of_height_one() {
    let (signal, map) = both();
    let params = init::init(&signal, 3).unwrap();
    let images = noise(9, &[4, 2, 1, 1000]).into_dimensionality::<Ix4>().unwrap();
    let batch = Batch { images: images.view(), labels: &[0, 4, 2, 1] };
    let mut gradients = Vec::new();
    for checked in [&signal, &map] {
        let session = SessionOptions { threads: 2, ..SessionOptions::default() };
        let options = EngineOptions { session, seed: 1, precise: false };
        let mut engine = GraphEngine::new(checked, &params, &GradOptions::default(), options).unwrap();
        let loss = engine.gradients(&batch, 1.0, 0).unwrap().loss();
        assert!(loss.is_finite() && loss > 0.0);
        let list: Vec<_> = engine.parameters().iter().map(|p| (p.name.clone(), p.gradient.clone())).collect();
        assert!(list.iter().all(|(_, g)| g.iter().any(|&v| v != 0.0)));
        // what is saved has PyTorch's sizes
        let stored = engine.store().unwrap();
        assert_eq!(stored.get("conv1.weight").unwrap().shape().len(), if gradients.is_empty() { 3 } else { 4 });
        gradients.push((loss, list));
    }
    assert_eq!(gradients[0], gradients[1]);
}
