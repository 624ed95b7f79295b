//! Convolutions over channels: as convolutions of feature maps with one row, whose columns are the channels.

use super::{Differentiation, GRAD, GradError};
use crate::ir::{Conv, Epilogue, NodeId, Op, Param, ParamRole, Train, Value};

impl Differentiation<'_> {
    pub(super) fn channel_conv(&mut self, id: NodeId, name: &str, kernel: usize, dy: Value) -> Result<(), GradError> {
        let x = self.operand(id, 0)?;
        let sizes = self.sizes(x.node);
        let channels = sizes.first().copied().unwrap_or(0);
        let conv = Conv {
            filters: 1,
            kernel: [1, kernel],
            stride: [1, 1],
            pad: [[0; 2], [kernel / 2; 2]],
            dilation: [1, 1],
            groups: 1,
            bias: false,
            standardize: None,
            epilogue: Epilogue::default(),
        };
        let dy = self.as_row(id, &format!("{name}.grad"), dy)?;
        if let Some(weight) = self.trained(id, ParamRole::Weight) {
            let x = self.as_row(id, &format!("{name}.x"), x)?;
            let grad = self.train(id, &format!("{name}.weight.grad"), Train::ConvGradWeight(conv.clone()), &[x, dy])?;
            self.outputs.push((format!("{GRAD}{weight}"), grad));
        }
        if self.needs(x) {
            let op = Op::Train(Train::ConvGradInput { conv, input: [1, 1, channels] });
            let as_map = |weight: Param| Param { shape: vec![1, 1, 1, kernel], ..weight };
            let weight = self.param(id, ParamRole::Weight).map(as_map).into_iter().collect();
            let row = self.add(id, &format!("{name}.x.row.grad"), op, &[dy], weight)?;
            let mut dx = self.add(id, &format!("{name}.x.grad"), Op::Flatten, &[row], Vec::new())?;
            if let [_, height, width] = sizes[..] {
                dx = self.train(id, &format!("{name}.x.map.grad"), Train::Unflatten([channels, height, width]), &[dx])?;
            }
            self.accumulate(x, dx);
        }
        Ok(())
    }

    /// The channels of a value with one pixel as the columns of a feature map.
    fn as_row(&mut self, id: NodeId, name: &str, value: Value) -> Result<Value, GradError> {
        let channels = self.sizes(value.node).first().copied().unwrap_or(0);
        let vector = self.add(id, &format!("{name}.vector"), Op::Flatten, &[value], Vec::new())?;
        self.train(id, &format!("{name}.row"), Train::Unflatten([1, 1, channels]), &[vector])
    }
}
