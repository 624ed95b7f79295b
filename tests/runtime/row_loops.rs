//! Counted rows: operators that begin and collect them, run through plan, arena and interpreter. The language has none yet, so
//! these are given here: `select` picks pixels, `patches` begins a row for each, and `collect` sums the rows of each sample.

use std::sync::Arc;

use crate::common::{Build, distance, noise};
use resnetc::internal::base::tensor::DType;
use resnetc::internal::decompile::decompile;
use resnetc::internal::formats::onnx;
use resnetc::internal::grad::{self, GradOptions};
use resnetc::internal::ir::{
    Broadcast, Checked, Chunk, Custom, CustomOp, Elementwise, Op, Reference, Rows, Shape, ShapeError, Slice, SliceMut,
    TensorType, Value, infer,
};
use resnetc::internal::kernels::Isa;
use resnetc::internal::passes;
use resnetc::internal::plan::{Place, Plan, PlanOptions, Settings, plan};
use resnetc::internal::runtime::{Model, OutputArray, Outputs, ParamStore, SessionOptions, interp};
use resnetc::internal::torch;

/// Sizes of a feature map.
#[derive(Clone, Copy, Debug)]
struct Map {
    channels: usize,
    height: usize,
    width: usize,
}

impl Map {
    fn of(shape: &Shape) -> Map {
        let [channels, height, width] = shape.sizes().unwrap().try_into().unwrap();
        Map { channels, height, width }
    }

    fn pixels(self) -> usize {
        self.height * self.width
    }

    /// The pixels of a sample whose first channel exceeds the threshold.
    fn kept<T: Copy + Into<f64>>(self, sample: &[T], threshold: f64) -> Vec<usize> {
        (0..self.pixels()).filter(|&at| sample[at].into() > threshold).collect()
    }

    /// The 3x3 pixels around a pixel of a sample, with zeros outside.
    fn patch<T: Copy + Default>(self, sample: &[T], at: usize) -> Vec<T> {
        let mut patch = Vec::with_capacity(9 * self.channels);
        for channel in 0..self.channels {
            for tap in 0..9 {
                let (y, x) = ((at / self.width + tap / 3).wrapping_sub(1), (at % self.width + tap % 3).wrapping_sub(1));
                let inside = y < self.height && x < self.width;
                patch.push(if inside { sample[channel * self.pixels() + y * self.width + x] } else { T::default() });
            }
        }
        patch
    }
}

fn f32_of<'a>(slice: &Slice<'a>) -> &'a [f32] {
    if let Slice::F32(values) = slice { values } else { panic!("{slice:?}") }
}

/// `x` to the number of pixels whose first channel exceeds a threshold, i32, and to their positions, i64, filled up with -1.
#[derive(Debug)]
struct Select {
    of: Map,
    threshold: f64,
}

impl Custom for Select {
    fn word(&self) -> &'static str {
        "select"
    }

    fn infer(&self, operands: &[TensorType]) -> Result<Vec<TensorType>, ShapeError> {
        assert_eq!(operands.len(), 1);
        let of = |dtype, size| TensorType { dtype, rows: Rows::PerSample, shape: Shape::fixed(&[size]) };
        Ok(vec![of(DType::I32, 1), of(DType::I64, self.of.pixels())])
    }

    fn evaluate(&self, operands: &[Reference<'_>]) -> Vec<Vec<f64>> {
        let (mut counts, mut positions) = (Vec::new(), Vec::new());
        for sample in operands[0].data.chunks(self.of.channels * self.of.pixels()) {
            let kept = self.of.kept(sample, self.threshold);
            counts.push(kept.len() as f64);
            positions.extend(kept.iter().map(|&at| at as f64));
            positions.resize(positions.len() + self.of.pixels() - kept.len(), -1.0);
        }
        vec![counts, positions]
    }

    fn run(&self, operands: &[Slice<'_>], results: &mut [SliceMut<'_>], chunk: Option<&Chunk<'_>>) {
        assert!(chunk.is_none());
        let [SliceMut::I32(counts), SliceMut::I64(positions)] = results else { panic!("{results:?}") };
        positions.fill(-1);
        let samples = f32_of(&operands[0]).chunks(self.of.channels * self.of.pixels());
        for ((sample, count), positions) in samples.zip(counts.iter_mut()).zip(positions.chunks_mut(self.of.pixels())) {
            let kept = self.of.kept(sample, self.threshold);
            *count = kept.len() as i32;
            positions.iter_mut().zip(kept).for_each(|(to, at)| *to = at as i64);
        }
    }
}

