//! Attention over the places of a feature map, as in global context networks: a softmax over all places, and the sum of the map
//! weighted by it.

use super::Importer;
use super::axes::Axes;
use super::call::Call;
use super::dispatch::ImportResult;
use super::values::{Known, Term};
use crate::elementwise::Binary;
use crate::ir::{Op, Rearrange};

impl Importer<'_> {
    /// Softmax over the places of a single channel; `None` if it is another one.
    pub(super) fn softmax_of_places(&mut self, call: &Call<'_>, axes: &Axes) -> Option<ImportResult<Known>> {
        let &[1, height, width] = &axes.x.shape.sizes()?[..] else { return None };
        let places = height.checked_mul(width)?;
        let axis = axes.axis(call.int("axis").unwrap_or(-1)).ok()?.checked_sub(axes.x.lead)?;
        let dims = axes.dims();
        let is_alone = dims.iter().enumerate().all(|(own, &size)| size == if own == axis { places } else { 1 });
        if self.opset < 13 || !axes.keeps_order() || !is_alone {
            return None;
        }
        let reshape = |sizes: [usize; 3]| Op::Rearrange(Rearrange::Reshape(sizes.map(Some)));
        let soft = self.add(call, reshape([places, 1, 1]), &[&axes.x]).and_then(|x| self.add(call, Op::Softmax(None), &[&x]));
        let map = soft.and_then(|x| self.add(call, reshape([1, height, width]), &[&x]));
        Some(map.map(|map| Known::Axes(axes.on(map))))
    }

    /// The product of a map's channels with one weight for each place: their weighted sums. `None` for another product.
    pub(super) fn weighted_places(&mut self, call: &Call<'_>, map: &Axes, weights: &Axes) -> Option<ImportResult<Known>> {
        let &[channels, height, width] = &map.x.shape.sizes()?[..] else { return None };
        let places = height.checked_mul(width)?;
        let is_map = map.keeps_order() && map.dims() == [1, channels, places];
        let are_weights = weights.keeps_order()
            && weights.dims() == [1, places, 1]
            && weights.x.shape.sizes().is_some_and(|sizes| sizes == [1, height, width]);
        if !is_map || !are_weights {
            return None;
        }
        let terms = [Term::Flow(map.x.clone()), Term::Flow(weights.x.clone())];
        let product = self.pointwise(call, "multiply", &terms, |b, x| super::arithmetic::chain(b, Binary::Mul, x));
        let mean = product.and_then(|product| self.add(call, Op::AdaptiveAvgPool([1, 1]), &[&product]));
        let sum = mean.and_then(|mean| self.affine(call, &mean, places as f32, 0.0));
        Some(sum.and_then(|sum| Axes::of(sum).reshaped(&[1, channels, 1])).map(Known::Axes))
    }
}
