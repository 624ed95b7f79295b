//! Models and sessions: determinism, threads, memory, and what is refused.

use std::alloc::{GlobalAlloc, Layout, System};
use std::cell::Cell;

use crate::common::{Build, noise};
use ndarray::ArrayD;
use resnetc::internal::base::tensor::Tensor;
use resnetc::internal::ir::{Axis, Checked, Dim, Shape};
use resnetc::internal::kernels::Isa;
use resnetc::internal::plan::{ConvStrategy, Kernel, Place, Plan, Step};
use resnetc::internal::runtime::{Model, Outputs, ParamError, ParamStore, RunError, SessionOptions};

/// Counts what this thread allocates.
struct Counting;

thread_local! {
    static COUNT: Cell<usize> = const { Cell::new(0) };
}

// SAFETY: everything is passed on to the system's allocator
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        COUNT.with(|count| count.set(count.get() + 1));
        // SAFETY: as the caller promised
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, pointer: *mut u8, layout: Layout) {
        // SAFETY: as the caller promised
        unsafe { System.dealloc(pointer, layout) }
    }
}

#[global_allocator]
static ALLOCATOR: Counting = Counting;

/// A residual network with that many blocks in each of two stages.
fn net(blocks: usize) -> (Checked, ParamStore) {
    let mut b = Build::new(7);
    let x = b.input("input", Shape::fixed(&[3, 20, 20]));
    let mut x = b.conv(x, 16, 3, 1, 1);
    for i in 0..blocks {
        x = b.block(x, 16, 1, i % 2 == 1, 1);
    }
    for i in 0..blocks {
        x = b.block(x, 32, if i == 0 { 2 } else { 1 }, false, 1);
    }
    let y = b.head(x, 10);
    b.finish(&[("output", y)])
}

fn bits(outputs: &Outputs) -> Vec<u32> {
    outputs.iter().flat_map(|(_, y)| y.iter().map(|v| v.to_bits())).collect()
}

fn model(blocks: usize) -> Model {
    let (checked, params) = net(blocks);
    Model::new(checked, params).unwrap()
}

#[test]
fn the_same_thread_count_gives_the_same_bits() {
    let model = model(2);
    for threads in 1..=4 {
        let mut expected: Option<Vec<u32>> = None;
        for _ in 0..2 {
            let mut session = model.session_with(SessionOptions { threads, ..SessionOptions::default() }).unwrap();
            // other batches between, whose values must not leak through the arena
            for batch in [3, 1, 3, 2, 3] {
                let x = noise(9, &[batch, 3, 20, 20]);
                let found = bits(&session.run(&[("input", x.view())]).unwrap());
                if batch == 3 {
                    assert_eq!(*expected.get_or_insert(found.clone()), found, "{threads} threads");
                }
            }
        }
    }
}

#[test]
fn sessions_in_several_threads_agree_and_share_weights() {
    let model = model(3);
    let x = noise(2, &[2, 3, 20, 20]);
    let expected = bits(
        &model
            .session_with(SessionOptions { threads: 2, ..SessionOptions::default() })
            .unwrap()
            .run(&[("input", x.view())])
            .unwrap(),
    );
    let packed = model.packed_bytes();
    std::thread::scope(|scope| {
        for _ in 0..3 {
            scope.spawn(|| {
                let mut session = model.session_with(SessionOptions { threads: 2, ..SessionOptions::default() }).unwrap();
                for _ in 0..20 {
                    assert_eq!(bits(&session.run(&[("input", x.view())]).unwrap()), expected);
                }
            });
        }
    });
    assert!(packed > 0);
    assert_eq!(model.packed_bytes(), packed);
}

/// Products that a plan's convolutions are cut into: `matrixmultiply` takes a packing buffer for each.
fn products(plan: &Plan) -> usize {
    let of = |step: &Step| match &step.kernel {
        Kernel::Conv { shape, strategy: ConvStrategy::Gemm(tiles), .. } => {
            let filters = shape.filters / shape.groups;
            shape.batch * shape.groups * shape.pixels().div_ceil(tiles.pixels) * filters.div_ceil(tiles.filters)
        }
        _ => 0,
    };
    plan.steps.iter().map(of).sum()
}

#[test]
fn steps_allocate_nothing_of_their_own() {
    let count = |blocks: usize| {
        let mut session = model(blocks).session_with(SessionOptions { threads: 1, ..SessionOptions::default() }).unwrap();
        let x = noise(2, &[1, 3, 20, 20]);
        session.run(&[("input", x.view())]).unwrap();
        let before = COUNT.with(Cell::get);
        session.run(&[("input", x.view())]).unwrap();
        COUNT.with(Cell::get) - before - products(session.last_plan().unwrap())
    };
    // names, arrays and the like of inputs and outputs: the same for any depth
    let shallow = count(1);
    assert!((1..30).contains(&shallow), "{shallow} allocations");
    assert_eq!(count(6), shallow);
}

#[test]
fn a_panic_in_a_step_is_an_error_and_the_session_runs_on() {
    let mut session = model(1).session().unwrap();
    let x = noise(2, &[2, 3, 20, 20]);
    let expected = bits(&session.run(&[("input", x.view())]).unwrap());
    let error = session.run_timed(&[("input", x.view())], |_, _| panic!("as a kernel might")).unwrap_err();
    assert!(matches!(error, RunError::Panicked { .. }), "{error}");
    assert_eq!(bits(&session.run(&[("input", x.view())]).unwrap()), expected);
}