/// `(x, counts, positions)` to a row for each position: the 3x3 pixels around it.
#[derive(Debug)]
struct Patches {
    of: Map,
}

impl Custom for Patches {
    fn word(&self) -> &'static str {
        "patches"
    }

    fn infer(&self, operands: &[TensorType]) -> Result<Vec<TensorType>, ShapeError> {
        assert_eq!(operands.len(), 3);
        let shape = Shape::fixed(&[self.of.channels, 3, 3]);
        Ok(vec![TensorType { dtype: DType::F32, rows: Rows::Counted(self.of.pixels()), shape }])
    }

    fn counts(&self) -> Option<usize> {
        Some(1)
    }

    fn evaluate(&self, operands: &[Reference<'_>]) -> Vec<Vec<f64>> {
        let samples = operands[0].data.chunks(self.of.channels * self.of.pixels());
        let positions = operands[2].data.chunks(self.of.pixels());
        let rows = samples.zip(positions).zip(operands[1].data);
        vec![rows.flat_map(|((x, at), &n)| at[..n as usize].iter().flat_map(|&at| self.of.patch(x, at as usize))).collect()]
    }

    fn run(&self, operands: &[Slice<'_>], results: &mut [SliceMut<'_>], chunk: Option<&Chunk<'_>>) {
        let ([x, _, Slice::I64(positions)], [SliceMut::F32(rows)]) = (operands, results) else { panic!("{operands:?}") };
        let (x, pixels) = (f32_of(x), self.of.pixels());
        rows.fill(0.0);
        for ((sample, row), to) in chunk.unwrap().rows().zip(rows.chunks_mut(9 * self.of.channels)) {
            let sample_of = &x[sample * self.of.channels * pixels..][..self.of.channels * pixels];
            to.copy_from_slice(&self.of.patch(sample_of, positions[sample * pixels + row] as usize));
        }
    }
}

/// Counted rows to their sum for each sample, and to how many were added, i32.
#[derive(Debug)]
struct Collect;

impl Custom for Collect {
    fn word(&self) -> &'static str {
        "collect"
    }

    fn infer(&self, operands: &[TensorType]) -> Result<Vec<TensorType>, ShapeError> {
        let [TensorType { rows: Rows::Counted(_), dtype, shape }] = operands else { panic!("{operands:?}") };
        let count = TensorType { dtype: DType::I32, rows: Rows::PerSample, shape: Shape::fixed(&[1]) };
        Ok(vec![TensorType { dtype: *dtype, rows: Rows::PerSample, shape: shape.clone() }, count])
    }

    fn evaluate(&self, operands: &[Reference<'_>]) -> Vec<Vec<f64>> {
        let Reference { shape, data, counts } = operands[0];
        let (size, counts) = (shape[1..].iter().product(), counts.unwrap());
        let mut rows = data.chunks(size);
        let mut sums = vec![0.0; counts.len() * size];
        for (sum, &count) in sums.chunks_mut(size).zip(counts) {
            rows.by_ref().take(count).for_each(|row| sum.iter_mut().zip(row).for_each(|(sum, v)| *sum += v));
        }
        vec![sums, counts.iter().map(|&n| n as f64).collect()]
    }

    fn run(&self, operands: &[Slice<'_>], results: &mut [SliceMut<'_>], chunk: Option<&Chunk<'_>>) {
        let chunk = chunk.unwrap();
        let [SliceMut::F32(sums), SliceMut::I32(added)] = results else { panic!("{results:?}") };
        if chunk.start == 0 {
            sums.fill(0.0);
            added.fill(0);
        }
        let size = sums.len() / chunk.counts.len();
        for ((sample, _), row) in chunk.rows().zip(f32_of(&operands[0]).chunks(size)) {
            sums[sample * size..][..size].iter_mut().zip(row).for_each(|(sum, v)| *sum += v);
            added[sample] += 1;
        }
    }
}

