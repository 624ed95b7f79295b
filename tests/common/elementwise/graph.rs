//! Networks of functions, fused by the passes and run by sessions, against the ranges of their functions one by one; against the same
//! network in which every value is an output, so that nothing can be fused; and the interpreter against both.

use ndarray::ArrayD;
use resnetc::internal::base::tensor::Tensor;
use resnetc::internal::elementwise::{Instruction, Program, Unary};
use resnetc::internal::ir::dump::{DumpOptions, dump};
use resnetc::internal::ir::{Broadcast, Checked, Elementwise, Shape, Value};
use resnetc::internal::kernels::Isa;
use resnetc::internal::runtime::{Model, Outputs, ParamStore, SessionOptions, interp};

use super::bytes::Bytes;
use super::case::{Kind, program, sizes, values};
use super::range::{Range, Rounding, evaluate};
use crate::common::Build;

/// The ranges of a value's elements: from kernels, and from kernels or f64.
type Ranges = Vec<[Range; 2]>;

/// A network under construction, with what each of its values may be.
struct Net {
    build: Build,
    sizes: [usize; 4],
    /// Values and their ranges, by their kind next to the result.
    known: Vec<(Kind, Value, Ranges)>,
    inputs: Vec<(String, ArrayD<f32>)>,
    programs: Vec<Program>,
}

/// A network that can be run.
struct Built {
    checked: Checked,
    params: ParamStore,
    inputs: Vec<(String, ArrayD<f32>)>,
    /// What its last value may be.
    ranges: Ranges,
    programs: Vec<Program>,
}

pub fn check(bytes: &mut Bytes<'_>) {
    let fused = built(&mut bytes.clone(), false);
    let apart = built(bytes, true);
    let inputs: Vec<_> = fused.inputs.iter().map(|(name, x)| (name.as_str(), x.view())).collect();
    let interpreted = interp::run(&fused.checked.canonical(), &fused.params, &inputs).unwrap();
    within(&fused, &interpreted, 1, "the interpreter");
    let models = [&fused, &apart].map(|net| Model::new(net.checked.clone(), net.params.clone()).unwrap());
    for isa in Isa::ALL.into_iter().filter(|isa| isa.is_available()) {
        for threads in [1, 2] {
            let options = SessionOptions { threads, isa: Some(isa) };
            let [found, expected] = [0, 1].map(|at: usize| {
                let found = models[at].session_with(options).unwrap().run(&inputs);
                found.unwrap_or_else(|error| panic!("{isa}: {error}\n{}", dump(models[at].optimized(), DumpOptions::default())))
            });
            let how = format!("{isa}, {threads} threads");
            within(&fused, &found, 0, &how);
            if keeps_bits(&fused.programs) {
                let same = found.main().iter().zip(expected.main()).all(|(a, b)| a == b || a.is_nan() && b.is_nan());
                assert!(same, "{how}: fused {found:?}, apart {expected:?}\n{:?}", fused.programs);
            }
        }
    }
}

fn within(net: &Built, found: &Outputs, which: usize, how: &str) {
    assert_eq!(found.main().len(), net.ranges.len());
    for (at, (&found, allowed)) in found.main().iter().zip(&net.ranges).enumerate() {
        let allowed = allowed[which];
        assert!(
            allowed.contains(f64::from(found)),
            "{how}: {found:e} at {at}, instead of {allowed:?}\n{:?}\n{}\n{:?}",
            net.inputs,
            dump(&net.checked, DumpOptions::default()),
            net.programs
        );
    }
}

/// Whether fused programs compute the same instructions. A function of a constant is computed when they are fused, which rounds it
/// correctly, and `tanh(softplus(x))` in one step.
fn keeps_bits(programs: &[Program]) -> bool {
    let any =
        |op: Unary| programs.iter().flat_map(|p| p.instructions()).any(|i| matches!(i, Instruction::Unary(o, _) if *o == op));
    let is_constant = |p: &Program| matches!(p.instructions().last(), Some(Instruction::Constant(_)));
    let is_joined = any(Unary::Tanh) && any(Unary::Softplus);
    !is_joined && !programs.iter().any(is_constant)
}

fn built(bytes: &mut Bytes<'_>, all: bool) -> Built {
    let sizes = sizes(bytes);
    let mut net = Net { build: Build::new(1), sizes, known: Vec::new(), inputs: Vec::new(), programs: Vec::new() };
    let conv = bytes.flip();
    for kind in [Kind::Full, Kind::Full, Kind::Channel, Kind::Pixel, Kind::Sample] {
        net.input(kind, conv && net.known.is_empty(), bytes);
    }
    if conv {
        net.identity();
    }
    for _ in 0..1 + bytes.below(4) {
        net.function(bytes);
    }
    net.finish(all)
}

impl Net {
    fn input(&mut self, kind: Kind, finite: bool, bytes: &mut Bytes<'_>) {
        let sizes = kind.sizes(self.sizes);
        let name = format!("x{}", self.inputs.len());
        let mut numbers = values(bytes, sizes.iter().product());
        if finite {
            numbers.iter_mut().filter(|x| !x.is_finite()).for_each(|x| *x = 1.0);
        }
        let ranges = numbers.iter().map(|&x| [Range::of(f64::from(x)); 2]).collect();
        let value = self.build.input(&name, Shape::fixed(&sizes[1..]));
        self.known.push((kind, value, ranges));
        self.inputs.push((name, ArrayD::from_shape_vec(sizes.to_vec(), numbers).unwrap()));
    }

