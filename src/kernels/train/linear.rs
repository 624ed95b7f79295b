//! Gradients of fully connected layers, as matrix products, and of biases.

use crate::kernels::Layout;
use crate::kernels::threads::{Disjoint, ThreadPool, share};

/// A matrix with its row and column strides, in floats.
#[derive(Clone, Copy)]
struct Matrix<'a> {
    values: &'a [f32],
    row: usize,
    column: usize,
}

/// The gradient of the input: `dx[n][i]` is the sum over features of `dy[n][f] * weight[f][i]`. Sizes are samples, inputs,
/// features; the weight is `[features, inputs]` as stored.
///
/// # Panics
/// If a slice has the wrong length.
pub fn grad_input(pool: &ThreadPool, [batch, inputs, features]: [usize; 3], dy: &[f32], weight: &[f32], dx: &mut [f32]) {
    assert_eq!((dy.len(), weight.len(), dx.len()), (batch * features, features * inputs, batch * inputs));
    let dy = Matrix { values: dy, row: features, column: 1 };
    let weight = Matrix { values: weight, row: inputs, column: 1 };
    product(pool, [batch, features, inputs], dy, weight, dx);
}

/// The gradient of the weight: `dw[f][i]` is the sum over samples of `dy[n][f] * x[n][i]`. Sizes are samples, inputs, features.
///
/// # Panics
/// If a slice has the wrong length.
pub fn grad_weight(pool: &ThreadPool, [batch, inputs, features]: [usize; 3], x: &[f32], dy: &[f32], dw: &mut [f32]) {
    assert_eq!((x.len(), dy.len(), dw.len()), (batch * inputs, batch * features, features * inputs));
    let dy = Matrix { values: dy, row: 1, column: features };
    let x = Matrix { values: x, row: inputs, column: 1 };
    product(pool, [features, batch, inputs], dy, x, dw);
}

/// `out = a * b`, where `a` is `rows x depth` and `b` is `depth x columns`. A task is a part of the longer side of `out`. Parts
/// end at multiples of 16 and do not depend on the thread count, so neither do the bits of the result.
fn product(pool: &ThreadPool, [rows, depth, columns]: [usize; 3], a: Matrix<'_>, b: Matrix<'_>, out: &mut [f32]) {
    const PART: usize = 16;
    const PARTS: usize = 16;
    if depth == 0 || out.is_empty() {
        return out.fill(0.0);
    }
    let (by_rows, len) = if rows > columns { (true, rows) } else { (false, columns) };
    let pieces = len.div_ceil(PART);
    let parts = pieces.min(PARTS);
    let out = Disjoint::new(out);
    pool.for_each(parts, |part, _| {
        let part = share(pieces, parts, part);
        let (start, end) = (part.start * PART, (part.end * PART).min(len));
        let ([y, height], [x, width]) =
            if by_rows { ([start, end - start], [0, columns]) } else { ([0, rows], [start, end - start]) };
        let (a_at, b_at) = (&a.values[y * a.row..], &b.values[x * b.column..]);
        assert!(a_at.len() > (height - 1) * a.row + (depth - 1) * a.column);
        assert!(b_at.len() > (depth - 1) * b.row + (width - 1) * b.column);
        let c = out.pointer(y * columns + x, (height - 1) * columns + width);
        // SAFETY: the slices hold these rows and columns, as asserted above; each task writes its own rectangle
        unsafe {
            matrixmultiply::sgemm(
                height,
                depth,
                width,
                1.0,
                a_at.as_ptr(),
                a.row as isize,
                a.column as isize,
                b_at.as_ptr(),
                b.row as isize,
                b.column as isize,
                0.0,
                c,
                columns as isize,
                1,
            );
        }
    });
}

