use super::*;
use crate::ir::{
    Axis, Broadcast, Conv, ConvTranspose, Elementwise, Epilogue, Linear, Pad, Pool, PoolKind, Rearrange, SquareOrder, Squares,
    Target, Upsample,
};

fn conv(filters: usize, k: usize, stride: usize, pad: usize) -> Conv {
    Conv {
        filters,
        kernel: [k; 2],
        stride: [stride; 2],
        pad: [[pad; 2]; 2],
        dilation: [1; 2],
        groups: 1,
        bias: false,
        standardize: None,
        epilogue: Epilogue::default(),
    }
}

fn conv_1d(kernel: [usize; 2], stride: [usize; 2], pad: [[usize; 2]; 2]) -> Op {
    Op::Conv(Conv { kernel, stride, pad, ..conv(8, 1, 1, 0) })
}

fn pool(k: usize, stride: usize, pad: usize, ceil: bool) -> Op {
    Op::Pool(Pool { kind: PoolKind::MAX, kernel: [k; 2], stride: [stride; 2], pad: [[pad; 2]; 2], ceil })
}

fn shape(op: &Op, dims: &[usize]) -> Result<Shape, ShapeError> {
    infer_shape(op, &[Shape::fixed(dims)])
}

#[test]
fn windows_slide_as_in_pytorch() {
    assert_eq!(shape(&Op::Conv(conv(64, 7, 2, 3)), &[3, 224, 224]), Ok(Shape::fixed(&[64, 112, 112])));
    assert_eq!(shape(&Op::Conv(conv(64, 3, 2, 1)), &[3, 7, 8]), Ok(Shape::fixed(&[64, 4, 4])));
    assert_eq!(shape(&Op::Conv(Conv { dilation: [2, 2], ..conv(8, 3, 1, 2) }), &[3, 9, 5]), Ok(Shape::fixed(&[8, 9, 5])));
    assert_eq!(shape(&pool(3, 2, 1, false), &[64, 112, 112]), Ok(Shape::fixed(&[64, 56, 56])));
    // ceil_mode: 7 -> 4, and a last window that would start in the trailing padding is dropped (torch: 6 -> 3, not 4)
    assert_eq!(shape(&pool(2, 2, 0, true), &[8, 7, 7]), Ok(Shape::fixed(&[8, 4, 4])));
    assert_eq!(shape(&pool(2, 2, 1, true), &[8, 5, 5]), Ok(Shape::fixed(&[8, 3, 3])));
    assert_eq!(shape(&pool(2, 2, 1, true), &[8, 6, 6]), Ok(Shape::fixed(&[8, 4, 4])));
}

#[test]
fn sizes_that_are_rounded_up_are_pytorchs() {
    // max_pool1d(zeros(1, 1, n), kernel, stride, padding, dilation, ceil_mode=True) for n of 1 to 8; 0 where it is an error, or a window
    // sees no value
    for ((kernel, stride, pad, dilation), sizes) in [
        ((2, 1, 0, 1), [0, 1, 2, 3, 4, 5, 6, 7]),
        ((2, 2, 0, 1), [1, 1, 2, 2, 3, 3, 4, 4]),
        ((2, 3, 0, 1), [1, 1, 1, 2, 2, 2, 3, 3]),
        ((3, 1, 0, 1), [0, 0, 1, 2, 3, 4, 5, 6]),
        ((3, 2, 0, 1), [0, 1, 1, 2, 2, 3, 3, 4]),
        ((3, 2, 1, 1), [1, 2, 2, 3, 3, 4, 4, 5]),
        ((3, 4, 0, 1), [1, 1, 1, 1, 2, 2, 2, 2]),
        ((3, 4, 1, 1), [1, 1, 1, 2, 2, 2, 2, 3]),
        ((2, 3, 1, 1), [1, 1, 2, 2, 2, 3, 3, 3]),
        ((2, 2, 0, 2), [0, 1, 1, 2, 2, 3, 3, 4]),
        ((2, 4, 0, 2), [1, 1, 1, 1, 2, 2, 2, 2]),
        ((3, 3, 0, 2), [0, 0, 1, 1, 1, 2, 2, 2]),
        ((3, 2, 1, 2), [0, 1, 1, 2, 2, 3, 3, 4]),
    ] {
        let kind = PoolKind::Max { dilation: [1, dilation] };
        let pad = [[0; 2], [pad; 2]];
        let pool = Pool { kind, kernel: [1, kernel], stride: [1, stride], pad, ceil: true };
        for (n, size) in (1..).zip(sizes) {
            let found = shape(&Op::Pool(pool), &[3, 1, n]).ok();
            assert_eq!(found, (size > 0).then(|| Shape::fixed(&[3, 1, size])), "{pool:?} of {n}");
        }
    }
}

