//! Dispatches layers to the functions that import them.

use super::super::layer_list::Flow;
use super::importer::{Blob, Imported, Importer};
use super::net::Layer;

impl Importer<'_> {
    /// The results of a layer.
    pub(super) fn results(&mut self, layer: &Layer<'_>) -> Imported<Vec<Blob>> {
        if is_input(layer.kind) {
            return self.inputs(layer);
        }
        if !matches!(layer.kind, "Scale" | "Bias") {
            self.norms_are_read(layer);
        }
        let flows = match layer.kind {
            "Slice" => self.slice(layer)?,
            "Split" => vec![self.only(layer)?; layer.tops.len()],
            _ => vec![self.result(layer)?],
        };
        if flows.len() != layer.tops.len() {
            return Err(format!("it has {} `top`, but yields {}", layer.tops.len(), flows.len()));
        }
        Ok(flows.into_iter().map(|flow| Blob::Value(flow, false)).collect())
    }

    fn result(&mut self, layer: &Layer<'_>) -> Imported<Flow> {
        match layer.kind {
            "Convolution" | "Deconvolution" | "DepthwiseConvolution" | "ConvolutionDepthwise" => self.conv(layer),
            "Pooling" => self.pool(layer),
            "BatchNorm" => self.batch_norm(layer),
            "Scale" => self.scale(layer),
            "Bias" => self.bias(layer),
            "Axpy" => self.axpy(layer),
            "ReLU" | "ReLU6" | "ELU" | "Sigmoid" | "TanH" | "BNLL" | "Mish" | "Clip" | "Swish" => self.activation(layer),
            "PReLU" => self.prelu(layer),
            "Power" => self.power(layer),
            "AbsVal" => self.absolute(layer),
            "Dropout" => self.dropout(layer),
            "Eltwise" => self.eltwise(layer),
            "Concat" => self.concat(layer),
            "Flatten" => self.flatten(layer),
            "Reshape" => self.reshape(layer),
            "InnerProduct" => self.inner_product(layer),
            "Softmax" => self.softmax(layer),
            "ShuffleChannel" => self.shuffle(layer),
            "LRN" => self.local_response(layer),
            _ => Err("the language has no equivalent operator".to_owned()),
        }
    }
}

/// Whether layers of a type yield inputs.
pub(super) fn is_input(kind: &str) -> bool {
    kind == "Input" || kind.ends_with("Data")
}

/// Whether layers of a type only measure, or end values that nothing reads.
pub(super) fn is_left_out(kind: &str) -> bool {
    kind.ends_with("Loss") || matches!(kind, "Accuracy" | "Silence" | "HDF5Output")
}
