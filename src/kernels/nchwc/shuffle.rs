//! Interleaves groups of channels of blocked feature maps.

use super::runs;
use crate::kernels::threads::{Disjoint, ThreadPool};

/// Pixels per run.
const PIXELS: usize = 256;

/// Channel `i` of every group, for each `i`: channel `k` of the result is channel `k % groups * (channels / groups) + k / groups` of
/// `x`. The tail of the last block becomes zero. `sizes` are samples, channels and pixels of a feature map.
///
/// # Panics
/// If a slice has the wrong length, the groups do not divide the channels, or blocks have neither 8 nor 16 channels.
pub fn shuffle(pool: &ThreadPool, lanes: usize, sizes: [usize; 3], groups: usize, x: &[f32], out: &mut [f32]) {
    match lanes {
        8 => blocks::<8>(pool, sizes, groups, x, out),
        16 => blocks::<16>(pool, sizes, groups, x, out),
        _ => panic!("no blocks of {lanes} channels"),
    }
}

fn blocks<const LANES: usize>(
    pool: &ThreadPool,
    [batch, channels, plane]: [usize; 3],
    groups: usize,
    x: &[f32],
    out: &mut [f32],
) {
    let blocks = channels.div_ceil(LANES);
    let sample = blocks * LANES * plane;
    assert_eq!((x.len(), out.len()), (batch * sample, batch * sample));
    assert!(channels.is_multiple_of(groups), "{channels} channels in {groups} groups");
    let each = channels / groups;
    let out = Disjoint::new(out);
    runs(pool, batch * blocks, plane, PIXELS, |map, pixels| {
        let (n, block) = (map / blocks, map % blocks);
        // SAFETY: pixels of this run only
        let out = unsafe { out.slice((map * plane + pixels.start) * LANES, pixels.len() * LANES) };
        let (out, _) = out.as_chunks_mut::<LANES>();
        // where the values of each lane begin; a lane without a channel reads any, and is cleared below
        let valid = LANES.min(channels - block * LANES);
        let from: [&[f32]; LANES] = std::array::from_fn(|lane| {
            let k = block * LANES + lane.min(valid - 1);
            let channel = k % groups * each + k / groups;
            let start = n * sample + (channel / LANES * plane + pixels.start) * LANES + channel % LANES;
            &x[start..][..(pixels.len() - 1) * LANES + 1]
        });
        for (pixel, to) in out.iter_mut().enumerate() {
            for lane in 0..LANES {
                to[lane] = from[lane][pixel * LANES];
            }
            to[valid..].fill(0.0);
        }
    });
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::kernels::nchw::rearrange::rearrange;
    use crate::kernels::reference::{Numbers, blocked, plain};

    #[test]
    fn interleaves_groups() {
        let mut n = Numbers::new(45);
        for round in 0..80 {
            let lanes = [8, 16][round % 2];
            let pool = ThreadPool::new(1 + n.below(3)).unwrap();
            let groups = 1 + n.below(6);
            let [batch, h, w] = [1 + n.below(3), 1 + n.below(6), 1 + n.below(6)];
            let channels = groups * (1 + n.below(20));
            let sizes = [batch, channels, h, w];
            let x = n.take(sizes.iter().product());
            let mut expected = vec![f32::NAN; x.len()];
            rearrange(&pool, &[batch, groups, channels / groups, h * w], &[0, 2, 1, 3], &x, &mut expected);
            let mut out = vec![f32::NAN; batch * channels.next_multiple_of(lanes) * h * w];
            shuffle(&pool, lanes, [batch, channels, h * w], groups, &blocked(&x, sizes, lanes), &mut out);
            assert_eq!(plain(&out, sizes, lanes), expected, "{sizes:?} {groups}");
            assert!(out.iter().all(|v| v.is_finite()), "{sizes:?} {groups}");
        }
    }
}
