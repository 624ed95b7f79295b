//! What must hold for any ONNX file: it is refused, or becomes a network that has a source, goes out as ONNX, comes in again, and computes
//! the same all along. The fuzz target `onnx` and the tests on random files call this.

#![allow(clippy::unwrap_used, reason = "a failed unwrap is a failed test")]

use std::path::Path;

use ndarray::ArrayD;
use prost::Message;
use resnetc::internal::base::mmap;
use resnetc::internal::base::render;
use resnetc::internal::check::check;
use resnetc::internal::decompile::{DecompileError, Options, decompile};
use resnetc::internal::driver::Frontend;
use resnetc::internal::formats::onnx::proto::{
    AttributeProto, DimensionProto, GraphProto, ModelProto, NodeProto, OperatorSetIdProto, TensorProto, TensorShapeProto,
    TensorTypeProto, TypeProto, ValueInfoProto,
};
use resnetc::internal::formats::onnx::{ExportError, ExportOptions, Imported, ReadOptions, Source, open, read, write};
use resnetc::internal::ir::{Checked, Op};
use resnetc::internal::runtime::{ParamStore, interp};

use crate::bytes::Bytes;

/// Larger graphs are not written again, to try more files.
const MAX_NODES: usize = 60;
/// Values of a network, and products of its layers, up to which it is computed.
const MAX_VALUES: usize = 100_000;
/// The elements of a value that the nodes of a chosen file read, and the channels of a map.
const MAX_SIZE: usize = 2048;
const MAX_CHANNELS: usize = 32;
/// The size of an axis that is free.
const FREE: usize = 9;

/// A file as it is if it begins with a version, as exporters write it; otherwise the file that the bytes choose.
pub fn check_any(bytes: &[u8]) {
    if bytes.first() == Some(&0x08) {
        file(bytes);
    } else {
        chosen(bytes);
    }
}

/// The contents of a file.
pub fn file(bytes: &[u8]) {
    comes_back(&mmap::Bytes::from(bytes.to_vec()), false, &ExportOptions::default());
}

/// A file made of operators that fit each other, mostly. Returns whether it came back.
pub fn chosen(bytes: &[u8]) -> bool {
    let mut from = Bytes::new(bytes);
    let (keep_names, fold, opset) = (from.flip(), from.flip(), from.one_of(&[17, 15, 18, 21, 28]));
    let file = Writer::new(&mut from).model(&mut from).encode_to_vec();
    comes_back(&mmap::Bytes::from(file), keep_names, &ExportOptions { opset, fold, external_data: false })
}

fn comes_back(file: &mmap::Bytes, keep_names: bool, options: &ExportOptions) -> bool {
    let how = ReadOptions { keep_names, ..ReadOptions::default() };
    let Ok(first) = read(file, Path::new("/nowhere"), &how) else { return false };
    if first.graph.len() > MAX_NODES {
        return false;
    }
    let names = Options { network: "net".to_owned(), doc: None, classes: false, keep_names };
    let made = match decompile(&first.graph, &names) {
        Ok(made) => made,
        Err(error @ DecompileError::Inexpressible { .. }) => panic!("{error}"),
        Err(_) => return false,
    };
    let mut front = Frontend::text("net.resnet", &made.source);
    let checked = front.check(&made.network, &[]);
    let source =
        checked.unwrap_or_else(|| panic!("{}{}", render::terminal(&front.diagnostics, &front.sources, false), made.source));
    let params: ParamStore = made.rename(first.tensors.clone()).into_iter().collect();
    let came_in = check(first.network("net"), &mut Vec::new()).unwrap_or_else(|| panic!("{}", made.source));
    let expected = results(&came_in, &first.params());
    if let Some(expected) = &expected {
        let ours = results(&source, &params).unwrap_or_else(|| panic!("the source computes nothing:\n{}", made.source));
        assert!(same(expected, &ours, 0.0), "the source computes something else:\n{}", made.source);
    }
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("net.onnx");
    match write(&path, &source, &params, &Source::default(), options) {
        Ok(_) => {}
        Err(ExportError::Unsupported { .. }) => return false,
        Err(error) => panic!("{error}\n{}", made.source),
    }
    let again: Imported = open(&path).unwrap_or_else(|error| panic!("{error}\n{}", made.source));
    let returned = check(again.network("again"), &mut Vec::new()).unwrap_or_else(|| panic!("{}", made.source));
    if let Some(expected) = &expected {
        let found = results(&returned, &again.params()).unwrap_or_else(|| panic!("it computes nothing:\n{}", made.source));
        // folded norms round otherwise, and a difference of large numbers shows it
        let most = if options.fold { 0.05 } else { 1e-4 };
        assert!(same(expected, &found, most), "what went out computes something else ({options:?}):\n{}", made.source);
    }
    expected.is_some()
}