#[test]
fn views_of_any_strides_are_read() {
    let mut session = model(1).session_with(SessionOptions { threads: 1, ..SessionOptions::default() }).unwrap();
    let x = noise(4, &[1, 20, 20, 3]);
    let moved = x.view().permuted_axes(ndarray::IxDyn(&[0, 3, 1, 2]));
    let copied: ArrayD<f32> = moved.as_standard_layout().into_owned();
    let (a, b) = (session.run(&[("input", moved)]).unwrap(), session.run(&[("input", copied.view())]).unwrap());
    assert_eq!(bits(&a), bits(&b));
}

#[test]
fn refuses_inputs_that_do_not_fit() {
    let mut session = model(1).session_with(SessionOptions { threads: 1, ..SessionOptions::default() }).unwrap();
    let mut error = |inputs: &[(&str, &[usize])]| {
        let arrays: Vec<_> = inputs.iter().map(|(name, shape)| (*name, ArrayD::<f32>::zeros(shape.to_vec()))).collect();
        let views: Vec<_> = arrays.iter().map(|(name, x)| (*name, x.view())).collect();
        session.run(&views).unwrap_err().to_string()
    };
    assert_eq!(error(&[("image", &[1, 3, 20, 20])]), "the network has no input `image`; it has `input`");
    assert_eq!(error(&[]), "the input `input` is missing");
    assert_eq!(error(&[("input", &[1, 3, 20, 20]), ("input", &[1, 3, 20, 20])]), "the input `input` is given twice");
    let expected = "expected batch x 3 x 20 x 20";
    assert_eq!(error(&[("input", &[3, 20, 20])]), format!("the input `input` is 3 x 20 x 20; {expected}"));
    assert_eq!(error(&[("input", &[1, 1, 20, 20])]), format!("the input `input` is 1 x 1 x 20 x 20; {expected}"));
    assert_eq!(error(&[("input", &[])]), format!("the input `input` is a scalar; {expected}"));
    assert_eq!(error(&[("input", &[0, 3, 20, 20])]), "the input `input` holds no sample: its batch is 0");
}

#[test]
fn refuses_parameters_that_do_not_fit() {
    let (checked, params) = net(1);
    let without = |name: &str| -> ParamStore {
        params.iter().filter(|(n, _)| *n != name).map(|(n, t)| (n.to_owned(), t.clone())).collect()
    };
    let name = "norm3.running_var";
    assert!(params.get(name).is_some());
    let error = Model::new(checked.clone(), without(name)).unwrap_err();
    assert_eq!(error, ParamError::Missing { name: name.to_owned() });
    let short = Tensor::from_f32(vec![3], vec![1.0; 3]).unwrap();
    let store: ParamStore =
        params.iter().map(|(n, t)| (n.to_owned(), if n == name { short.clone() } else { t.clone() })).collect();
    let error = Model::new(checked, store).unwrap_err();
    assert_eq!(error.to_string(), "the parameter `norm3.running_var` has 3 values where the network needs 16");
}

#[test]
fn free_sizes_are_planned_as_they_come() {
    let mut b = Build::new(3);
    let free = Shape::Known(vec![Dim::Fixed(3), Dim::axis(Axis::H), Dim::axis(Axis::W)]);
    let x = b.input("input", free);
    let c = b.conv(x, 8, 3, 2, 1);
    let n = b.norm(c);
    let n = b.relu(n);
    let p = b.maxpool(n, 3, 2);
    let y = b.head(p, 5);
    let (checked, params) = b.finish(&[("output", y), ("map", p)]);
    let model = Model::new(checked.clone(), params.clone()).unwrap();
    let mut session = model.session_with(SessionOptions { threads: 2, ..SessionOptions::default() }).unwrap();
    for (h, w) in [(9, 14), (33, 8), (9, 14)] {
        let x = noise(1, &[2, 3, h, w]);
        let found = session.run(&[("input", x.view())]).unwrap();
        let expected = resnetc::internal::runtime::interp::run(&checked.canonical(), &params, &[("input", x.view())]).unwrap();
        assert_eq!(found.get("map").unwrap().shape(), [2, 8, h.div_ceil(2).div_ceil(2), w.div_ceil(2).div_ceil(2)]);
        for ((_, a), (_, b)) in found.iter().zip(expected.iter()) {
            assert!(crate::common::distance(a, b) < 1e-4);
        }
    }
    let x = noise(1, &[1, 3, 0, 8]);
    assert!(matches!(session.run(&[("input", x.view())]), Err(RunError::InputShape { .. })));
}

#[test]
fn a_chain_of_blocks_needs_no_more_memory_than_its_largest_step() {
    let arena = |blocks: usize| {
        let mut session = model(blocks).session_with(SessionOptions { threads: 1, isa: Some(Isa::Portable) }).unwrap();
        let x = noise(2, &[1, 3, 20, 20]);
        session.run(&[("input", x.view())]).unwrap();
        let plan = session.last_plan().unwrap();
        let values: usize = plan.buffers.iter().filter(|b| matches!(b.place, Place::Arena(_))).map(|b| b.len).sum();
        (plan.arena - plan.scratch, values)
    };
    let ((a, _), (b, values)) = (arena(2), arena(8));
    assert_eq!(a, b);
    assert!(b * 4 < values, "{b} of {values}");
}