#[test]
fn a_window_larger_than_the_padded_map_is_an_error() {
    let error = shape(&Op::Conv(conv(8, 5, 1, 1)), &[3, 2, 9]);
    assert_eq!(error, Err(ShapeError::Window { window: 5, map: Dim::Fixed(2), padding: 2 }));
    // stride 2 must not turn "does not fit" into an output of one by rounding towards zero
    assert!(matches!(shape(&Op::Conv(conv(8, 3, 2, 0)), &[3, 2, 2]), Err(ShapeError::Window { .. })));
}

#[test]
fn slices_keep_the_map_and_stay_in_their_operand() {
    assert_eq!(shape(&Op::Slice(2..5), &[8, 4, 3]), Ok(Shape::fixed(&[3, 4, 3])));
    assert_eq!(shape(&Op::Slice(0..2), &[8]), Ok(Shape::fixed(&[2])));
    assert_eq!(shape(&Op::Slice(2..5), &[8, 40]), Ok(Shape::fixed(&[3, 40])));
    assert_eq!(shape(&Op::Slice(7..9), &[8, 4, 3]), Err(ShapeError::Slice { start: 7, count: 2, all: 8 }));
    assert!(shape(&Op::Slice(2..2), &[8, 4, 3]).is_err());
}

#[test]
fn a_crop_leaves_something() {
    let sides = [[1, 0], [2, 1]];
    assert_eq!(shape(&Op::Crop(sides), &[8, 4, 5]), Ok(Shape::fixed(&[8, 3, 2])));
    assert_eq!(shape(&Op::Crop([[0, 0], [2, 1]]), &[8, 5]), Ok(Shape::fixed(&[8, 2])));
    let none = Err(ShapeError::Cropped { cropped: 3, size: Dim::Fixed(3) });
    assert_eq!(shape(&Op::Crop(sides), &[8, 4, 3]), none);
    assert!(shape(&Op::Crop([[usize::MAX; 2]; 2]), &[8, 4, 3]).is_err());
}

#[test]
fn rearranged_values_keep_every_value() {
    let squares = |side, order| Squares { side, order };
    let pixels = |side| squares(side, SquareOrder::ByChannel);
    let of = |rearrange, x: &[usize]| shape(&Op::Rearrange(rearrange), x);
    assert_eq!(of(Rearrange::Shuffle(4), &[12, 5, 5]), Ok(Shape::fixed(&[12, 5, 5])));
    assert_eq!(of(Rearrange::Shuffle(5), &[12, 5, 5]), Err(ShapeError::Groups { what: "channels", count: 12, groups: 5 }));
    assert_eq!(of(Rearrange::SpaceToDepth(pixels(3)), &[2, 6, 9]), Ok(Shape::fixed(&[18, 2, 3])));
    assert_eq!(
        of(Rearrange::SpaceToDepth(pixels(2)), &[2, 6, 9]),
        Err(ShapeError::Blocks { what: "columns", count: 9, block: 2 })
    );
    assert_eq!(of(Rearrange::DepthToSpace(pixels(3)), &[18, 2, 3]), Ok(Shape::fixed(&[2, 6, 9])));
    assert_eq!(
        of(Rearrange::DepthToSpace(pixels(2)), &[6, 2, 3]),
        Err(ShapeError::Blocks { what: "channels", count: 6, block: 4 })
    );
    assert_eq!(of(Rearrange::Transpose([2, 0, 1]), &[2, 3, 4]), Ok(Shape::fixed(&[4, 2, 3])));
    assert_eq!(of(Rearrange::Reshape([Some(4), None, Some(2)]), &[2, 3, 4]), Ok(Shape::fixed(&[4, 3, 2])));
    assert_eq!(of(Rearrange::Reshape([Some(4), None, Some(2)]), &[24]), Ok(Shape::fixed(&[4, 3, 2])));
    assert!(matches!(of(Rearrange::Reshape([Some(5), None, Some(2)]), &[2, 3, 4]), Err(ShapeError::Reshape { values: 24, .. })));
    assert_eq!(shape(&Op::Softmax(Some(2)), &[6, 1, 1]), Ok(Shape::fixed(&[6, 1, 1])));
    assert_eq!(shape(&Op::Softmax(Some(4)), &[6]), Err(ShapeError::Groups { what: "channels", count: 6, groups: 4 }));
    // a free size passes where nothing depends on it
    let free = Shape::Known(vec![Dim::Fixed(6), Dim::axis(Axis::H), Dim::axis(Axis::W)]);
    let of = |rearrange| infer_shape(&Op::Rearrange(rearrange), std::slice::from_ref(&free));
    assert_eq!(of(Rearrange::Shuffle(2)), Ok(free.clone()));
    assert!(of(Rearrange::Transpose([0, 2, 1])).is_ok());
    for other in [Rearrange::Transpose([1, 0, 2]), Rearrange::SpaceToDepth(pixels(2)), Rearrange::Reshape([None; 3])] {
        assert!(matches!(of(other), Err(ShapeError::Free { .. })), "{other:?}");
    }
}

