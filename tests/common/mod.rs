//! Networks built by hand or at random, with random parameters.

#![allow(clippy::unwrap_used, reason = "a failed unwrap is a failed test")]
#![allow(dead_code, reason = "each test file uses its part")]

use ndarray::ArrayD;
use resnetc::internal::base::source::{SourceMap, Span};
use resnetc::internal::base::tensor::Tensor;
use resnetc::internal::elementwise::{Binary, Builder, Unary};
use resnetc::internal::ir::{
    BatchNorm, Broadcast, Checked, Conv, Elementwise, Epilogue, Graph, Linear, Network, Node, NormOver, Op, Origin, Pad, Param,
    ParamRole, ParamSource, Pool, PoolKind, Precision, Precisions, SampleNorm, Shape, Types, Value,
};
use resnetc::internal::runtime::ParamStore;

/// A small random number generator (SplitMix64), with the same sequence on every machine.
pub struct Rng(pub u64);

impl Rng {
    pub fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    /// A number from `low` to `high`, inclusive.
    pub fn range(&mut self, low: usize, high: usize) -> usize {
        low + (self.next() % (high - low + 1) as u64) as usize
    }

    pub fn one_of<T: Clone>(&mut self, list: &[T]) -> T {
        list[self.range(0, list.len() - 1)].clone()
    }

    pub fn flip(&mut self) -> bool {
        self.next() & 1 == 1
    }

    /// Uniformly distributed from -1 to 1.
    pub fn unit(&mut self) -> f32 {
        (self.next() >> 40) as f32 / (1u64 << 23) as f32 - 1.0
    }
}

/// A network under construction.
pub struct Build {
    pub graph: Graph,
    pub types: Types,
    pub tensors: Vec<(String, Tensor)>,
    pub rng: Rng,
    /// Whether a block with a change in shape may use zero padding instead of a projection.
    pub zeros: bool,
    span: Span,
    count: usize,
}

impl Build {
    pub fn new(seed: u64) -> Build {
        let file = SourceMap::default().add_text("test", "");
        let rng = Rng(seed);
        Build {
            graph: Graph::default(),
            types: Types::default(),
            tensors: Vec::new(),
            rng,
            zeros: true,
            span: Span::new(file, 0..0),
            count: 0,
        }
    }

    pub fn shape(&self, value: Value) -> &Shape {
        self.types.shape(value)
    }

    pub fn sizes(&self, value: Value) -> Vec<usize> {
        self.shape(value).sizes().unwrap()
    }

    pub fn input(&mut self, name: &str, shape: Shape) -> Value {
        self.add(name, Op::Input(shape), &[])
    }

    /// Adds a node, named by its keyword and a number.
    pub fn push(&mut self, op: Op, operands: &[Value]) -> Value {
        self.count += 1;
        let stem = op.word().trim_start_matches("batch");
        let name = format!("{stem}{}", self.count);
        self.add(&name, op, operands)
    }

    pub fn add(&mut self, name: &str, op: Op, operands: &[Value]) -> Value {
        let inputs: Vec<Shape> = operands.iter().map(|&v| self.shape(v).clone()).collect();
        let mut list = Vec::new();
        for (role, sizes) in op.params(&inputs) {
            let full = format!("{name}.{}", op.param_name(role));
            list.push(Param { role, shape: sizes.clone(), source: ParamSource::Named(full.clone()) });
            let len: usize = sizes.iter().product();
            let fan = (len / sizes[0]).max(1) as f32;
            let rng = &mut self.rng;
            let values: Vec<f32> = (0..len)
                .map(|_| match (role, sizes.len()) {
                    (ParamRole::Weight, 1) => 1.0 + 0.5 * rng.unit(),
                    (ParamRole::Weight, _) => rng.unit() * (6.0 / fan).sqrt(),
                    (ParamRole::Bias | ParamRole::RunningMean, _) => 0.3 * rng.unit(),
                    (ParamRole::RunningVar, _) => 1.0 + 0.9 * rng.unit(),
                    (ParamRole::Gain, _) => 1.0 + 0.5 * rng.unit(),
                    (ParamRole::Operand(_), _) if matches!(op, Op::Gem(_)) => 3.0 + rng.unit(),
                    (ParamRole::Operand(_), _) => 0.5 * rng.unit(),
                })
                .collect();
            self.tensors.push((full, Tensor::from_f32(sizes, values).unwrap()));
        }
        let origin = Origin { span: self.span, frame: None };
        let id = self.graph.add(Node { op, name: name.to_owned(), params: list, precision: Precision::F32, origin }, operands);
        self.types.infer(&self.graph, id).unwrap_or_else(|e| panic!("{name}: {e}"));
        Value::from(id)
    }

