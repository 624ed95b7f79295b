//! Convolutions that are not ONNX's as they are.

use super::ExportError;
use super::emit::{Emitter, ints};
use crate::ir::{Node, NodeId, ParamRole};

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

    /// In ONNX, 0 keeps the size of an axis, and -1 is whatever is left.
    fn reshape(&mut self, name: &str, x: &str, shape: &[i64]) -> String {
        let shape = self.numbers(&format!("{name}.shape"), shape);
        self.push("Reshape", name, &[x, &shape], Vec::new())
    }
}