#[test]
fn absurd_numbers_are_errors_not_overflows() {
    let huge = usize::MAX;
    for op in [
        Op::Conv(Conv { filters: huge, ..conv(1, 3, 1, 1) }),
        Op::Conv(Conv { dilation: [huge; 2], ..conv(1, 3, 1, 1) }),
        Op::Conv(Conv { stride: [huge; 2], ..conv(1, 3, 1, 1) }),
        Op::Conv(conv(1, huge, 1, huge)),
        Op::Conv(conv(1, 1, 1, huge)),
        Op::Conv(conv(1, 0, 1, 0)),
        Op::Conv(Conv { groups: 0, ..conv(1, 1, 1, 0) }),
        Op::Pad(Pad { channels: [huge, huge], ..Pad::zeros([[huge; 2]; 2]) }),
        Op::Subsample([0, 0]),
        Op::AdaptiveAvgPool([huge, huge]),
        pool(0, 1, 0, false),
        pool(3, 0, 1, true),
    ] {
        assert!(shape(&op, &[3, 8, 8]).is_err(), "{op:?}");
    }
    assert!(shape(&Op::Flatten, &[huge, huge, huge]).is_err());
}

#[test]
fn free_sizes_stay_free_and_known_ones_do_not() {
    let x = Shape::Known(vec![Dim::Fixed(3), Dim::axis(Axis::H), Dim::axis(Axis::W)]);
    let y = infer_shape(&Op::Conv(conv(64, 7, 2, 3)), &[x]).unwrap();
    assert_eq!(y.to_string(), "64 x ceil(H/2) x ceil(W/2)");
    let y = infer_shape(&pool(3, 2, 1, false), &[y]).unwrap();
    assert_eq!(y.to_string(), "64 x ceil(H/4) x ceil(W/4)");
    assert!(matches!(infer_shape(&Op::Flatten, std::slice::from_ref(&y)), Err(ShapeError::Free { .. })));
    assert_eq!(infer_shape(&Op::AdaptiveAvgPool([1, 1]), &[y]), Ok(Shape::fixed(&[64, 1, 1])));
}

#[test]
fn free_sizes_that_can_be_equal_may_be_added() {
    let x = Shape::Known(vec![Dim::Fixed(8), Dim::axis(Axis::H), Dim::axis(Axis::W)]);
    let up = infer_shape(&pool(3, 2, 1, false), std::slice::from_ref(&x)).unwrap(); // ceil(H/2)
    let down = infer_shape(&pool(2, 2, 0, false), std::slice::from_ref(&x)).unwrap(); // H/2
    assert_eq!(infer_shape(&Op::add(), &[up.clone(), down.clone()]), Ok(up.clone()));
    assert_eq!(infer_shape(&Op::Concat, &[down.clone(), up]).map(|s| s.channels()), Ok(Some(16)));
    // offsets that differ by the divisor are never equal; different divisors eventually diverge
    let shifted = infer_shape(&pool(2, 2, 1, false), std::slice::from_ref(&x)).unwrap(); // (H+2)/2
    assert!(matches!(infer_shape(&Op::add(), &[down.clone(), shifted]), Err(ShapeError::Unequal { .. })));
    assert!(matches!(infer_shape(&Op::add(), &[x, down]), Err(ShapeError::Unequal { .. })));
}