    pub fn conv(&mut self, x: Value, filters: usize, kernel: usize, stride: usize, groups: usize) -> Value {
        let p = (kernel - 1) / 2;
        let conv = Conv {
            filters,
            kernel: [kernel; 2],
            stride: [stride; 2],
            pad: [[p; 2]; 2],
            dilation: [1; 2],
            groups,
            bias: false,
            standardize: None,
            epilogue: Epilogue::default(),
        };
        self.push(Op::Conv(conv), &[x])
    }

    pub fn norm(&mut self, x: Value) -> Value {
        self.push(Op::BatchNorm(BatchNorm { eps: 1e-5, momentum: 0.1 }), &[x])
    }

    /// A norm of each sample.
    pub fn sample_norm(&mut self, x: Value, over: NormOver) -> Value {
        let norm = SampleNorm { over, eps: 1e-5, affine: self.rng.flip() };
        self.push(Op::SampleNorm(norm), &[x])
    }

    pub fn relu(&mut self, x: Value) -> Value {
        self.push(Op::relu(), &[x])
    }

    pub fn sigmoid(&mut self, x: Value) -> Value {
        self.push(Elementwise::sigmoid().into(), &[x])
    }

    /// The product with a value of the same shape, or of one number per channel.
    pub fn times(&mut self, x: Value, factor: Value) -> Value {
        let broadcast = Broadcast::of_factor(self.shape(x), self.shape(factor));
        self.push(Elementwise::mul(broadcast).into(), &[x, factor])
    }

    /// `x c c + p s y + tanh(w x) u`, with an operand of each kind, computed from `x`: `c` for each channel, `p` for each pixel, `s` for
    /// each sample, `y` for each element, `w` a parameter for each channel and `u` one for all.
    pub fn each_kind(&mut self, x: Value, channels: usize) -> Value {
        let first = self.conv(x, channels, 1, 1, 1);
        let y = self.conv(x, channels, 3, 1, 1);
        let channel = self.push(Op::AdaptiveAvgPool([1, 1]), &[y]);
        let pixel = self.conv(x, 1, 3, 1, 1);
        let sample = self.push(Op::AdaptiveAvgPool([1, 1]), &[pixel]);
        let mut b = Builder::new(7);
        let [x, c, p, s, w, u, z] = [0, 1, 2, 3, 4, 5, 6].map(|slot| b.operand(slot));
        let gated = b.binary(Binary::Mul, x, c);
        let gated = b.binary(Binary::Mul, gated, c);
        let spread = b.binary(Binary::Mul, p, s);
        let spread = b.binary(Binary::Mul, spread, z);
        let scaled = b.binary(Binary::Mul, w, x);
        let bent = b.unary(Unary::Tanh, scaled);
        let bent = b.binary(Binary::Mul, bent, u);
        let sum = b.binary(Binary::Add, gated, spread);
        let sum = b.binary(Binary::Add, sum, bent);
        let (parameter, shared) = (Broadcast::Parameter { init: 0.5 }, Broadcast::Shared { init: 0.5 });
        let kinds =
            vec![Broadcast::Full, Broadcast::Channel, Broadcast::Pixel, Broadcast::Scalar, parameter, shared, Broadcast::Full];
        let function = Elementwise::new("each_kind", kinds, b.finish(sum).unwrap());
        self.push(function.into(), &[first, channel, pixel, sample, y])
    }

    pub fn sum(&mut self, values: &[Value]) -> Value {
        self.push(Elementwise::add(values.len()).unwrap().into(), values)
    }

    pub fn plus(&mut self, a: Value, b: Value) -> Value {
        self.push(Op::add(), &[a, b])
    }

    pub fn maxpool(&mut self, x: Value, kernel: usize, stride: usize) -> Value {
        let p = (kernel - 1) / 2;
        let pool = Pool { kind: PoolKind::MAX, kernel: [kernel; 2], stride: [stride; 2], pad: [[p; 2]; 2], ceil: false };
        self.push(Op::Pool(pool), &[x])
    }

