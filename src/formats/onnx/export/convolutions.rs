//! Convolutions that are not ONNX's as they are.

use super::ExportError;
use super::emit::{Emitter, axes, int, ints, sides};
use crate::ir::{ConvTranspose, Node, NodeId, ParamRole};

impl Emitter<'_> {
    /// A convolution over channels: of a 1-D value whose only channel they are the length of.
    pub(super) fn channel_conv(&mut self, id: NodeId, node: &Node, kernel: usize, x: &str) -> Result<String, ExportError> {
        let weight = self.param(node, ParamRole::Weight)?;
        let name = node.name.as_str();
        let [size, pad] = [kernel, kernel / 2].map(|n| i64::try_from(n).unwrap_or(i64::MAX));
        let attributes = vec![ints("kernel_shape", &[size]), ints("pads", &[pad; 2])];
        let row = self.reshape(&format!("{name}.row"), x, &[0, 1, -1]);
        let row = self.push("Conv", &format!("{name}.conv"), &[&row, &weight], attributes);
        let shape = [&[0, -1], &vec![1; self.rank(id)][..]].concat();
        Ok(self.reshape(name, &row, &shape))
    }

    pub(super) fn conv_transpose(
        &mut self,
        id: NodeId,
        node: &Node,
        conv: &ConvTranspose,
        x: &str,
    ) -> Result<String, ExportError> {
        let rank = self.rank(id);
        let attributes = vec![
            ints("dilations", &axes(conv.dilation, rank)),
            int("group", conv.groups),
            ints("kernel_shape", &axes(conv.kernel, rank)),
            ints("output_padding", &axes(conv.output_padding, rank)),
            ints("pads", &sides(conv.pad, rank)),
            ints("strides", &axes(conv.stride, rank)),
        ];
        self.layer("ConvTranspose", node, x, conv.bias, attributes)
    }

    /// In ONNX, 0 keeps the size of an axis, and -1 is whatever is left.
    fn reshape(&mut self, name: &str, x: &str, shape: &[i64]) -> String {
        let shape = self.numbers(&format!("{name}.shape"), shape);
        self.push("Reshape", name, &[x, &shape], Vec::new())
    }
}