/// What a network computes, in the order of its outputs; `None` if it is too large, or reads what no floats are.
fn results(network: &Checked, params: &ParamStore) -> Option<Vec<ArrayD<f32>>> {
    let (mut total, graph) = (0usize, network.graph());
    let mut inputs = Vec::new();
    for id in graph.ids() {
        let sizes: Vec<usize> = network.shape(id).dims()?.iter().map(|d| d.fixed().unwrap_or(4 * FREE)).collect();
        let count = sizes.iter().try_fold(1usize, |n, &size| n.checked_mul(size))?;
        let weights = graph.node(id).params.iter().map(|p| p.shape.iter().skip(1).product::<usize>()).max().unwrap_or(1).max(1);
        total = total.checked_add(count.checked_mul(weights)?)?;
    }
    if total > MAX_VALUES {
        return None;
    }
    for &id in graph.inputs() {
        let node = graph.node(id);
        let Op::Input(shape) = &node.op else { return None };
        let mut sizes = vec![2];
        sizes.extend(shape.dims()?.iter().map(|d| d.fixed().unwrap_or(FREE)));
        let count: usize = sizes.iter().product();
        let values = (0..count).map(|i| ((i * 37 % 101) as f32 - 50.0) / 40.0).collect();
        inputs.push((node.name.clone(), ArrayD::from_shape_vec(sizes, values).unwrap()));
    }
    let views: Vec<_> = inputs.iter().map(|(name, array)| (name.as_str(), array.view())).collect();
    let outputs = interp::run(&network.canonical(), params, &views).ok()?;
    Some(outputs.iter().map(|(_, array)| array.clone()).collect())
}

/// Whether all values are the same, up to this part of the largest of their array.
fn same(a: &[ArrayD<f32>], b: &[ArrayD<f32>], most: f32) -> bool {
    a.len() == b.len()
        && a.iter().zip(b).all(|(a, b)| {
            let scale = a.iter().filter(|v| v.is_finite()).fold(1.0f32, |most, v| most.max(v.abs()));
            let near = |(a, b): (&f32, &f32)| {
                a.to_bits() == b.to_bits()
                    || a.is_nan() && b.is_nan()
                    || (a - b).abs() <= most * scale
                    // what overflows in one of them is near to it in the other
                    || most > 0.0 && !(a.abs() < 1e30 && b.abs() < 1e30)
            };
            a.shape() == b.shape() && a.iter().zip(b).all(near)
        })
}

/// A value of the file: its name, and its sizes after the batch.
#[derive(Clone)]
struct Made {
    name: String,
    sizes: Vec<usize>,
}

/// Writes a file, node by node.
#[derive(Default)]
struct Writer {
    nodes: Vec<NodeProto>,
    constants: Vec<TensorProto>,
    values: Vec<Made>,
    is_free: bool,
}

fn int(name: &str, i: i64) -> AttributeProto {
    AttributeProto { name: Some(name.into()), i: Some(i), ..AttributeProto::default() }
}

fn float(name: &str, f: f32) -> AttributeProto {
    AttributeProto { name: Some(name.into()), f: Some(f), ..AttributeProto::default() }
}

fn list(name: &str, ints: &[i64]) -> AttributeProto {
    AttributeProto { name: Some(name.into()), ints: ints.to_vec(), ..AttributeProto::default() }
}

fn word(name: &str, s: &'static str) -> AttributeProto {
    AttributeProto { name: Some(name.into()), s: Some(s.as_bytes().into()), ..AttributeProto::default() }
}