const CHANNELS: usize = 12;
const SIZE: usize = 7;
const BOUND: usize = SIZE * SIZE;

fn custom(op: impl Custom + 'static) -> Op {
    Op::Custom(CustomOp(Arc::new(op)))
}

fn port(value: Value, port: u8) -> Value {
    Value { port, ..value }
}

/// Selects pixels of `x`, and begins a row for each in `features`: the selection and the rows.
fn begin(b: &mut Build, x: Value, features: Value, threshold: f64) -> (Value, Value) {
    let select = Select { of: Map::of(b.shape(x)), threshold };
    let selected = b.push(custom(select), &[x]);
    let patches = Patches { of: Map::of(b.shape(features)) };
    let rows = b.push(custom(patches), &[features, port(selected, 0), port(selected, 1)]);
    (selected, rows)
}

/// Rows through a block of convolutions with a projection, a gate and linear layers, between operators that are computed once.
fn network(threshold: f64) -> (Checked, ParamStore) {
    let mut b = Build::new(3);
    b.zeros = false;
    let x = b.input("input", Shape::fixed(&[CHANNELS, SIZE, SIZE]));
    let features = b.conv(x, 20, 3, 1, 1);
    let features = b.relu(features);
    let (selected, rows) = begin(&mut b, x, features, threshold);
    let y = b.block(rows, 8, 1, true, 1);
    let gate = b.push(Op::AdaptiveAvgPool([1, 1]), &[y]);
    let gate = b.conv(gate, 32, 1, 1, 1);
    let gate = b.push(Elementwise::sigmoid().into(), &[gate]);
    let y = b.push(Elementwise::mul(Broadcast::Channel).into(), &[y, gate]);
    let more = b.conv(y, 16, 1, 1, 1);
    let y = b.push(Op::Concat, &[y, more]);
    let y = b.conv(y, 24, 3, 2, 1);
    let y = b.head(y, 40);
    let y = b.relu(y);
    let sums = b.push(custom(Collect), &[y]);
    // what the loop reads is also read after it
    let pooled = b.head(features, 40);
    let y = b.plus(sums, pooled);
    let y = b.linear(y, 10);
    b.finish(&[("output", y), ("positions", port(selected, 1)), ("added", port(sums, 1))])
}

fn model(threshold: f64, chunk_rows: Option<usize>) -> Model {
    let (checked, params) = network(threshold);
    Model::new(checked, params).unwrap().with_settings(Settings { chunk_rows, ..Settings::default() })
}

fn run(model: &Model, isa: Isa, threads: usize, x: &ndarray::ArrayD<f32>) -> Outputs {
    let mut session = model.session_with(SessionOptions { threads, isa: Some(isa) }).unwrap();
    session.run(&[("input", x.view())]).unwrap()
}

fn available() -> impl Iterator<Item = Isa> {
    Isa::ALL.into_iter().filter(|isa| isa.is_available())
}

fn arena_and_plan(model: &Model, isa: Isa, batch: usize) -> (usize, Plan) {
    let plan = model.plan(&PlanOptions::new(batch, 2, isa), [None; 2]).unwrap();
    (plan.arena - plan.scratch * plan.options.threads, plan)
}

