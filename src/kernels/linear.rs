//! Fully connected layers. Each weight is read once: at batch 1 that is all the work there is.

use super::conv::{Epilogue, Residual};
use super::pool::{Disjoint, Pool, share};

/// Samples from which on a matrix product pays.
const GEMM_BATCH: usize = 8;
/// Independent sums in a dot product, so that additions do not wait for each other.
const LANES: usize = 32;

/// `out[n][f] = act(bias[f] + weight[f] . x[n])`; `weight` is `[features, inputs]` as stored. Each thread takes
/// neighbouring features.
pub fn linear(
    pool: &Pool,
    [batch, inputs, features]: [usize; 3],
    x: &[f32],
    weight: &[f32],
    epilogue: &Epilogue<'_>,
    out: &mut [f32],
) {
    assert_eq!((x.len(), weight.len(), out.len()), (batch * inputs, features * inputs, batch * features));
    let out = Disjoint::new(out);
    let threads = pool.threads();
    pool.for_each(threads, |part, _| {
        let mine = share(features, threads, part);
        if mine.is_empty() {
            return;
        }
        let rows = &weight[mine.start * inputs..mine.end * inputs];
        if batch >= GEMM_BATCH && inputs > 0 {
            let beta = if matches!(epilogue.residual, Residual::InPlace) { 1.0 } else { 0.0 };
            let c = out.pointer(mine.start, (batch - 1) * features + mine.len());
            // SAFETY: the slices hold these rows and columns, as asserted above; parts write columns of their own
            unsafe {
                matrixmultiply::sgemm(
                    batch,
                    inputs,
                    mine.len(),
                    1.0,
                    x.as_ptr(),
                    inputs as isize,
                    1,
                    rows.as_ptr(),
                    1,
                    inputs as isize,
                    beta,
                    c,
                    features as isize,
                    1,
                );
            }
            for n in 0..batch {
                for f in mine.clone() {
                    let at = n * features + f;
                    // SAFETY: this part's own column
                    epilogue.finish(f, at, unsafe { out.slice(at, 1) });
                }
            }
            return;
        }
        for f in mine.clone() {
            let row = &weight[f * inputs..][..inputs];
            for n in 0..batch {
                let at = n * features + f;
                // SAFETY: this part's own column
                let sum = unsafe { out.slice(at, 1) };
                let before = if matches!(epilogue.residual, Residual::InPlace) { sum[0] } else { 0.0 };
                sum[0] = before + dot(row, &x[n * inputs..][..inputs]);
                epilogue.finish(f, at, sum);
            }
        }
    });
}

fn dot(a: &[f32], b: &[f32]) -> f32 {
    let mut sums = [0f32; LANES];
    let (a, b) = (a.chunks_exact(LANES), b.chunks_exact(LANES));
    let rest: f32 = a.remainder().iter().zip(b.remainder()).map(|(&a, &b)| a * b).sum();
    for (a, b) in a.zip(b) {
        for i in 0..LANES {
            sums[i] += a[i] * b[i];
        }
    }
    let mut width = LANES / 2;
    while width > 0 {
        for i in 0..width {
            sums[i] += sums[i + width];
        }
        width /= 2;
    }
    sums[0] + rest
}
