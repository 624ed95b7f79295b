//! Imports convolutions along the channels, as efficient channel attention writes them: the channels of a pixel become the places of a
//! 1-D value with one channel, and channels again after it.

use super::Importer;
use super::axes::Axes;
use super::call::Call;
use super::dispatch::ImportResult;
use super::flow::Flow;
use super::values::Known;
use crate::ir::{Dim, Op};

impl Importer<'_> {
    /// A convolution of a feature map, or along the channels of a pixel.
    pub(super) fn convolved(&mut self, call: &Call<'_>) -> ImportResult<Known> {
        let Some(Known::Axes(axes)) = self.known(call, 0).cloned() else {
            let x = self.flow(call, 0)?;
            return self.conv(call, &x).map(Known::Value);
        };
        match self.pixel(&axes) {
            Some(x) => self.channel_conv(call, &x),
            None => {
                let x = self.rearranged(call, &axes)?;
                self.conv(call, &x).map(Known::Value)
            }
        }
    }

    /// The value with one pixel whose channels are the only axis that is not of size 1; a flattening of it does not count.
    fn pixel(&self, axes: &Axes) -> Option<Flow> {
        let [1, channels] = axes.dims()[..] else { return None };
        let is_pixel = |x: &Flow| {
            let dims = x.dims();
            dims.first() == Some(&Dim::Fixed(channels)) && dims.len() > 1 && dims[1..].iter().all(|dim| *dim == Dim::Fixed(1))
        };
        let before = match self.graph.node(axes.x.value.node).op {
            Op::Flatten => {
                let value = *self.graph.operands(axes.x.value.node).first()?;
                Some(Flow { value, shape: self.shapes.get(value.node.index())?.clone(), lead: axes.x.lead })
            }
            _ => None,
        };
        axes.keeps_order().then_some([Some(axes.x.clone()), before])?.into_iter().flatten().find(is_pixel)
    }

    fn channel_conv(&mut self, call: &Call<'_>, x: &Flow) -> ImportResult<Known> {
        let filters = self.filters(call)?;
        let [1, 1, kernel] = *filters.weight.shape() else {
            return Err("it has several filters for the channels of a pixel".to_owned());
        };
        let ones = |key: &str| call.ints(key).is_none_or(|given| given.iter().all(|&n| n == 1));
        let half = i64::try_from(kernel / 2).unwrap_or(i64::MAX);
        let keeps_size = kernel % 2 == 1 && call.ints("pads").unwrap_or(&[0, 0]) == [half, half];
        let is_plain = ones("strides") && ones("dilations") && filters.groups == 1 && filters.bias.is_none();
        if !keeps_size || !is_plain {
            return Err("it is a convolution along the channels with a stride, a bias or other padding".to_owned());
        }
        let y = self.convolution(call, Op::ChannelConv(kernel), x, 1, filters)?;
        let channels = x.shape.channels().unwrap_or(0);
        Ok(Known::Axes(Axes::of(y).reshaped(&[1, channels])?))
    }
}
