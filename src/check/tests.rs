//! The checker on hand-made graphs; `tests/cases` covers the messages for source files.

use super::check;
use crate::base::source::{SourceMap, Span};
use crate::ir::summary::{Totals, layers, stages};
use crate::ir::{Conv, Epilogue, Graph, Network, Node, Op, Origin, ParamSource, Precision, Precisions, Shape, Value};

struct Build {
    graph: Graph,
    span: Span,
}

impl Build {
    fn new() -> Build {
        let file = SourceMap::default().add_text("test", "");
        Build { graph: Graph::default(), span: Span::new(file, 0..0) }
    }

    fn add(&mut self, name: &str, op: Op, operands: &[Value]) -> Value {
        let origin = Origin { span: self.span, frame: None };
        self.graph.add(Node { op, name: name.into(), params: Vec::new(), precision: Precision::F32, origin }, operands).into()
    }

    fn conv(&mut self, name: &str, filters: usize, from: Value) -> Value {
        let op = Op::Conv(Conv {
            filters,
            kernel: [3; 2],
            stride: [1; 2],
            pad: [[1; 2]; 2],
            dilation: [1; 2],
            groups: 1,
            bias: true,
            standardize: None,
            epilogue: Epilogue::default(),
        });
        self.add(name, op, &[from])
    }

    fn network(mut self, output: Value) -> Network {
        self.graph.add_output("output", output);
        Network {
            name: "net".into(),
            span: self.span,
            graph: self.graph,
            stages: Vec::new(),
            shortcuts: Vec::new(),
            labeled: Vec::new(),
            expects: Vec::new(),
            preprocess: None,
            labels: Vec::new(),
            weights: None,
            precision: Precisions::default(),
            recipe: None,
        }
    }
}

#[test]
fn parameters_are_named_after_their_layers() {
    let mut b = Build::new();
    let x = b.add("input", Op::Input(Shape::fixed(&[3, 8, 8])), &[]);
    let y = b.conv("layer1.0.conv1", 4, x);
    let mut diags = Vec::new();
    let checked = check(b.network(y), &mut diags).unwrap();
    let params = &checked.graph().node(y.node).params;
    let named: Vec<_> = params.iter().map(|p| (p.source.clone(), p.shape.clone())).collect();
    let name = |suffix: &str| ParamSource::Named(format!("layer1.0.conv1.{suffix}"));
    assert_eq!(named, [(name("weight"), vec![4, 3, 3, 3]), (name("bias"), vec![4])]);
    assert!(checked.graph().node(x.node).params.is_empty());
}

#[test]
fn layers_count_along_the_longest_path() {
    let mut b = Build::new();
    let x = b.add("input", Op::Input(Shape::fixed(&[4, 8, 8])), &[]);
    let first = b.conv("first", 4, x);
    let second = b.conv("second", 4, first);
    let side = b.conv("side", 4, x);
    let sum = b.add("sum", Op::add(), &[second, side]);
    let act = b.add("act", Op::relu(), &[sum]);
    let last = b.conv("last", 4, act);
    let checked = check(b.network(last), &mut Vec::new()).unwrap();
    assert_eq!(layers(&checked), 3, "the convolution on the short path is not counted");
    // 4 x 4 x 9 + 4 each; multiply-adds without the biases
    assert_eq!(Totals::of(&checked), Totals { layers: 3, params: 4 * 148, macs: Some(4 * 144 * 64) });
    assert_eq!(stages(&checked).len(), 1);
}

#[test]
fn one_failure_is_one_error_and_no_network() {
    let mut b = Build::new();
    let x = b.add("input", Op::Input(Shape::fixed(&[3, 8, 8])), &[]);
    let wide = b.conv("wide", 8, x);
    let sum = b.add("sum", Op::add(), &[wide, x]);
    let mut value = sum;
    for i in 0..3 {
        value = b.conv(&format!("after{i}"), 4, value);
        value = b.add(&format!("again{i}"), Op::add(), &[value, sum]);
    }
    let mut diags = Vec::new();
    assert!(check(b.network(value), &mut diags).is_none());
    assert_eq!(diags.len(), 1, "{diags:?}");
}

#[test]
fn absurd_attributes_are_errors_and_nothing_overflows() {
    let huge = usize::MAX;
    let mut b = Build::new();
    let x = b.add("input", Op::Input(Shape::fixed(&[3, 8, 8])), &[]);
    let big = b.conv("big", huge, x);
    let pool = crate::ir::Pool {
        kind: crate::ir::PoolKind::MAX,
        kernel: [huge; 2],
        stride: [huge; 2],
        pad: [[huge / 2; 2]; 2],
        ceil: true,
    };
    let pooled = b.add("pool", Op::Pool(pool), &[x]);
    let sum = b.add("sum", Op::add(), &[big, pooled]);
    let mut diags = Vec::new();
    assert!(check(b.network(sum), &mut diags).is_none());
    // both have the same place in the (empty) source: one is reported, the other counted
    assert_eq!(diags.len(), 1, "{diags:?}");
    assert_eq!(diags[0].notes, ["note: the same happens in 1 more use of this line"]);
}
