//! Statements that resample and convolve, as PyTorch computes them: see `tests/reference/convolutions.py`.

use ndarray::{ArrayD, IxDyn};
use resnetc::internal::base::source::SourceFile;
use resnetc::internal::base::tensor::Tensor;
use resnetc::internal::driver::Frontend;
use resnetc::internal::ir::{Checked, Param, ParamSource};
use resnetc::internal::kernels::Isa;
use resnetc::internal::passes;
use resnetc::internal::plan::{PlanOptions, Settings, plan};
use resnetc::internal::runtime::{Model, ParamStore, SessionOptions, interp};

use crate::common::distance;

const CASES: &str = include_str!("../fixtures/convolutions.txt");

fn fill(sizes: &[usize], seed: usize) -> Vec<f32> {
    let count: usize = sizes.iter().product();
    (0..count).map(|i| (((i * 7919 + seed * 104_729) % 33) as f32 - 16.0) / 8.0).collect()
}

fn array(sizes: &[usize], values: Vec<f32>) -> ArrayD<f32> {
    ArrayD::from_shape_vec(IxDyn(&[&[1], sizes].concat()), values).unwrap()
}

fn sizes(text: &str) -> Vec<usize> {
    text.split(" x ").map(|size| size.trim().parse().unwrap()).collect()
}

fn network(statement: &str, input: &str) -> Checked {
    let word = statement.split(' ').next().unwrap();
    let uses = if word == "local_response_norm" { format!("use std.blocks: {word}\n") } else { String::new() };
    let text = format!("resnet 1\n{uses}network net {{\n  input {input}\n  {statement} as layer\n}}\n");
    let mut front = Frontend::source(SourceFile { name: "test.resnet".into(), path: None, text: text.into() });
    let checked = front.check("net", &[]);
    checked.unwrap_or_else(|| panic!("{statement}: {:?}", front.diagnostics))
}

/// Parameters in the order of the network, with seeds from 2.
fn params(checked: &Checked) -> ParamStore {
    let graph = checked.graph();
    let params = graph.order().into_iter().flat_map(|id| graph.node(id).params.clone()).enumerate();
    let tensor = |(index, param): (usize, Param)| {
        let ParamSource::Named(name) = param.source else { panic!("{:?}", param.source) };
        let values = fill(&param.shape, index + 2);
        (name, Tensor::from_f32(param.shape, values).unwrap())
    };
    params.map(tensor).collect()
}

#[test]
fn statements_are_computed_as_in_pytorch() {
    let lines: Vec<&str> = CASES.lines().collect();
    for case in lines.chunks(3) {
        let [statement, input, result] = case[..] else { panic!("{case:?}") };
        let (output, values) = result.split_once(": ").unwrap();
        let values = values.split(' ').map(|value| value.parse().unwrap()).collect();
        let expected = array(&sizes(output), values);
        let checked = network(statement, input);
        let params = params(&checked);
        let x = array(&sizes(input), fill(&sizes(input), 1));
        let reference = interp::run(&checked.canonical(), &params, &[("input", x.view())]).unwrap().main().clone();
        assert_eq!(reference.shape(), expected.shape(), "{statement}");
        assert!(distance(&reference, &expected) < 1e-6, "{statement}: {reference:?} is not {expected:?}");
        for isa in Isa::ALL.into_iter().filter(|isa| isa.is_available()) {
            let model = Model::new(checked.clone(), params.clone()).unwrap();
            let options = SessionOptions { isa: Some(isa), ..SessionOptions::default() };
            let found = model.session_with(options).unwrap().run(&[("input", x.view())]).unwrap().main().clone();
            assert!(distance(&found, &expected) < 1e-5, "{statement}, {isa}: {found:?} is not {expected:?}");
        }
    }
}

/// A norm, a learned factor and a function after a transposed convolution are part of it.
#[test]
fn what_follows_a_transposed_convolution_is_fused_into_it() {
    for statement in [
        "conv_transpose 3x3, filters: 8, stride: 2, padding: 1, groups: 2",
        "conv_transpose 3x3, filters: 8, bias: true",
        // cropped, since the padding is larger than the kernel reaches
        "conv_transpose 1x1, filters: 8, padding: 1",
        "conv_transpose 1x1, filters: 8, stride: 2",
    ] {
        for after in ["batchnorm\n  sigmoid", "sigmoid", "factor as factor\n  relu"] {
            let declared = "elementwise factor(x, gamma: parameter = 1) = x * gamma";
            let text =
                format!("resnet 1\n{declared}\nnetwork net {{\n  input 4 x 5 x 5\n  {statement} as layer\n  {after}\n}}\n");
            let mut front = Frontend::source(SourceFile { name: "test.resnet".into(), path: None, text: text.into() });
            let checked = front.check("net", &[]).unwrap_or_else(|| panic!("{statement}: {:?}", front.diagnostics));
            let params = params(&checked).iter().map(with_positive_variance).collect();
            let x = array(&[4, 5, 5], fill(&[4, 5, 5], 1));
            let expected = interp::run(&checked.clone().canonical(), &params, &[("input", x.view())]).unwrap().main().clone();
            let optimized = passes::inference(checked.clone().canonical());
            let plan = plan(&optimized, &PlanOptions::new(1, 1, Isa::Portable), &Settings::default()).unwrap();
            let steps: Vec<&str> = plan.steps.iter().map(|step| &*step.name).collect();
            assert!(steps.iter().all(|name| name.starts_with("layer")), "{statement}, {after}: {steps:?}");
            let session = Model::new(checked, params).unwrap().session_with(SessionOptions::default());
            let found = session.unwrap().run(&[("input", x.view())]).unwrap().main().clone();
            assert!(distance(&found, &expected) < 1e-5, "{statement}, {after}: {found:?} is not {expected:?}");
        }
    }
}

fn with_positive_variance((name, tensor): (&str, &Tensor)) -> (String, Tensor) {
    let values = tensor.to_f32();
    let values = if name.ends_with("running_var") { values.iter().map(|v| v.abs() + 0.25).collect() } else { values.to_vec() };
    (name.to_owned(), Tensor::from_f32(tensor.shape().to_vec(), values).unwrap())
}