/// A value in the interface; sizes of 0 are not stated.
fn info(name: &str, sizes: &[usize]) -> ValueInfoProto {
    let dim = |&n: &usize| DimensionProto { dim_value: Some(n as i64).filter(|&n| n > 0), dim_param: None };
    let dims = std::iter::once(&0).chain(sizes).map(dim).collect();
    let tensor = TensorTypeProto { elem_type: Some(1), shape: Some(TensorShapeProto { dim: dims }) };
    ValueInfoProto { name: Some(name.into()), r#type: Some(TypeProto { tensor_type: Some(tensor) }) }
}

/// Functions of one value without attributes.
const UNARY: &[&str] = &[
    "Relu",
    "Sigmoid",
    "Tanh",
    "Softplus",
    "Softsign",
    "Mish",
    "HardSwish",
    "LeakyRelu",
    "Elu",
    "Selu",
    "HardSigmoid",
    "Gelu",
    "Celu",
    "ThresholdedRelu",
    "Swish",
    "Neg",
    "Abs",
    "Exp",
    "Erf",
    "Floor",
    "Ceil",
    "Sqrt",
    "Log",
    "Reciprocal",
    "Sign",
    "Identity",
    "Dropout",
    "GlobalMaxPool",
    "GlobalAveragePool",
    "Flatten",
];

/// Operations on two values.
const BINARY: &[&str] = &["Add", "Mul", "Sub", "Div", "Max", "Min", "Pow", "PRelu"];

impl Writer {
    fn new(from: &mut Bytes<'_>) -> Writer {
        let sizes = match from.below(8) {
            0 => vec![from.one_of(&[4, 3, 6, 8]), FREE],
            1 => vec![from.one_of(&[4, 3, 6, 8])],
            _ => vec![from.one_of(&[4, 3, 6, 8]), from.one_of(&[FREE, 8, 4, 1]), from.one_of(&[FREE, 8, 4, 1])],
        };
        let is_free = sizes.len() > 1 && sizes[1..].iter().all(|&n| n == FREE) && from.flip();
        let values = vec![Made { name: "x".to_owned(), sizes }];
        Writer { values, is_free, ..Writer::default() }
    }

    fn model(mut self, from: &mut Bytes<'_>) -> ModelProto {
        let input = self.values[0].clone();
        while !from.is_empty() && self.nodes.len() < 40 {
            self.step(from);
        }
        let stated: Vec<usize> =
            input.sizes.iter().enumerate().map(|(i, &n)| if self.is_free && i > 0 { 0 } else { n }).collect();
        let mut output = vec![info(&self.values[self.values.len() - 1].name, &[])];
        if self.nodes.len() % 5 == 4 {
            output.push(info(&self.values[self.values.len() / 2].name, &[]));
        }
        let opset = OperatorSetIdProto { domain: None, version: Some(if self.nodes.len() % 4 == 3 { 12 } else { 18 }) };
        let graph = GraphProto {
            node: self.nodes,
            initializer: self.constants,
            input: vec![info("x", &stated)],
            output,
            ..GraphProto::default()
        };
        ModelProto { ir_version: Some(8), opset_import: vec![opset], graph: Some(graph), ..ModelProto::default() }
    }

    /// A value, most often one of the last.
    fn value(&self, from: &mut Bytes<'_>) -> Made {
        let back = if from.below(4) < 3 { 0 } else { from.below(self.values.len().min(6)) };
        self.values[self.values.len() - 1 - back].clone()
    }

    fn node(&mut self, op: &str, inputs: &[&str], attribute: Vec<AttributeProto>) -> String {
        let output = format!("v{}", self.nodes.len());
        let input = inputs.iter().map(|name| (*name).to_owned()).collect();
        self.nodes.push(NodeProto {
            op_type: Some(op.into()),
            input,
            output: vec![output.clone()],
            attribute,
            ..NodeProto::default()
        });
        output
    }

    fn push(&mut self, op: &str, inputs: &[&str], attribute: Vec<AttributeProto>, sizes: Vec<usize>) {
        let name = self.node(op, inputs, attribute);
        // small ones, or weights that read them grow with each node
        let channels = if sizes.len() > 1 { sizes[0] } else { 1 };
        if (1..=MAX_SIZE).contains(&sizes.iter().product()) && channels <= MAX_CHANNELS && !sizes.is_empty() {
            self.values.push(Made { name, sizes });
        }
    }

    /// A single number.
    fn number(&mut self, name: &str, value: f32) -> String {
        let name = format!("n{}.{name}", self.nodes.len());
        self.constants.push(TensorProto {
            name: Some(name.clone()),
            data_type: Some(1),
            float_data: vec![value],
            ..TensorProto::default()
        });
        name
    }

    /// Constants from -1 to 1, or for variances from 0.5 to 1.5.
    fn weight(&mut self, from: &mut Bytes<'_>, role: &str, sizes: &[usize]) -> String {
        let name = format!("layer{}.{role}", self.nodes.len());
        let count: usize = sizes.iter().product();
        let start = usize::from(from.byte());
        let values = (0..count).map(|i| ((i * 29 + start * 7) % 64) as f32 / 32.0 - 1.0);
        let values = values.map(|v| if role == "running_var" { 1.0 + v / 2.0 } else { v });
        self.constants.push(TensorProto {
            name: Some(name.clone()),
            dims: sizes.iter().map(|&n| n as i64).collect(),
            data_type: Some(1),
            raw_data: Some(values.flat_map(f32::to_le_bytes).collect::<Vec<u8>>().into()),
            ..TensorProto::default()
        });
        name
    }

    fn integers(&mut self, role: &str, values: &[i64]) -> String {
        let name = format!("n{}.{role}", self.nodes.len());
        self.constants.push(TensorProto {
            name: Some(name.clone()),
            dims: vec![values.len() as i64],
            data_type: Some(7),
            int64_data: values.to_vec(),
            ..TensorProto::default()
        });
        name
    }

    /// One number, or one for each channel.
    fn operand(&mut self, from: &mut Bytes<'_>, x: &Made) -> String {
        let channels = x.sizes[0];
        let ones = vec![1; x.sizes.len() - 1];
        match from.below(5) {
            0 => self.weight(from, "scale", &[&[channels], &ones[..]].concat()),
            1 => self.weight(from, "scale", &[&[1, channels], &ones[..]].concat()),
            2 => self.weight(from, "scale", &[1]),
            _ => {
                let value = from.one_of(&[2.0, 0.5, 1.0, 3.0, 6.0, 0.0, -1.0, 0.1, 1e-6, 0.707_106_77]);
                self.number("number", value)
            }
        }
    }

    /// The size of an axis after windows, if one fits.
    fn windows(n: usize, [kernel, stride, dilation]: [usize; 3], pads: [usize; 2], ceil: bool) -> usize {
        let Some(rest) = (n + pads[0] + pads[1]).checked_sub(dilation * (kernel - 1) + 1) else { return 0 };
        let rest = if ceil { rest.div_ceil(stride) } else { rest / stride };
        // none that begins in the padding at the end
        if ceil && rest * stride >= n + pads[0] { rest } else { rest + 1 }
    }

    fn step(&mut self, from: &mut Bytes<'_>) {
        let x = self.value(from);
        let [channels, ref map @ ..] = x.sizes[..] else { return };
        let rank = map.len();
        let all = |n: usize| vec![n as i64; rank];
        match from.below(26) {
            0..=3 if rank > 0 => {
                let filters = from.one_of(&[channels, 4, 6, 8, 2 * channels]).min(16);
                let groups = *[1, 1, 1, channels, 2].iter().cycle().nth(from.below(5)).unwrap();
                let [kernel, stride, dilation] =
                    [from.one_of(&[1, 3, 2, 3]), from.one_of(&[1, 1, 2]), from.one_of(&[1, 1, 1, 2])];
                let pads = from.one_of(&[[1, 1], [0, 0], [0, 1], [1, 0]]);
                if !channels.is_multiple_of(groups) || !filters.is_multiple_of(groups) {
                    return;
                }
                let w = self.weight(from, "weight", &[&[filters, channels / groups], &vec![kernel; rank][..]].concat());
                let mut inputs = vec![x.name, w];
                if from.flip() {
                    inputs.push(self.weight(from, "bias", &[filters]));
                }
                let sizes = map.iter().map(|&n| Self::windows(n, [kernel, stride, dilation], pads, false));
                let sizes = std::iter::once(filters).chain(sizes).collect();
                let pads = [vec![pads[0] as i64; rank], vec![pads[1] as i64; rank]].concat();
                let mut attributes = vec![list("pads", &pads), int("group", groups as i64), list("kernel_shape", &all(kernel))];
                attributes.extend([list("strides", &all(stride)), list("dilations", &all(dilation))]);
                let inputs: Vec<&str> = inputs.iter().map(String::as_str).collect();
                self.push("Conv", &inputs, attributes, sizes);
            }
            4 => {
                let of = ["weight", "bias", "running_mean", "running_var"].map(|role| self.weight(from, role, &[channels]));
                let inputs = [&x.name, &of[0], &of[1], &of[2], &of[3]].map(String::as_str);
                self.push("BatchNormalization", &inputs, vec![float("epsilon", 1e-3)], x.sizes.clone());
            }
            5..=7 => {
                let op = from.one_of(UNARY);
                let sizes = match op {
                    "GlobalMaxPool" | "GlobalAveragePool" => std::iter::once(channels).chain(vec![1; rank]).collect(),
                    "Flatten" => vec![x.sizes.iter().product()],
                    _ => x.sizes.clone(),
                };
                let attributes = if op == "LeakyRelu" { vec![float("alpha", 0.1)] } else { Vec::new() };
                self.push(op, &[&x.name], attributes, sizes);
            }
            8 | 9 => {
                let op = from.one_of(BINARY);
                let y = self.operand(from, &x);
                let inputs = if from.below(4) == 3 { [&y[..], &x.name] } else { [&x.name, &y[..]] };
                self.push(op, &inputs, Vec::new(), x.sizes.clone());
            }
            10..=12 => {
                // two values, the second one with a number for each channel or for all of x
                let fits = |other: &&Made| {
                    other.sizes.len() == x.sizes.len()
                        && (other.sizes[0] == channels || other.sizes[0] == 1)
                        && other.sizes[1..].iter().zip(map).all(|(&a, &b)| a == b || a == 1)
                };
                let others: Vec<Made> = self.values.iter().filter(fits).cloned().collect();
                let y = others[from.below(others.len().min(256))].clone();
                let op = from.one_of(BINARY);
                let inputs = if from.flip() { [&x.name[..], &y.name] } else { [&y.name[..], &x.name] };
                self.push(op, &inputs, Vec::new(), x.sizes.clone());
            }
            13 | 14 if rank > 0 => {
                let (kernel, stride, ceil) = (from.one_of(&[2, 3, 1]), from.one_of(&[2, 1, 3]), from.below(4) == 3);
                let pads = if kernel == 1 { [0, 0] } else { from.one_of(&[[0, 0], [1, 1], [0, 1], [1, 0]]) };
                let sizes = map.iter().map(|&n| Self::windows(n, [kernel, stride, 1], pads, ceil));
                let sizes = std::iter::once(channels).chain(sizes).collect();
                let pads = [vec![pads[0] as i64; rank], vec![pads[1] as i64; rank]].concat();
                let mut attributes = vec![list("kernel_shape", &all(kernel)), list("strides", &all(stride)), list("pads", &pads)];
                attributes.push(int("ceil_mode", ceil.into()));
                let is_max = from.flip();
                if !is_max {
                    attributes.push(int("count_include_pad", from.flip().into()));
                }
                self.push(if is_max { "MaxPool" } else { "AveragePool" }, &[&x.name], attributes, sizes);
            }
            15 => {
                let fits = |other: &&Made| other.sizes.len() == x.sizes.len() && other.sizes[1..] == *map;
                let others: Vec<Made> = self.values.iter().filter(fits).cloned().collect();
                let mut parts = vec![x.clone()];
                parts.extend((0..=from.below(2)).map(|_| others[from.below(others.len().min(256))].clone()));
                let sum: usize = parts.iter().map(|part| part.sizes[0]).sum();
                let names: Vec<&str> = parts.iter().map(|part| part.name.as_str()).collect();
                if sum <= 24 {
                    self.push("Concat", &names, vec![int("axis", 1)], [&[sum], map].concat());
                }
            }
            16 if channels > 1 => {
                let first = 1 + from.below(channels - 1);
                let count = self.nodes.len();
                let parts = self.integers("split", &[first as i64, (channels - first) as i64]);
                self.node("Split", &[&x.name, &parts], vec![int("axis", 1)]);
                let second = format!("v{count}_1");
                self.nodes[count].output.push(second.clone());
                self.values.push(Made { name: format!("v{count}"), sizes: [&[first], map].concat() });
                self.values.push(Made { name: second, sizes: [&[channels - first], map].concat() });
            }
            17 => {
                let axis = from.below(x.sizes.len());
                let n = x.sizes[axis];
                let (start, step) = (from.below(n), from.one_of(&[1, 1, 1, 2]));
                let end = start + 1 + from.below(n - start);
                let of = [("starts", start), ("ends", end), ("axes", axis + 1), ("steps", step)];
                let of = of.map(|(role, n)| self.integers(role, &[n as i64]));
                let mut sizes = x.sizes.clone();
                sizes[axis] = (end - start).div_ceil(step);
                self.push("Slice", &[&x.name, &of[0], &of[1], &of[2], &of[3]], Vec::new(), sizes);
            }
            18 if rank > 0 => {
                let mode = from.one_of(&["constant", "reflect", "edge"]);
                let amounts = [from.below(3), from.below(3)];
                let pads: Vec<i64> = amounts.iter().flat_map(|&n| [vec![0, 0], all(n)].concat()).collect();
                let name = self.integers("pads", &pads);
                let sizes = std::iter::once(channels).chain(map.iter().map(|n| n + amounts[0] + amounts[1])).collect();
                self.push("Pad", &[&x.name, &name], vec![word("mode", mode)], sizes);
            }
            19 if rank > 0 && map.iter().all(|&n| n <= 9) => {
                let name = format!("n{}.scales", self.nodes.len());
                let scales = [vec![1.0; 2], vec![2.0; rank]].concat();
                self.constants.push(TensorProto {
                    name: Some(name.clone()),
                    dims: vec![scales.len() as i64],
                    data_type: Some(1),
                    float_data: scales,
                    ..TensorProto::default()
                });
                let mut attributes = vec![word("mode", from.one_of(&["nearest", "linear", "cubic"]))];
                let how = from.one_of(&["asymmetric", "half_pixel", "align_corners", "pytorch_half_pixel"]);
                attributes.push(word("coordinate_transformation_mode", how));
                attributes.push(word("nearest_mode", from.one_of(&["floor", "round_prefer_floor", "ceil"])));
                let sizes = std::iter::once(channels).chain(map.iter().map(|n| 2 * n)).collect();
                self.push("Resize", &[&x.name, "", &name], attributes, sizes);
            }
            20 if rank == 2 => {
                // a mean over some axes, kept or not
                let axes: Vec<i64> = from.one_of(&[&[2, 3][..], &[1], &[2], &[3], &[-1, -2], &[1, 2, 3]]).to_vec();
                let keep = from.below(3) > 0;
                let op = from.one_of(&["ReduceMean", "ReduceMax", "ReduceSum", "ReduceL2"]);
                let sizes = (0..3).filter_map(|i| {
                    let axis = i as i64 + 1;
                    let reduced = axes.contains(&axis) || axes.contains(&(axis - 4));
                    if !reduced { Some(x.sizes[i]) } else { keep.then_some(1) }
                });
                let sizes: Vec<usize> = sizes.collect();
                let attributes = vec![list("axes", &axes), int("keepdims", keep.into())];
                if op == "ReduceSum" {
                    let name = self.integers("axes", &axes);
                    self.push(op, &[&x.name, &name], attributes[1..].to_vec(), sizes);
                } else if sizes.is_empty() {
                    self.node(op, &[&x.name], attributes);
                } else {
                    self.push(op, &[&x.name], attributes, sizes);
                }
            }
            21 if rank == 2 => {
                let order = from.one_of(&[[0, 2, 3, 1], [0, 3, 1, 2], [0, 1, 3, 2], [0, 3, 2, 1], [0, 2, 1, 3]]);
                let sizes = order[1..].iter().map(|&axis| x.sizes[axis as usize - 1]).collect();
                self.push("Transpose", &[&x.name], vec![list("perm", &order)], sizes);
            }
            22 => {
                // a flatten, groups of channels, or any other sizes
                let count: usize = x.sizes.iter().product();
                let sizes = match from.below(4) {
                    0 => vec![count],
                    1 if channels % 2 == 0 => [&[2, channels / 2], map].concat(),
                    2 if rank == 2 => vec![channels, map[0] * map[1]],
                    _ => vec![map.iter().product(), channels],
                };
                let stated: Vec<i64> = std::iter::once(0).chain(sizes.iter().map(|&n| n as i64)).collect();
                let name = self.integers("shape", &stated);
                self.push("Reshape", &[&x.name, &name], Vec::new(), sizes);
            }
            23 => {
                let (features, last) = (from.one_of(&[4, 3, 8]), x.sizes[rank]);
                if rank > 0 || from.flip() {
                    let w = self.weight(from, "weight", &[last, features]);
                    let sizes = [&x.sizes[..rank], &[features]].concat();
                    self.push("MatMul", &[&x.name, &w], Vec::new(), sizes);
                } else {
                    let w = self.weight(from, "weight", &[features, last]);
                    let b = self.weight(from, "bias", &[features]);
                    self.push("Gemm", &[&x.name, &w, &b], vec![int("transB", 1)], vec![features]);
                }
            }
            24 => match from.below(4) {
                0 => self.push("Softmax", &[&x.name], vec![int("axis", from.one_of(&[1, -1, 2]))], x.sizes.clone()),
                1 if rank > 0 => {
                    let of = ["weight", "bias"].map(|role| self.weight(from, role, &[channels]));
                    self.push("InstanceNormalization", &[&x.name, &of[0], &of[1]], Vec::new(), x.sizes.clone());
                }
                2 => {
                    let last = x.sizes[rank];
                    let of = ["weight", "bias"].map(|role| self.weight(from, role, &[last]));
                    self.push("LayerNormalization", &[&x.name, &of[0], &of[1]], vec![int("axis", -1)], x.sizes.clone());
                }
                _ => {
                    let limits = [("low", 0.0), ("high", 6.0)].map(|(name, value)| self.number(name, value));
                    self.push("Clip", &[&x.name, &limits[0], &limits[1]], Vec::new(), x.sizes.clone());
                }
            },
            25 if rank == 2 => match from.below(3) {
                0 if channels % 4 == 0 => {
                    let attributes = vec![int("blocksize", 2), word("mode", from.one_of(&["DCR", "CRD"]))];
                    self.push("DepthToSpace", &[&x.name], attributes, vec![channels / 4, 2 * map[0], 2 * map[1]]);
                }
                1 if map.iter().all(|n| n % 2 == 0) => {
                    let sizes = vec![4 * channels, map[0] / 2, map[1] / 2];
                    self.push("SpaceToDepth", &[&x.name], vec![int("blocksize", 2)], sizes);
                }
                _ => {
                    let axes = from.one_of(&[&[2, 3][..], &[3], &[2]]).to_vec();
                    let kept: Vec<usize> = (0..3).filter(|&i| !axes.contains(&(i as i64 + 1))).map(|i| x.sizes[i]).collect();
                    if axes.iter().all(|&axis| x.sizes[axis as usize - 1] == 1) {
                        let name = self.integers("axes", &axes);
                        self.push("Squeeze", &[&x.name, &name], Vec::new(), kept);
                    }
                }
            },
            _ => {
                // arms: a convolution and what it reads, joined by their sum
                let w = self.weight(from, "weight", &[&[channels, channels], &vec![1; rank][..]].concat());
                if rank > 0 {
                    let y = self.node("Conv", &[&x.name, &w], Vec::new());
                    self.push("Add", &[&y, &x.name], Vec::new(), x.sizes.clone());
                }
            }
        }
    }
}