/// The gradient of a bias: the sum of `dy` over samples and pixels, one per channel. Sizes are those of `dy`: samples, channels,
/// height, width; a feature vector is a 1x1 feature map.
///
/// # Panics
/// If a slice has the wrong length.
pub fn grad_bias(
    pool: &ThreadPool,
    layout: Layout,
    sizes @ [batch, channels, height, width]: [usize; 4],
    dy: &[f32],
    db: &mut [f32],
) {
    assert_eq!((Some(dy.len()), db.len()), (layout.len(sizes), channels));
    let lanes = match layout {
        Layout::Nchw => 1,
        Layout::Blocked { lanes } => lanes,
    };
    let (blocks, pixels) = (channels.div_ceil(lanes), height * width);
    pool.pieces(db, lanes, |block, db| {
        let maps = (0..batch).map(|sample| &dy[(sample * blocks + block) * pixels * lanes..][..pixels * lanes]);
        if lanes == 1 {
            db[0] = maps.map(|map| map.iter().map(|&v| f64::from(v)).sum::<f64>()).sum::<f64>() as f32;
        } else {
            let mut sums = [0.0f64; MOST_LANES];
            for pixel in maps.flat_map(|map| map.chunks_exact(lanes)) {
                sums.iter_mut().zip(pixel).for_each(|(sum, &v)| *sum += f64::from(v));
            }
            db.iter_mut().zip(sums).for_each(|(to, sum)| *to = sum as f32);
        }
    });
}

/// Lanes of the widest blocked layout.
const MOST_LANES: usize = 16;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::kernels::reference::{Numbers, blocked, max_error};

    #[test]
    fn products_agree_with_their_definition_and_do_not_depend_on_threads() {
        let mut n = Numbers::new(3);
        for round in 0..60 {
            let sizes @ [batch, inputs, features] =
                [[1, 1, 1], [1 + n.below(70), 1 + n.below(300), 1 + n.below(120)]][round.min(1)];
            let (x, w, dy) = (n.take(batch * inputs), n.take(features * inputs), n.take(batch * features));
            let at = |v: &[f32], i: usize| f64::from(v[i]);
            let dx_expected: Vec<f64> = (0..batch * inputs)
                .map(|i| (0..features).map(|f| at(&dy, i / inputs * features + f) * at(&w, f * inputs + i % inputs)).sum())
                .collect();
            let dw_expected: Vec<f64> = (0..features * inputs)
                .map(|i| (0..batch).map(|n| at(&dy, n * features + i / inputs) * at(&x, n * inputs + i % inputs)).sum())
                .collect();
            let mut seen = None;
            for threads in [1, 2, 3] {
                let pool = ThreadPool::new(threads).unwrap();
                let (mut dx, mut dw) = (vec![f32::NAN; batch * inputs], vec![f32::NAN; features * inputs]);
                grad_input(&pool, sizes, &dy, &w, &mut dx);
                grad_weight(&pool, sizes, &x, &dy, &mut dw);
                assert!(max_error(&dx, &dx_expected) < 1e-5 && max_error(&dw, &dw_expected) < 1e-5, "{sizes:?}");
                assert_eq!(*seen.get_or_insert((dx.clone(), dw.clone())), (dx, dw), "{sizes:?}");
            }
        }
    }

    #[test]
    fn a_bias_gets_the_sum_over_samples_and_pixels_in_every_layout() {
        let mut n = Numbers::new(5);
        for _ in 0..40 {
            let sizes @ [batch, channels, h, w] = [1 + n.below(5), 1 + n.below(40), 1 + n.below(9), 1 + n.below(9)];
            let dy = n.take(batch * channels * h * w);
            let mut expected = vec![0.0; channels];
            for (map, values) in dy.chunks_exact(h * w).enumerate() {
                expected[map % channels] += values.iter().map(|&v| f64::from(v)).sum::<f64>();
            }
            for lanes in [1, 8, 16] {
                let (layout, dy) = match lanes {
                    1 => (Layout::Nchw, dy.clone()),
                    _ => (Layout::Blocked { lanes }, blocked(&dy, sizes, lanes)),
                };
                let mut db = vec![f32::NAN; channels];
                grad_bias(&ThreadPool::new(1 + n.below(3)).unwrap(), layout, sizes, &dy, &mut db);
                assert!(max_error(&db, &expected) < 1e-6, "{layout:?} {sizes:?}");
            }
        }
    }
}