#[test]
fn enlarged_free_sizes_stay_free() {
    let map = |channels| Shape::Known(vec![Dim::Fixed(channels), Dim::axis(Axis::H), Dim::axis(Axis::W)]);
    let infer = |op: &Op, x: &Shape| infer_shape(op, std::slice::from_ref(x)).unwrap();
    let up = |factor: f64| Op::Upsample(Upsample::nearest(Target::Factor([factor; 2])));
    let down = infer(&Op::Conv(conv(8, 3, 2, 1)), &map(8));
    let twice = infer(&up(2.0), &down);
    assert_eq!(twice.to_string(), "8 x 2*ceil(H/2) x 2*ceil(W/2)");
    // equal for even sizes, as a decoder and its encoder are
    assert_eq!(infer_shape(&Op::Concat, &[map(8), twice.clone()]).map(|s| s.channels()), Ok(Some(16)));
    assert_eq!(infer(&Op::Conv(conv(8, 3, 2, 1)), &twice), down);
    assert_eq!(infer(&Op::Conv(conv(8, 3, 8, 1)), &twice).to_string(), "8 x ceil(H/8) x ceil(W/8)");
    assert_eq!(infer(&up(0.5), &twice), down);
    let strange = infer_shape(&Op::Conv(conv(8, 3, 3, 1)), std::slice::from_ref(&twice));
    assert!(matches!(strange, Err(ShapeError::FreeStride { stride: 3, .. })), "{strange:?}");
    // a transposed convolution and a pixel shuffle
    let transposed = Op::ConvTranspose(ConvTranspose {
        filters: 4,
        kernel: [4, 3],
        stride: [2, 2],
        pad: [[1, 1], [0, 0]],
        output_padding: [0; 2],
        dilation: [1; 2],
        groups: 1,
        bias: false,
    });
    assert_eq!(infer(&transposed, &map(8)).to_string(), "4 x 2*H x (2*W+1)");
    let squares = Squares { side: 3, order: SquareOrder::ByChannel };
    assert_eq!(infer(&Op::Rearrange(Rearrange::DepthToSpace(squares)), &map(18)).to_string(), "2 x 3*H x 3*W");
    // every size is as that of a known input
    let layers = [Op::Conv(conv(8, 3, 2, 1)), up(4.0), Op::Crop([[1, 2], [0, 1]]), Op::Conv(conv(8, 3, 2, 0)), up(3.0)];
    let free = layers.iter().fold(map(8), |x, op| infer(op, &x));
    for size in [9, 10, 11, 32, 57] {
        let fixed = layers.iter().fold(Shape::fixed(&[8, size, size + 3]), |x, op| infer(op, &x));
        let at = |dim: Dim| dim.at(|axis| if axis == Axis::H { size } else { size + 3 }) as usize;
        assert_eq!(free.dims().unwrap().iter().map(|dim| at(*dim)).collect::<Vec<_>>(), fixed.sizes().unwrap());
    }
}

/// A size in a file that may say anything.
#[test]
fn free_sizes_without_a_divisor_are_refused() {
    for (div, times) in [(0, 1), (1, 0), (-1, 1)] {
        let dim = Dim::Free { axis: Axis::H, add: 0, div, times, plus: 0 };
        let input = Op::Input(Shape::Known(vec![Dim::Fixed(3), dim, Dim::Fixed(8)]));
        assert!(matches!(infer_shape(&input, &[]), Err(ShapeError::Zero { .. })));
    }
}

/// Whatever a file says of a free size, nothing overflows.
#[test]
fn free_sizes_do_not_overflow() {
    let extremes = [i64::MIN, -1, 0, 1, i64::MAX];
    let positive = [1, 2, i64::MAX];
    for (add, plus) in extremes.into_iter().flat_map(|add| extremes.map(|plus| (add, plus))) {
        for (div, times) in positive.into_iter().flat_map(|div| positive.map(|times| (div, times))) {
            let dim = Dim::Free { axis: Axis::H, add, div, times, plus };
            let _ = (dim.least_axis(), dim.multiplied(usize::MAX), dim.multiplied(2), dim.to_string(), dim.at(|_| usize::MAX));
            for by in extremes {
                let _ = (dim.affine(by, 1, by), dim.affine(by, 2, by), dim.affine(by, i64::MAX, by));
                let other = Dim::Free { axis: Axis::H, add: by, div, times, plus };
                let _ = (dim.agrees(other), other.agrees(dim));
            }
        }
    }
}

#[test]
fn a_failed_shape_silences_what_follows() {
    let linear = Op::Linear(Linear { features: 10, bias: true, epilogue: Epilogue::default() });
    assert_eq!(infer_shape(&linear, &[Shape::Unknown]), Ok(Shape::Unknown));
    assert_eq!(infer_shape(&Op::add(), &[Shape::fixed(&[4]), Shape::Unknown]), Ok(Shape::Unknown));
}