#[test]
fn chunks_of_any_size_agree_with_the_oracle() {
    let x = noise(7, &[3, CHANNELS, SIZE, SIZE]);
    // some rows, none, all; and none in some samples
    let mut uneven = x.clone();
    uneven.slice_mut(ndarray::s![0..2, 0, .., ..]).fill(-1.0);
    for (threshold, x) in [(0.5, &x), (f64::INFINITY, &x), (f64::NEG_INFINITY, &x), (0.0, &uneven)] {
        let (checked, params) = network(threshold);
        let expected = interp::run(&checked.canonical(), &params, &[("input", x.view())]).unwrap();
        for chunk_rows in [Some(1), Some(5), Some(32), None] {
            let model = model(threshold, chunk_rows);
            for isa in available() {
                let found = run(&model, isa, 2, x);
                assert!(distance(found.main(), expected.main()) < 1e-4, "{threshold}, chunks of {chunk_rows:?}, {isa}");
                for name in ["positions", "added"] {
                    assert!(found.get(name).is_none());
                    assert_eq!(found.array(name), expected.array(name), "{name}");
                }
                assert_eq!(found, run(&model, isa, 2, x), "the same bits again");
            }
        }
        let Some(OutputArray::I32(added)) = expected.array("added") else { panic!("{expected:?}") };
        let added = added.iter().map(|&n| n as usize).collect::<Vec<_>>();
        match threshold {
            f64::INFINITY => assert_eq!(added, [0; 3]),
            f64::NEG_INFINITY => assert_eq!(added, [BOUND; 3]),
            0.0 => assert!(added[0] == 0 && added[1] == 0 && (5..BOUND).contains(&added[2]), "{added:?}"),
            _ => assert!(added.iter().all(|n| (5..BOUND - 5).contains(n)), "{added:?}"),
        }
    }
}

#[test]
fn the_arena_holds_the_rows_of_a_chunk() {
    for isa in available() {
        let arena = |rows| arena_and_plan(&model(0.0, Some(rows)), isa, 4);
        let ((few, plan), (all, whole)) = (arena(8), arena(4 * BOUND));
        assert_eq!((plan.loops[0].rows, plan.loops[0].bound, whole.loops[0].rows), (8, BOUND, 4 * BOUND));
        assert!(few * 8 < all, "{isa}: {few} of {all}");
        // more than there can be is not planned
        assert_eq!(arena(1_000_000).0, all);
    }
}

#[test]
fn the_plan_of_a_loop() {
    let (_, plan) = arena_and_plan(&model(0.0, Some(8)), Isa::Avx512, 2);
    insta::assert_snapshot!("loop_plan", plan);
    // what is converted for the loop is converted once, before it
    let inside: Vec<&str> = plan.steps[plan.loops[0].steps.clone()].iter().map(|step| step.name.as_str()).collect();
    let from_outside = |id| !plan.steps[plan.loops[0].steps.clone()].iter().any(|step| step.outputs.contains(&id));
    for step in &plan.steps[plan.loops[0].steps.clone()] {
        assert!(!step.name.starts_with("to ") || !from_outside(step.inputs[0]), "{inside:?}");
    }
}

#[test]
fn what_a_loop_reads_lives_as_long_as_the_loop() {
    for isa in available() {
        let (_, plan) = arena_and_plan(&model(0.0, Some(8)), isa, 2);
        let [rows] = &plan.loops[..] else { panic!("{} loops", plan.loops.len()) };
        let inside = &plan.steps[rows.steps.clone()];
        let range = |id| match plan.buffer(id).place {
            Place::Arena(at) => at..at + plan.buffer(id).len,
            Place::Input(_) | Place::Output(_) => 0..0,
        };
        let written: Vec<_> = inside.iter().flat_map(|step| &step.outputs).copied().collect();
        let carried = inside.iter().flat_map(|step| &step.inputs).copied().filter(|id| !written.contains(id));
        let after = plan.steps[rows.steps.end..].iter().flat_map(|step| &step.inputs);
        let collected = after.copied().filter(|id| written.contains(id));
        for id in carried.chain([rows.counts]).chain(collected) {
            for &other in written.iter().filter(|&&other| other != id) {
                let (a, b) = (range(id), range(other));
                assert!(a.end <= b.start || b.end <= a.start, "{isa}: {a:?} is overwritten by {b:?}");
            }
        }
    }
}

