//! What the passes make of a graph, and the plan of it, by snapshot.

use crate::common::Build;
use resnetc::internal::elementwise::Program;
use resnetc::internal::ir::{Broadcast, Checked, Elementwise, Op, Pad, ParamSource, Rows, Shape, ShapedNetwork, Value};
use resnetc::internal::kernels::Isa;
use resnetc::internal::passes;
use resnetc::internal::plan::{PlanOptions, Settings, plan};

/// Nodes in order: name, word, what is fused, operands.
fn text(checked: &ShapedNetwork) -> String {
    let graph = checked.graph();
    let mut out = String::new();
    for id in graph.order() {
        let node = graph.node(id);
        let operands: Vec<&str> = graph.operands(id).iter().map(|v| graph.node(v.node).name.as_str()).collect();
        let epilogue = match &node.op {
            Op::Conv(c) => Some(c.epilogue.clone()),
            Op::Linear(l) => Some(l.epilogue.clone()),
            _ => None,
        };
        let mut fused = String::new();
        if let Some(e) = epilogue {
            fused += if e.residual { " +add" } else { "" };
            if let Some(act) = &e.act {
                fused += &format!(" +{}", act.name);
            }
        }
        if node.params.iter().any(|p| !matches!(p.source, ParamSource::Named(_))) {
            fused += " +norm";
        }
        out += &format!("{}{fused} ({})\n", node.name, operands.join(", "));
    }
    out
}

#[test]
fn a_block_becomes_its_convolutions() {
    let mut b = Build::new(1);
    let x = b.input("x", Shape::fixed(&[4, 8, 8]));
    let y = b.block(x, 4, 1, false, 1);
    b.zeros = false;
    let y = b.block(y, 8, 2, false, 1);
    let y = b.push(Op::Dropout(0.5), &[y]);
    let y = b.push(Op::Pad(Pad::channels([0; 2])), &[y]);
    let y = b.head(y, 10);
    let (checked, _) = b.finish(&[("output", y)]);
    let optimized = passes::inference(checked.canonical());
    insta::assert_snapshot!("block_graph", text(&optimized));
    let plan = plan(&optimized, &PlanOptions::new(2, 2, Isa::Portable), &Settings::default()).unwrap();
    insta::assert_snapshot!("block_plan", plan);
}

#[test]
fn what_others_read_is_not_fused() {
    let mut b = Build::new(1);
    let x = b.input("x", Shape::fixed(&[4, 8, 8]));
    // the convolution's own result is an output: neither norm nor addition may change it
    let seen = b.conv(x, 4, 3, 1, 1);
    let n = b.norm(seen);
    let n = b.relu(n);
    // both operands of the addition are the same convolution
    let c = b.conv(n, 4, 3, 1, 1);
    let twice = b.plus(c, c);
    // activated already: the addition comes too late
    let d = b.conv(twice, 4, 3, 1, 1);
    let d = b.relu(d);
    let s = b.plus(d, twice);
    // a second norm behind one that was folded
    let e = b.conv(s, 4, 3, 1, 1);
    let e = b.norm(e);
    let e = b.norm(e);
    // dead
    let dead = b.conv(e, 4, 1, 1, 1);
    b.relu(dead);
    let (checked, _) = b.finish(&[("seen", seen), ("output", e)]);
    let optimized = passes::inference(checked.canonical());
    insta::assert_snapshot!("not_fused_graph", text(&optimized));
    let plan = plan(&optimized, &PlanOptions::new(1, 3, Isa::Portable), &Settings::default()).unwrap();
    insta::assert_snapshot!("not_fused_plan", plan);
}

#[test]
fn verify_finds_what_is_broken() {
    let build = || {
        let mut b = Build::new(1);
        let x = b.input("x", Shape::fixed(&[4, 8, 8]));
        let c = b.conv(x, 4, 3, 1, 1);
        let y = b.relu(c);
        (c, b.finish(&[("output", y)]).0)
    };
    let (c, good) = build();
    assert_eq!(passes::verify(&good), Ok(()));
    let broken = |change: &dyn Fn(&mut Checked)| {
        let mut checked = good.clone();
        change(&mut checked);
        passes::verify(&checked).unwrap_err()
    };
    let error = broken(&|n| n.types.results_mut(c.node)[0].shape = Shape::fixed(&[4, 8, 9]));
    assert!(error.contains("shape inference yields 4 x 8 x 8"), "{error}");
    let error = broken(&|n| n.network.graph.node_mut(c.node).params.clear());
    assert!(error.contains("has the parameters []"), "{error}");
    let error = broken(&|n| n.types.results_mut(c.node)[0].rows = Rows::PerBatch);
    assert!(
        error.contains(
            "has shape 4 x 8 x 8 (F32, one value for the whole batch), but shape inference yields 4 x 8 x 8 (F32, a row"
        ),
        "{error}"
    );
    let error = broken(&|n| n.network.graph.add_output("more", Value { port: 3, ..c }));
    assert!(error.contains("the output `more` names"), "{error}");
    let error = broken(&|n| {
        let user = n.network.graph.users(c)[0].0;
        n.network.graph.set_operand(user, 0, Value { port: 3, ..c });
    });
    assert!(error.contains("reads result 3 of %1, which it does not have"), "{error}");
    let error = broken(&|n| n.network.graph.push_operand(c.node, c));
    assert!(error.contains("cycle"), "{error}");
}

#[test]
fn fused_functions_may_name_their_parameters_alike() {
    let mut b = Build::new(1);
    let mut x = b.input("x", Shape::fixed(&[3, 2, 2]));
    for _ in 0..2 {
        let operands = vec![Broadcast::Full, Broadcast::Parameter { init: 0.25 }];
        x = b.push(Elementwise::new("scaled", operands, Program::product()).into(), &[x]);
    }
    let (checked, _) = b.finish(&[("output", x)]);
    let optimized = passes::inference(checked.canonical());
    let plan = plan(&optimized, &PlanOptions::new(1, 1, Isa::Portable), &Settings::default()).unwrap();
    assert_eq!(plan.steps.len(), 1);
    let names: Vec<&str> = plan.weights.iter().map(|weight| &*weight.name).collect();
    assert_eq!(names, ["scaled1.x1", "scaled2.x1"]);
}
