//! The passes over the graph of a training step: the same numbers, and the graph by snapshot.

use crate::common::{Build, noise};
use ndarray::ArrayD;
use resnetc::internal::grad::{GradOptions, TrainingStep, training};
use resnetc::internal::ir::{Checked, Conv, Epilogue, Op, Shape, ShapedNetwork, Train, Value};
use resnetc::internal::passes;
use resnetc::internal::runtime::{ParamStore, interp};

/// Nodes in order: name, word, what is fused, operands; then the outputs.
fn text(checked: &ShapedNetwork) -> String {
    let graph = checked.graph();
    let mut out = String::new();
    for id in graph.order() {
        let node = graph.node(id);
        let operands: Vec<&str> = graph.operands(id).iter().map(|v| graph.node(v.node).name.as_str()).collect();
        let mut op = node.op.clone();
        let (epilogue, through) = match &mut op {
            Op::Conv(c) => (c.epilogue.clone(), false),
            Op::Linear(l) => (l.epilogue.clone(), false),
            Op::Train(Train::NormGradParams { relu, .. } | Train::NormGradInput { relu, .. }) => (Epilogue::default(), *relu),
            Op::Train(op) => (op.epilogue().cloned().unwrap_or_default(), false),
            _ => (Epilogue::default(), false),
        };
        let mut fused = String::new();
        fused += if epilogue.residual { " +add" } else { "" };
        if let Some(act) = &epilogue.act {
            fused += &format!(" +{}", act.name);
        }
        fused += if through { " through relu" } else { "" };
        out += &format!("{}: {}{fused} ({})\n", node.name, node.op.word(), operands.join(", "));
    }
    for (name, value) in graph.outputs() {
        out += &format!("{name} = {}\n", graph.node(value.node).name);
    }
    out
}

fn network(build: impl FnOnce(&mut Build, Value) -> Value) -> (Checked, ParamStore) {
    let mut b = Build::new(2);
    b.zeros = false;
    let x = b.input("x", Shape::fixed(&[3, 6, 5]));
    let x = b.conv(x, 4, 3, 1, 1);
    let x = b.norm(x);
    let x = b.relu(x);
    let y = build(&mut b, x);
    let y = b.head(y, 3);
    b.finish(&[("output", y)])
}

/// The passes change no number beyond rounding, and take nodes away.
fn same(what: &str, options: &GradOptions, build: impl FnOnce(&mut Build, Value) -> Value) -> TrainingStep {
    let (checked, params) = network(build);
    let joint = training(&checked.canonical(), options).unwrap();
    let passed = passes::training(joint.clone());
    assert!(passed.graph().len() < joint.graph().len(), "{what}");
    let (images, labels) = (noise(5, &[4, 3, 6, 5]), ArrayD::from_shape_vec(vec![4, 1], vec![0.0, 2.0, 1.0, 1.0]).unwrap());
    let run = |step: &TrainingStep| interp::run_exact(step, &params, &[("x", images.view()), ("labels", labels.view())]).unwrap();
    let (before, after) = (run(&joint), run(&passed));
    assert_eq!(before.len(), after.len());
    for ((name, before), (other, after)) in before.iter().zip(&after) {
        assert_eq!((name, before.shape()), (other, after.shape()), "{what}");
        for (a, b) in before.iter().zip(after) {
            assert!((a - b).abs() < 1e-12 * (1.0 + a.abs()), "{what}: {name}: {a} {b}");
        }
    }
    passed
}

#[test]
fn the_numbers_stay() {
    let none = GradOptions::default();
    same("identity", &none, |b, x| b.block(x, 4, 1, false, 1));
    same("projection", &none, |b, x| b.block(x, 8, 2, false, 1));
    same("bottlenecks", &none, |b, x| {
        let x = b.block(x, 2, 1, true, 1);
        b.block(x, 2, 1, true, 1)
    });
    same("zeros", &none, |b, x| {
        b.zeros = true;
        let x = b.block(x, 8, 2, false, 1);
        b.block(x, 8, 1, false, 1)
    });
    // what is fused must not hide what others read
    same("a ReLU that two use", &none, |b, x| {
        let y = b.conv(x, 4, 3, 1, 1);
        let y = b.norm(y);
        let y = b.relu(y);
        let z = b.conv(y, 4, 1, 1, 1);
        let y = b.plus(y, z);
        b.plus(y, x)
    });
    same("a norm that two use", &none, |b, x| {
        let y = b.norm(x);
        let z = b.relu(y);
        b.plus(y, z)
    });
    same("a sum of itself", &none, |b, x| {
        let y = b.conv(x, 4, 1, 1, 1);
        let y = b.plus(y, y);
        b.sigmoid(y)
    });
    same("sums after strided and padded convolutions", &none, |b, x| {
        let wide = Conv {
            filters: 4,
            kernel: [1; 2],
            stride: [1; 2],
            pad: [[1; 2]; 2],
            dilation: [1; 2],
            groups: 1,
            bias: true,
            standardize: None,
            epilogue: Epilogue::default(),
        };
        let y = b.push(Op::Conv(wide.clone()), &[x]);
        let z = b.push(Op::Conv(Conv { kernel: [3; 2], pad: [[2; 2]; 2], ..wide }), &[x]);
        b.plus(y, z)
    });
    let frozen = GradOptions { frozen: vec!["conv1".into(), "norm2".into(), "conv4".into()], ..none };
    same("frozen", &frozen, |b, x| b.block(x, 4, 1, false, 1));
}

#[test]
fn the_graph_of_two_blocks() {
    let passed = same("two blocks", &GradOptions::default(), |b, x| {
        let x = b.block(x, 4, 1, false, 1);
        b.block(x, 8, 2, false, 1)
    });
    insta::assert_snapshot!("two_blocks", text(&passed));
}