#[test]
fn every_step_is_timed_once() {
    let model = model(f64::NEG_INFINITY, Some(5));
    let mut session = model.session_with(SessionOptions { threads: 1, isa: None }).unwrap();
    let x = noise(1, &[1, CHANNELS, SIZE, SIZE]);
    let mut names = Vec::new();
    session.run_timed(&[("input", x.view())], |step, _| names.push(step.name.clone())).unwrap();
    let planned: Vec<String> = session.last_plan().unwrap().steps.iter().map(|step| step.name.clone()).collect();
    names.sort();
    let mut sorted = planned.clone();
    sorted.sort();
    assert_eq!(names, sorted);
    assert!(session.first_not_finite(&[("input", x.view())]).unwrap().is_none());
}

/// What the planner and the interpreter say of a network.
fn refusal(checked: &Checked, params: &ParamStore) -> String {
    let x = noise(1, &[1, CHANNELS, SIZE, SIZE]);
    let said = interp::run(&checked.canonical(), params, &[("input", x.view())]).unwrap_err().to_string();
    let optimized = passes::inference(checked.canonical());
    let error = plan(&optimized, &PlanOptions::new(1, 1, Isa::Portable), &Settings::default()).unwrap_err();
    assert_eq!(error.to_string(), said);
    said
}