    pub fn linear(&mut self, x: Value, features: usize) -> Value {
        self.push(Op::Linear(Linear { features, bias: true, epilogue: Epilogue::default() }), &[x])
    }

    pub fn head(&mut self, x: Value, classes: usize) -> Value {
        let x = self.push(Op::AdaptiveAvgPool([1, 1]), &[x]);
        let x = self.push(Op::Flatten, &[x]);
        self.linear(x, classes)
    }

    /// A block of the paper: basic, or a bottleneck with expansion 4; with a projection (or zero padding) if the shape changes.
    pub fn block(&mut self, x: Value, filters: usize, stride: usize, bottleneck: bool, groups: usize) -> Value {
        let width = if bottleneck { 4 * filters } else { filters };
        let mut y = x;
        let convs: &[(usize, usize, usize, usize)] = if bottleneck {
            &[(filters, 1, 1, 1), (filters, 3, stride, groups), (width, 1, 1, 1)]
        } else {
            &[(filters, 3, stride, 1), (filters, 3, 1, groups)]
        };
        for (i, &(f, k, s, g)) in convs.iter().enumerate() {
            y = self.conv(y, f, k, s, g);
            y = self.norm(y);
            if i + 1 < convs.len() {
                y = self.relu(y);
            }
        }
        let channels = self.sizes(x)[0];
        let shortcut = if stride == 1 && channels == width {
            x
        } else if self.zeros && channels <= width && self.rng.flip() {
            let s = if stride > 1 { self.push(Op::Subsample([stride; 2]), &[x]) } else { x };
            self.push(Op::Pad(Pad::channels([0, width - channels])), &[s])
        } else {
            let s = self.conv(x, width, 1, stride, 1);
            self.norm(s)
        };
        let y = self.plus(y, shortcut);
        self.relu(y)
    }

    pub fn finish(mut self, outputs: &[(&str, Value)]) -> (Checked, ParamStore) {
        for (name, value) in outputs {
            self.graph.add_output(*name, *value);
        }
        let network = Network {
            name: "net".to_owned(),
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
        };
        (Checked::new(network, self.types), self.tensors.into_iter().collect())
    }
}

/// ResNet-18 or -50 with random weights.
pub fn resnet(depths: [usize; 4], bottleneck: bool, size: usize) -> (Checked, ParamStore) {
    let mut b = Build::new(1);
    b.zeros = false;
    let x = b.input("input", Shape::fixed(&[3, size, size]));
    let x = b.conv(x, 64, 7, 2, 1);
    let x = b.norm(x);
    let x = b.relu(x);
    let mut x = b.maxpool(x, 3, 2);
    for (stage, &depth) in depths.iter().enumerate() {
        for i in 0..depth {
            let stride = if stage > 0 && i == 0 { 2 } else { 1 };
            x = b.block(x, 64 << stage, stride, bottleneck, 1);
        }
    }
    let y = b.head(x, 1000);
    b.finish(&[("output", y)])
}

/// An array of random numbers.
pub fn noise(seed: u64, shape: &[usize]) -> ArrayD<f32> {
    let mut rng = Rng(seed);
    ArrayD::from_shape_simple_fn(shape.to_vec(), || rng.unit() * 1.7)
}

/// The maximum difference, relative to the standard deviation of the second array (to its mean, if it is nearly constant).
pub fn distance(a: &ArrayD<f32>, b: &ArrayD<f32>) -> f64 {
    assert_eq!(a.shape(), b.shape());
    let n = b.len() as f64;
    let mean = b.iter().map(|&v| f64::from(v)).sum::<f64>() / n;
    let deviation = (b.iter().map(|&v| (f64::from(v) - mean).powi(2)).sum::<f64>() / n).sqrt();
    let scale = if deviation > 1e-3 * mean.abs() { deviation } else { mean.abs().max(1e-3) };
    let largest = a
        .iter()
        .zip(b)
        .map(|(&a, &b)| (f64::from(a) - f64::from(b)).abs())
        .fold(0.0, |m: f64, d| if d > m || d.is_nan() { d } else { m });
    largest / scale
}
