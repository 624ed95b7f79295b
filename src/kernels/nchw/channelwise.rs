//! Scale and shift per channel.

use crate::kernels::elementwise::{Activation, fill};
use crate::kernels::isa::Isa;
use crate::kernels::threads::ThreadPool;

/// `out = act(first * scale + shift)`, with one scale and shift per channel, whose feature maps have `plane` elements.
pub fn scale_shift(
    pool: &ThreadPool,
    isa: Isa,
    first: Option<&[f32]>,
    scale: &[f32],
    shift: &[f32],
    plane: usize,
    act: Option<Activation<'_>>,
    out: &mut [f32],
) {
    let channels = scale.len();
    pool.pieces(out, plane, |index, out| {
        fill(first, index * plane, out);
        let (scale, shift) = (scale[index % channels], shift[index % channels]);
        out.iter_mut().for_each(|o| *o = *o * scale + shift);
        if let Some(act) = act {
            act.apply(isa, out);
        }
    });
}