#[test]
fn the_extent_of_a_window_includes_its_dilation() {
    let pool = |dilation, pad, ceil| {
        let kind = PoolKind::Max { dilation: [dilation; 2] };
        Op::Pool(Pool { kind, kernel: [3; 2], stride: [2; 2], pad: [[pad; 2]; 2], ceil })
    };
    // torch.nn.functional.max_pool2d(torch.zeros(1, 2, 12, 9), 3, 2, padding, dilation, ceil_mode).shape
    assert_eq!(shape(&pool(2, 0, false), &[2, 12, 9]), Ok(Shape::fixed(&[2, 4, 3])));
    assert_eq!(shape(&pool(2, 0, true), &[2, 12, 9]), Ok(Shape::fixed(&[2, 5, 3])));
    assert_eq!(shape(&pool(3, 1, false), &[2, 12, 9]), Ok(Shape::fixed(&[2, 4, 3])));
    assert!(matches!(shape(&pool(2, 5, false), &[2, 12, 9]), Err(ShapeError::PoolPadding { padding: 5, window: 5 })));
    assert!(shape(&pool(4, 0, false), &[2, 12, 8]).is_err());
    assert!(shape(&pool(0, 0, false), &[2, 12, 8]).is_err());
    // windows that see only padding, by hand: kernel elements at -4 and 0, -3 and 1, -2 and 2, -1 and 3 on a feature map of 3
    let two = |pad, map| {
        let kind = PoolKind::Max { dilation: [4; 2] };
        let op = Op::Pool(Pool { kind, kernel: [2; 2], stride: [1; 2], pad: [[pad; 2]; 2], ceil: false });
        shape(&op, &[2, map, map])
    };
    assert!(matches!(two(4, 3), Err(ShapeError::WindowInPadding { dilation: 4, padding: 4, .. })));
    assert_eq!(two(4, 4), Ok(Shape::fixed(&[2, 8, 8])));
    for (dilation, pad, stride, map) in (0..3000).map(|i| (1 + i % 5, i / 5 % 7, 1 + i / 35 % 3, 1 + i / 105 % 9)) {
        let kind = PoolKind::Max { dilation: [dilation; 2] };
        let pool = Pool { kind, kernel: [3; 2], stride: [stride; 2], pad: [[pad; 2]; 2], ceil: false };
        let Ok(out) =
            infer_shape(&Op::Pool(Pool { pad: [[0; 2]; 2], ..pool }), &[Shape::fixed(&[1, map + 2 * pad, 1 + 2 * dilation])])
        else {
            continue;
        };
        let windows = out.sizes().unwrap()[1];
        let sees = |o: usize| (0..3).any(|k| (pad..pad + map).contains(&(o * stride + k * dilation)));
        if pad <= 2 * dilation {
            let min = pool.min_map_size(0);
            assert!(map < min || (0..windows).all(sees), "{pool:?} {map}");
            assert!(map + 1 != min || !(0..windows).all(sees), "{pool:?} {map}");
        }
    }
}

#[test]
fn reflection_padding_is_smaller_than_the_map() {
    let pad = |mode, sides| Op::Pad(Pad { mode, ..Pad::zeros(sides) });
    assert_eq!(shape(&pad(PadMode::Reflect, [[3, 0], [1, 2]]), &[2, 4, 3]), Ok(Shape::fixed(&[2, 7, 6])));
    assert!(matches!(
        shape(&pad(PadMode::Reflect, [[4, 0], [1, 2]]), &[2, 4, 3]),
        Err(ShapeError::ReflectPadding { padding: 4, .. })
    ));
    assert_eq!(shape(&pad(PadMode::Replicate, [[4, 9], [0, 0]]), &[2, 4, 3]), Ok(Shape::fixed(&[2, 17, 3])));
    let channels = Op::Pad(Pad { mode: PadMode::Reflect, ..Pad::channels([1, 0]) });
    assert!(matches!(shape(&channels, &[2, 4, 3]), Err(ShapeError::PadChannels { .. })));
}