    /// A convolution that is the identity, into which what follows is fused.
    fn identity(&mut self) {
        let (_, x, ranges) = self.known[0].clone();
        let filters = self.sizes[1];
        let value = self.build.conv(x, filters, 1, 1, 1);
        let weights: Vec<f32> = (0..filters * filters).map(|i| f32::from(u8::from(i % (filters + 1) == 0))).collect();
        self.replace_last(weights);
        let ranges = ranges.into_iter().map(|pair| pair.map(Range::with_any_zero)).collect();
        self.known.push((Kind::Full, value, ranges));
    }

    /// Gives the parameter that was added last these values.
    fn replace_last(&mut self, values: Vec<f32>) {
        let (_, tensor) = self.build.tensors.last_mut().unwrap();
        *tensor = Tensor::from_f32(tensor.shape().to_vec(), values).unwrap();
    }

    /// A value of a kind: mostly a recent one.
    fn choose(&self, kind: Kind, bytes: &mut Bytes<'_>) -> (Value, Ranges) {
        let fitting: Vec<&(Kind, Value, Ranges)> = self.known.iter().filter(|(k, ..)| *k == kind).collect();
        let (_, value, ranges) = fitting[fitting.len() - 1 - bytes.below(fitting.len())];
        (*value, ranges.clone())
    }

    /// A function of the last value, or of one per channel.
    fn function(&mut self, bytes: &mut Bytes<'_>) {
        let of = if bytes.below(8) == 7 { Kind::Channel } else { Kind::Full };
        let kinds: Vec<Kind> = match of {
            Kind::Channel => vec![Kind::Full],
            _ => (0..1 + bytes.below(3))
                .map(|slot| if slot == 0 || bytes.flip() { Kind::Full } else { bytes.one_of(&Kind::ALL) })
                .collect(),
        };
        let program = program(bytes, kinds.len());
        // as a builder makes it
        let slots: Vec<usize> = (0..kinds.len()).collect();
        let program = program.with_operands(kinds.len(), &slots).unwrap();
        let sizes = of.sizes(self.sizes);
        let (mut operands, mut ranges) = (Vec::new(), Vec::new());
        for (slot, &kind) in kinds.iter().enumerate() {
            if let Kind::Parameter | Kind::Shared = kind {
                ranges.push(Vec::new());
            } else {
                let (value, of_value) = if slot == 0 && of == Kind::Full && bytes.flip() {
                    let (_, value, ranges) = self.known.iter().rfind(|(k, ..)| *k == Kind::Full).unwrap();
                    (*value, ranges.clone())
                } else {
                    self.choose(if of == Kind::Channel { Kind::Channel } else { kind }, bytes)
                };
                operands.push(value);
                ranges.push(of_value);
            }
        }
        let broadcasts: Vec<Broadcast> = kinds.iter().map(|&kind| broadcast(kind)).collect();
        let before = self.build.tensors.len();
        let value = self.build.push(Elementwise::new("f", broadcasts, program.clone()).into(), &operands);
        let learned = (0..kinds.len()).filter(|&slot| matches!(kinds[slot], Kind::Parameter | Kind::Shared));
        for (at, slot) in learned.enumerate() {
            let numbers = values(bytes, kinds[slot].sizes(sizes).iter().product());
            ranges[slot] = numbers.iter().map(|&x| [Range::of(f64::from(x)); 2]).collect();
            let (_, tensor) = &mut self.build.tensors[before + at];
            *tensor = Tensor::from_f32(tensor.shape().to_vec(), numbers).unwrap();
        }
        let element = |at: usize| {
            [(Rounding::Kernel, 0), (Rounding::Any, 1)].map(|(rounding, which)| {
                let of = |slot: usize| ranges[slot][kinds[slot].index(at, sizes)][which];
                evaluate(&program, &(0..kinds.len()).map(of).collect::<Vec<Range>>(), rounding)
            })
        };
        let result = (0..sizes.iter().product()).map(element).collect();
        self.known.push((of, value, result));
        self.programs.push(program);
    }

    /// The last full value is the main output; with `all`, every value is one.
    fn finish(self, all: bool) -> Built {
        let Net { build, known, inputs, programs, .. } = self;
        let (_, last, ranges) = known.iter().rfind(|(kind, ..)| *kind == Kind::Full).unwrap().clone();
        let mut outputs = vec![("output".to_owned(), last)];
        if all {
            let others = known.iter().skip(inputs.len()).filter(|(_, value, _)| *value != last);
            outputs.extend(others.enumerate().map(|(at, (_, value, _))| (format!("output{at}"), *value)));
        }
        let outputs: Vec<(&str, Value)> = outputs.iter().map(|(name, value)| (name.as_str(), *value)).collect();
        let (checked, params) = build.finish(&outputs);
        Built { checked, params, inputs, ranges, programs }
    }
}

fn broadcast(kind: Kind) -> Broadcast {
    match kind {
        Kind::Full => Broadcast::Full,
        Kind::Channel => Broadcast::Channel,
        Kind::Pixel => Broadcast::Pixel,
        Kind::Sample => Broadcast::Scalar,
        Kind::Parameter => Broadcast::Parameter { init: 0.0 },
        Kind::Shared => Broadcast::Shared { init: 0.0 },
    }
}