fn built(make: impl Fn(&mut Build, Value) -> Vec<(&'static str, Value)>) -> (Checked, ParamStore) {
    let mut b = Build::new(5);
    let x = b.input("input", Shape::fixed(&[CHANNELS, SIZE, SIZE]));
    let outputs = make(&mut b, x);
    b.finish(&outputs)
}

#[test]
fn rows_do_not_leave_their_loop() {
    let (checked, params) = built(|b, x| {
        let (_, rows) = begin(b, x, x, 0.0);
        let y = b.head(rows, 4);
        let sums = b.push(custom(Collect), &[y]);
        vec![("output", sums), ("rows", rows)]
    });
    let said = refusal(&checked, &params);
    assert!(said.contains("the output `rows` has a number of rows that is counted") && said.contains("`patches2`"), "{said}");

    let (checked, params) = built(|b, x| {
        let ((_, a), (_, other)) = (begin(b, x, x, 0.0), begin(b, x, x, 0.5));
        let sum = b.plus(a, other);
        let y = b.head(sum, 4);
        vec![("output", b.push(custom(Collect), &[y]))]
    });
    let said = refusal(&checked, &params);
    assert!(said.contains("reads the rows that begin at `patches2` and those that begin at `patches4`"), "{said}");
}

#[test]
fn a_loop_does_not_read_what_it_computes() {
    /// `(rows, sums)` to the rows.
    #[derive(Debug)]
    struct Again;

    impl Custom for Again {
        fn word(&self) -> &'static str {
            "again"
        }

        fn infer(&self, operands: &[TensorType]) -> Result<Vec<TensorType>, ShapeError> {
            Ok(vec![operands[0].clone()])
        }

        fn evaluate(&self, operands: &[Reference<'_>]) -> Vec<Vec<f64>> {
            vec![operands[0].data.to_vec()]
        }

        fn run(&self, _: &[Slice<'_>], _: &mut [SliceMut<'_>], _: Option<&Chunk<'_>>) {}
    }

    let (checked, params) = built(|b, x| {
        let (_, rows) = begin(b, x, x, 0.0);
        let y = b.head(rows, 4);
        let sums = b.push(custom(Collect), &[y]);
        let after = b.relu(sums);
        let again = b.push(custom(Again), &[y, after]);
        vec![("output", b.push(custom(Collect), &[again]))]
    });
    let said = refusal(&checked, &params);
    assert!(
        said.contains("an operator of the loop over the rows that begin at `patches2` reads what is computed from"),
        "{said}"
    );
}

#[test]
fn counts_are_i32_with_one_for_each_sample() {
    let (checked, params) = built(|b, x| {
        let selected = b.push(custom(Select { of: Map::of(b.shape(x)), threshold: 0.0 }), &[x]);
        let patches = Patches { of: Map::of(b.shape(x)) };
        let rows = b.push(custom(patches), &[x, port(selected, 1), port(selected, 1)]);
        vec![("output", b.push(custom(Collect), &[rows]))]
    });
    let said = refusal(&checked, &params);
    assert!(said.contains("`patches2` begins counted rows, and has no operand with one I32 per sample"), "{said}");
}

#[test]
fn counts_beyond_the_bound_are_an_error() {
    /// More rows than there can be.
    #[derive(Debug)]
    struct Wrong(i32);

    impl Custom for Wrong {
        fn word(&self) -> &'static str {
            "wrong"
        }

        fn infer(&self, _: &[TensorType]) -> Result<Vec<TensorType>, ShapeError> {
            let of = |dtype, size| TensorType { dtype, rows: Rows::PerSample, shape: Shape::fixed(&[size]) };
            Ok(vec![of(DType::I32, 1), of(DType::I64, BOUND)])
        }

        fn evaluate(&self, _: &[Reference<'_>]) -> Vec<Vec<f64>> {
            vec![vec![f64::from(self.0)], vec![0.0; BOUND]]
        }

        fn run(&self, _: &[Slice<'_>], results: &mut [SliceMut<'_>], _: Option<&Chunk<'_>>) {
            if let SliceMut::I32(counts) = &mut results[0] {
                counts.fill(self.0);
            }
        }
    }

    for wrong in [-1, BOUND as i32 + 1] {
        let (checked, params) = built(|b, x| {
            let selected = b.push(custom(Wrong(wrong)), &[x]);
            let rows = b.push(custom(Patches { of: Map::of(b.shape(x)) }), &[x, selected, port(selected, 1)]);
            vec![("output", b.push(custom(Collect), &[rows]))]
        });
        let mut session = Model::new(checked, params).unwrap().session().unwrap();
        let x = noise(1, &[1, CHANNELS, SIZE, SIZE]);
        let error = session.run(&[("input", x.view())]).unwrap_err().to_string();
        assert!(error.contains(&format!("{wrong} rows are counted in a sample")), "{error}");
    }
}

#[test]
fn operators_state_what_rows_and_elements_they_take() {
    let of = |dtype, rows| TensorType { dtype, rows, shape: Shape::fixed(&[4, 3, 3]) };
    let rows = of(DType::F32, Rows::Counted(9));
    let error = infer(&Op::add(), &[rows.clone(), of(DType::F32, Rows::PerSample)]).unwrap_err().to_string();
    assert_eq!(error, "`add` needs up to 9 counted rows per sample, not a row per sample");
    let error = infer(&Op::Softmax(None), &[of(DType::I32, Rows::PerSample)]).unwrap_err().to_string();
    assert_eq!(error, "`softmax` needs elements of type F32, not I32");
    // otherwise rows are computed like samples
    assert_eq!(infer(&Op::add(), &[rows.clone(), rows.clone()]), Ok(vec![rows]));
}

#[test]
fn only_f32_can_be_the_main_output() {
    let (checked, params) = built(|b, x| {
        let selected = b.push(custom(Select { of: Map::of(b.shape(x)), threshold: 0.0 }), &[x]);
        vec![("output", selected)]
    });
    let said = refusal(&checked, &params);
    assert!(said.contains("the output `output` has elements of type I32: the main output has F32"), "{said}");
}

#[test]
fn what_has_no_form_elsewhere_is_refused() {
    let (checked, params) = network(0.0);
    let error = grad::training(&checked.canonical(), &GradOptions::default()).unwrap_err().to_string();
    assert_eq!(error, "`select3` cannot be trained through: `select` has no gradient");
    let error = torch::write(&checked, None).unwrap_err().to_string();
    assert_eq!(error, "`select3` cannot be exported to PyTorch: it has several results");
    let path = std::env::temp_dir().join("never-written.onnx");
    let error = onnx::write(&path, &checked, &params, &onnx::Source::default(), &Default::default()).unwrap_err().to_string();
    assert!(error.contains("`select3`") && error.contains("it is not an operator of the language"), "{error}");
    let error = decompile(checked.graph(), &Default::default()).unwrap_err().to_string();
    assert!(error.contains("`select3` is a variant of `select` for which the language has no statement"), "{error}");
}