#[test]
fn additions_need_equal_dimensions_and_gates_may_be_per_channel() {
    let x = Shape::fixed(&[8, 4, 4]);
    let by_channel = Op::from(Elementwise::mul(Broadcast::Channel));
    assert!(matches!(infer_shape(&Op::add(), &[x.clone(), Shape::fixed(&[8, 1, 1])]), Err(ShapeError::Unequal { slot: 1, .. })));
    assert_eq!(infer_shape(&by_channel, &[x.clone(), Shape::fixed(&[8, 1, 1])]), Ok(x.clone()));
    assert!(infer_shape(&by_channel, &[Shape::fixed(&[8, 1, 1]), x.clone()]).is_err());
    assert_eq!(infer_shape(&Op::Concat, &[x.clone(), Shape::fixed(&[3, 4, 4])]), Ok(Shape::fixed(&[11, 4, 4])));
    assert!(infer_shape(&Op::Concat, &[x, Shape::fixed(&[3, 4, 5])]).is_err());
}

#[test]
fn a_gradient_has_the_shape_of_its_value() {
    let conv = Conv { groups: 2, ..conv(8, 3, 2, 1) };
    let infer_one = |op: Train, shapes: &[&[usize]]| {
        let shapes: Vec<Shape> = shapes.iter().map(|s| Shape::fixed(s)).collect();
        infer_shape(&Op::Train(op), &shapes)
    };
    let input = Train::ConvGradInput { conv: conv.clone(), input: [4, 9, 7] };
    assert_eq!(infer_one(input.clone(), &[&[8, 5, 4]]), Ok(Shape::fixed(&[4, 9, 7])));
    assert!(infer_one(input, &[&[8, 5, 5]]).is_err());
    assert_eq!(infer_one(Train::ConvGradWeight(conv), &[&[4, 9, 7], &[8, 5, 4]]), Ok(Shape::fixed(&[8, 2, 3, 3])));
    assert_eq!(infer_one(Train::LinearGradWeight, &[&[5], &[3]]), Ok(Shape::fixed(&[3, 5])));
    assert_eq!(infer_one(Train::Unpad(Pad::channels([1, 2])), &[&[5, 3, 3]]), Ok(Shape::fixed(&[2, 3, 3])));
    assert!(infer_one(Train::Unpad(Pad::channels([3, 2])), &[&[5, 3, 3]]).is_err());
    assert_eq!(infer_one(Train::Unflatten([2, 3, 1]), &[&[6]]), Ok(Shape::fixed(&[2, 3, 1])));
    assert!(infer_one(Train::Unflatten([2, 3, 1]), &[&[7]]).is_err());
    assert!(infer_one(Train::CrossEntropy { smoothing: 0.0, weight: 1.0 }, &[&[10], &[10]]).is_err());
}

#[test]
fn one_dimensional_values_keep_their_axis() {
    let x = Shape::fixed(&[2, 1000]);
    let infer_one = |op: &Op| infer_shape(op, std::slice::from_ref(&x));
    assert_eq!(infer_one(&conv_1d([1, 7], [1, 2], [[0, 0], [3, 3]])), Ok(Shape::fixed(&[8, 500])));
    assert_eq!(infer_one(&Op::AdaptiveAvgPool([1, 1])), Ok(Shape::fixed(&[2, 1])));
    assert_eq!(infer_one(&Op::Flatten), Ok(Shape::fixed(&[2000])));
    assert_eq!(infer_shape(&Op::from(Elementwise::mul(Broadcast::Channel)), &[x.clone(), Shape::fixed(&[2, 1])]), Ok(x.clone()));
    let pool = Pool { kind: PoolKind::MAX, kernel: [1, 3], stride: [1, 2], pad: [[0, 0], [1, 1]], ceil: false };
    assert_eq!(infer_one(&Op::Pool(pool)), Ok(Shape::fixed(&[2, 500])));
}

#[test]
fn two_dimensional_sizes_are_refused() {
    let x = Shape::fixed(&[2, 1000]);
    let infer_one = |op: &Op| infer_shape(op, std::slice::from_ref(&x));
    assert!(matches!(infer_one(&conv_1d([3, 3], [1, 1], [[1, 1]; 2])), Err(ShapeError::OneDimensional { .. })));
    assert!(matches!(infer_one(&conv_1d([1, 3], [2, 2], [[0, 0], [1, 1]])), Err(ShapeError::OneDimensional { .. })));
    assert!(matches!(infer_one(&Op::Subsample([2, 2])), Err(ShapeError::OneDimensional { .. })));
    let map = Shape::fixed(&[2, 1, 1000]);
    assert!(matches!(infer_shape(&Op::add(), &[x, map]), Err(ShapeError::Unequal { .. })));
}
