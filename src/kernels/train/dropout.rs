//! Dropout in training. Whether an element is kept is decided by a hash of a key and its position, so the mask need not be stored
//! for the gradient, and does not depend on threads or layout.

use super::feature_maps::FeatureMaps;
use crate::kernels::nchwc::runs;
use crate::kernels::threads::Disjoint;
use crate::kernels::{Layout, ThreadPool};

/// Counter increment and output mixing of SplitMix64 (Steele, Lea and Flood 2014).
const GOLDEN: u64 = 0x9e37_79b9_7f4a_7c15;

fn mix(v: u64) -> u64 {
    let v = (v ^ (v >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    let v = (v ^ (v >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    v ^ (v >> 31)
}

/// The key of one layer's mask in one training step.
pub fn key(seed: u64, step: u64, layer: u64) -> u64 {
    [step, layer]
        .into_iter()
        .fold(mix(seed.wrapping_add(GOLDEN)), |key, part| mix(key ^ mix(part.wrapping_add(GOLDEN)).wrapping_add(GOLDEN)))
}

/// Whether the element at `position` is kept; elements are dropped with probability `p`.
pub fn is_kept(key: u64, position: u64, p: f64) -> bool {
    // drops this many of the 2^64 hashes
    mix(key.wrapping_add(position.wrapping_mul(GOLDEN))) >= (p * 2f64.powi(64)) as u64
}

/// `out = x / (1 - p)` for kept elements, 0 for dropped ones; elements are dropped with probability `p`. The gradient is the same
/// function of `dy`. The mask depends on `key` and on the element's position in NCHW order, in any layout; or, if samples are
/// dropped as a `whole` (stochastic depth), on the sample. `x` is `None` if it is already in `out`.
///
/// # Panics
/// If a slice has the wrong length.
#[allow(clippy::too_many_arguments, reason = "each is an operand of the one kernel")]
pub fn dropout(
    pool: &ThreadPool,
    layout: Layout,
    sizes: [usize; 4],
    p: f64,
    whole: bool,
    key: u64,
    x: Option<&[f32]>,
    out: &mut [f32],
) {
    let maps = FeatureMaps::new(layout, sizes);
    assert_eq!(out.len(), maps.len());
    assert!(x.is_none_or(|x| x.len() == out.len()));
    let scale = if p < 1.0 { (1.0 / (1.0 - p)) as f32 } else { 0.0 };
    let out = Disjoint::new(out);
    runs(pool, maps.count(), maps.plane, maps.chunk(), |map, pixels| {
        let (sample, block) = (map / maps.blocks, map % maps.blocks);
        let (start, len) = ((map * maps.plane + pixels.start) * maps.lanes, pixels.len() * maps.lanes);
        // SAFETY: pixels of this run only
        let out = unsafe { out.slice(start, len) };
        if let Some(x) = x {
            out.copy_from_slice(&x[start..][..len]);
        }
        let first = (sample * maps.channels + block * maps.lanes) * maps.plane + pixels.start;
        for (pixel, values) in out.chunks_exact_mut(maps.lanes).enumerate() {
            for (lane, v) in values.iter_mut().enumerate() {
                let position = if whole { sample } else { first + lane * maps.plane + pixel };
                *v = if is_kept(key, position as u64, p) { *v * scale } else { 0.0 };
            }
        }
    });
}

#[cfg(test)]
mod tests {
    use super::super::testing::{cases, from_plain, to_plain};
    use super::*;

    #[test]
    fn a_whole_sample_is_dropped_or_kept() {
        let pool = ThreadPool::new(2).unwrap();
        let mut out = vec![1.0; 1000 * 6];
        dropout(&pool, Layout::Nchw, [1000, 2, 3, 1], 0.25, true, key(1, 2, 3), None, &mut out);
        assert!(out.chunks(6).all(|sample| sample.iter().all(|v| *v == sample[0])));
        let gone = out.chunks(6).filter(|sample| sample[0] == 0.0).count();
        assert!((200..300).contains(&gone), "{gone}");
        assert!(out.iter().all(|&v| v == 0.0 || v == 1.0 / 0.75));
    }

    #[test]
    fn the_mask_is_the_same_in_every_layout_and_in_place() {
        cases(61, 40, |n, pool, isa, layout, sizes @ [batch, c, h, w]| {
            let x = n.take(batch * c * h * w);
            let p = [0.0, 0.1, 0.5, 1.0][n.below(4)];
            let key = key(7, 3, n.below(100) as u64);
            let mut expected = x.clone();
            dropout(&ThreadPool::new(1).unwrap(), Layout::Nchw, [1, 1, 1, x.len()], p, false, key, None, &mut expected);
            let converted = from_plain(layout, sizes, &x);
            let mut out = vec![f32::NAN; converted.len()];
            dropout(pool, layout, sizes, p, false, key, Some(&converted), &mut out);
            assert!(out.iter().all(|v| v.is_finite()));
            assert_eq!(to_plain(layout, sizes, &out), expected, "{isa} {sizes:?}");
            let mut in_place = converted;
            dropout(pool, layout, sizes, p, false, key, None, &mut in_place);
            assert_eq!(in_place, out);
            let kept = |v: &f32| p < 1.0 && (*v != 0.0 || p == 0.0);
            let right = |(x, y): (&f32, &f32)| if kept(y) { (y * (1.0 - p as f32) - x).abs() < 1e-6 } else { *y == 0.0 };
            assert!(x.iter().zip(&expected).all(right));
        });
    }

    #[test]
    fn the_share_of_dropped_elements_is_p_and_keys_differ() {
        let pool = ThreadPool::new(2).unwrap();
        let masks: Vec<Vec<f32>> = [(1, 0, 0), (2, 0, 0), (1, 1, 0), (1, 0, 1)]
            .into_iter()
            .map(|(seed, step, layer)| {
                let mut out = vec![1.0; 100_000];
                dropout(&pool, Layout::Nchw, [1, 1, 1, 100_000], 0.3, false, key(seed, step, layer), None, &mut out);
                out
            })
            .collect();
        for (i, mask) in masks.iter().enumerate() {
            let gone = mask.iter().filter(|&&v| v == 0.0).count();
            // the standard deviation is 145
            assert!(gone.abs_diff(30_000) < 700, "{gone}");
            for other in &masks[..i] {
                let both = mask.iter().zip(other).filter(|&(&a, &b)| a == 0.0 && b == 0.0).count();
                assert!(both.abs_diff(9_000) < 450, "{both}");
            }
        }
    }
}
